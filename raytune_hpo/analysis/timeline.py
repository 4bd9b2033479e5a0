"""The timeline of a study: when workers were busy, and how well they were used.

A trial that has paused was on a worker several times: each time is a bar of its own.

Times are seconds since the study's first trial was handed out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from raytune_hpo.analysis.series import Floats
from raytune_hpo.facts import Status
from raytune_hpo.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The times that trials spent in their objectives, on lanes.

    A lane is a place where one trial runs at a time: a worker, and after its end another one that came in its stead.

    Attributes:
        trials: those that were on a worker, in the order in which they were there; a trial comes as often as it was.
        lanes: (n,) where each of them ran, from 0 on.
        begin, end: (n,); a running trial ends at the last time that is known of the study.
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
        """The first beginning and the last end."""
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
        """What share of each of ``num`` equal parts of the span each lane was busy, (lanes, num)."""
        edges = self.edges(num)
        width = (edges[-1] - edges[0]) / num
        if not width > 0:
            return np.zeros((self.num_lanes, num))
        return np.array([np.diff(self._busy_up_to(lane, edges)) / width for lane in range(self.num_lanes)])

    def _busy_up_to(self, lane: int, times: Floats) -> Floats:
        """The seconds for which a lane was busy before each of the times."""
        own = self.lanes == lane
        ends = np.stack([self.begin[own], self.end[own]], axis=1).ravel()
        ends = np.maximum.accumulate(ends)  # clocks of machines differ: a worker may seem to begin before it ended
        worked = np.diff(ends, prepend=ends[0])
        worked[::2] = 0.0  # the time before a beginning is idle
        return np.asarray(np.interp(times, ends, np.cumsum(worked)))


class _Bar(NamedTuple):
    """A time that a trial was on a worker, in epoch seconds; ``end`` is None while it lasts."""

    begin: float
    end: float | None
    worker: str | None
    trial: Trial


def timeline_of(trials: Sequence[Trial]) -> Timeline:
    """The timeline of trials: of attempts that paused, and of the last ones; when others were lost nobody knows."""
    bars = sorted((bar for trial in trials for bar in _bars(trial)), key=lambda bar: (bar.begin, bar.trial.number))
    origin = min((trial.created_at for trial in trials), default=0.0)
    seen = [t for trial in trials for t in (trial.started_at, trial.finished_at, *[r.at for r in trial.reports[-1:]])]
    last = max((t for t in seen if t is not None), default=0.0)  # the last time that is known of the study
    begin = np.array([bar.begin for bar in bars], dtype=np.float64) - origin
    end = np.array([last if bar.end is None else bar.end for bar in bars], dtype=np.float64) - origin
    end = np.maximum(end, begin)
    lanes = _lanes([bar.worker for bar in bars], begin, end)
    return Timeline(trials=tuple(bar.trial for bar in bars), lanes=lanes, begin=begin, end=end)


def _bars(trial: Trial) -> Iterator[_Bar]:
    """The times that a trial was on a worker."""
    for stretch in trial.stretches:
        yield _Bar(stretch.began_at, stretch.paused_at, stretch.worker, trial)
    was_paused = trial.status is Status.PAUSED or (trial.status.is_finished and trial.stretches and not trial.worker)
    if trial.started_at is None or trial.status is Status.WAITING or was_paused:
        return
    end = trial.finished_at
    if trial.status.is_finished and trial.duration_s is not None:
        before_s = sum(stretch.paused_at - stretch.began_at for stretch in trial.stretches)
        end = trial.started_at + trial.duration_s - before_s
    yield _Bar(trial.started_at, end, trial.worker, trial)


def _lanes(workers: Sequence[str | None], begin: Floats, end: Floats) -> NDArray[np.intp]:
    """A lane for each worker's life, from its first beginning to its last end; the one that has been free for longest."""
    lives: dict[str | None, tuple[float, float]] = {}
    for worker, start, stop in zip(workers, begin.tolist(), end.tolist(), strict=True):
        first, last = lives.get(worker, (start, stop))
        lives[worker] = (first, max(last, stop))
    free: list[tuple[float, int]] = []
    place: dict[str | None, int] = {}
    for worker, (first, last) in lives.items():  # in the order of their beginnings, as the bars are
        lane = heappop(free)[1] if free and free[0][0] <= first else len(free)
        place[worker] = lane
        heappush(free, (last, lane))
    return np.array([place[worker] for worker in workers], dtype=np.intp)
