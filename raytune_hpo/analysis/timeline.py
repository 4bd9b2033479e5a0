"""The timeline of a study: when workers were busy, and how well they were used.

A trial that paused has occupied a worker several times; each time is a bar of its own.

Times are seconds since the study's first trial was handed out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from math import nan

import numpy as np
from numpy.typing import NDArray

from raytune_hpo.analysis.series import Floats
from raytune_hpo.analysis.trial_arrays import TrialArrays, creation_times, workers
from raytune_hpo.facts import Status
from raytune_hpo.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The times that trials spent in their objectives, on lanes.

    A lane runs one trial at a time: it is a worker, and after its end the worker that replaced it.

    Attributes:
        trials: the trial of each bar, in the order in which the bars begin; a trial that paused may occur several times.
        lanes: (n,) the lane of each bar, from 0.
        begin, end: (n,) in seconds; the bar of a running trial ends at the last known time of the study.
    """

    trials: tuple[Trial, ...]
    lanes: NDArray[np.intp]
    begin: Floats
    end: Floats

    @property
    def num_lanes(self) -> int:
        return int(self.lanes.max()) + 1 if len(self.lanes) else 0

    @property
    def span(self) -> tuple[float, float]:
        """The time of the first beginning and of the last end."""
        return (float(self.begin.min()), float(self.end.max())) if len(self.begin) else (0.0, 0.0)

    @cached_property
    def utilisation(self) -> float:
        """The share of all lanes' time that was spent in objectives, from the first beginning to the last end."""
        whole = (self.span[1] - self.span[0]) * self.num_lanes
        return min(1.0, float((self.end - self.begin).sum()) / whole) if whole > 0 else 0.0

    def edges(self, num: int) -> Floats:
        """The ends of ``num`` equal parts of the span, (num + 1,)."""
        return np.linspace(*self.span, num + 1)

    def shares(self, num: int) -> Floats:
        """The share of each of ``num`` equal parts of the span for which each lane was busy, (lanes, num)."""
        edges = self.edges(num)
        width = (edges[-1] - edges[0]) / num
        if not width > 0:
            return np.zeros((self.num_lanes, num))
        return np.array([np.diff(self._busy_up_to(lane, edges)) / width for lane in range(self.num_lanes)])

    def _busy_up_to(self, lane: int, times: Floats) -> Floats:
        """The seconds for which a lane was busy before each of the times."""
        own = self.lanes == lane
        ends = np.stack([self.begin[own], self.end[own]], axis=1).ravel()
        ends = np.maximum.accumulate(ends)  # machines' clocks differ: a bar may seem to begin before the last one ended
        worked = np.diff(ends, prepend=ends[0])
        worked[::2] = 0.0  # the time before a beginning is idle
        return np.asarray(np.interp(times, ends, np.cumsum(worked)))


def timeline_of(trials: Sequence[Trial]) -> Timeline:
    """The timeline of trials: of attempts that paused and of last attempts. The end of a lost attempt is not known."""
    arrays = TrialArrays.over(trials)
    if not len(arrays):
        return Timeline(trials=(), lanes=np.empty(0, np.intp), begin=np.empty(0), end=np.empty(0))
    spans, last_ones = arrays.of(_last_attempts), arrays.of(workers)
    newest = np.flatnonzero(~np.isnan(spans[:, 0]))
    earlier = [(row, s) for row in np.flatnonzero(arrays.of(_have_paused)).tolist() for s in trials[row].stretches]
    rows = np.array([*newest.tolist(), *(row for row, _ in earlier)], dtype=np.intp)
    begin = np.concatenate([spans[newest, 0], [s.began_at for _, s in earlier]])
    end = np.concatenate([spans[newest, 1], [s.paused_at for _, s in earlier]])
    names = [*last_ones[newest].tolist(), *(s.worker for _, s in earlier)]
    order, origin = np.lexsort((rows, begin)), arrays.of(creation_times).min()
    last = np.nanmax(spans[:, 2], initial=0.0)  # the last known time of the study
    begin = begin[order] - origin
    end = np.maximum(np.where(np.isnan(end), last, end)[order] - origin, begin)
    lanes = _lanes([names[i] for i in order.tolist()], begin, end)
    return Timeline(trials=tuple(trials[row] for row in rows[order].tolist()), lanes=lanes, begin=begin, end=end)


def _last_attempts(trials: Sequence[Trial]) -> Floats:
    """The begin and end of each trial's last attempt, and the trial's last known time, in epoch seconds, (n, 3).

    NaN means that the trial was on no worker, or is still running.
    """
    return np.array([_last_attempt(trial) for trial in trials], dtype=np.float64).reshape(-1, 3)


def _last_attempt(trial: Trial) -> tuple[float, float, float]:
    status, begin, finished = trial.status, trial.started_at, trial.finished_at
    reports = trial.reports
    known = max((t for t in (begin, finished, reports[-1].at if reports else None) if t is not None), default=nan)
    is_finished, stretches = status.is_finished, trial.stretches
    was_paused = status is Status.PAUSED or (is_finished and stretches and not trial.worker)
    if begin is None or status is Status.WAITING or was_paused:
        return nan, nan, known
    if is_finished and trial.duration_s is not None:
        before_s = sum(stretch.paused_at - stretch.began_at for stretch in stretches)
        return begin, begin + trial.duration_s - before_s, known
    return begin, nan if finished is None else finished, known


def _have_paused(trials: Sequence[Trial]) -> NDArray[np.bool_]:
    """Whether each trial paused before its last attempt, (n,)."""
    return np.array([bool(trial.stretches) for trial in trials], dtype=bool)


def _lanes(workers: Sequence[str | None], begin: Floats, end: Floats) -> NDArray[np.intp]:
    """The lane of each bar. A worker keeps a lane from its first beginning to its last end; the next takes the free lane
    that has been idle for longest.
    """
    lives: dict[str | None, tuple[float, float]] = {}
    for worker, start, stop in zip(workers, begin.tolist(), end.tolist(), strict=True):
        first, last = lives.get(worker, (start, stop))
        lives[worker] = (first, max(last, stop))
    free: list[tuple[float, int]] = []
    place: dict[str | None, int] = {}
    for worker, (first, last) in lives.items():  # in the order in which they begin, like the bars
        lane = heappop(free)[1] if free and free[0][0] <= first else len(free)
        place[worker] = lane
        heappush(free, (last, lane))
    return np.array([place[worker] for worker in workers], dtype=np.intp)
