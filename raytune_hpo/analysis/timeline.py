"""The timeline of a study: when workers were busy, and how well they were used.

Times are seconds since the study's first trial was handed out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush

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
        trials: those that were on a worker, in the order of their beginnings.
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


def timeline_of(trials: Sequence[Trial]) -> Timeline:
    """The timeline of trials, as far as the trials' last attempts tell."""
    known = [t for t in trials if t.started_at is not None and t.status is not Status.WAITING]
    known.sort(key=lambda trial: (trial.started_at or 0.0, trial.number))
    origin = min((trial.created_at for trial in trials), default=0.0)
    begin = np.array([trial.started_at for trial in known], dtype=np.float64) - origin
    seen = [t for trial in known for t in (trial.started_at, trial.finished_at, *[r.at for r in trial.reports[-1:]])]
    last = max((t for t in seen if t is not None), default=0.0)  # the last time that is known of the study
    ends = []
    for trial in known:
        if trial.started_at is not None and trial.duration_s is not None:
            ends.append(trial.started_at + trial.duration_s)
        else:
            ends.append(last if trial.finished_at is None else trial.finished_at)
    end = np.maximum(np.array(ends, dtype=np.float64) - origin, begin)
    return Timeline(trials=tuple(known), lanes=_lanes(known, begin, end), begin=begin, end=end)


def _lanes(trials: Sequence[Trial], begin: Floats, end: Floats) -> NDArray[np.intp]:
    """A lane for each worker's life, from its first beginning to its last end; the one that has been free for longest."""
    lives: dict[str | None, tuple[float, float]] = {}
    for trial, start, stop in zip(trials, begin.tolist(), end.tolist(), strict=True):
        first, last = lives.get(trial.worker, (start, stop))
        lives[trial.worker] = (first, max(last, stop))
    free: list[tuple[float, int]] = []
    place: dict[str | None, int] = {}
    for worker, (first, last) in lives.items():  # in the order of their beginnings, as the trials are
        lane = heappop(free)[1] if free and free[0][0] <= first else len(free)
        place[worker] = lane
        heappush(free, (last, lane))
    return np.array([place[trial.worker] for trial in trials], dtype=np.intp)
