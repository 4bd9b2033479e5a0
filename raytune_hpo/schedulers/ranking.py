"""Rankings of trials by their losses, shared by several schedulers.

With one goal, trials are ordered by their losses. With several, they are ranked by Pareto front: a trial of an earlier
front is better, one of the same front is not.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from typing import Protocol, TypeAlias

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.pareto import fronts
from raytune_hpo.trial import Report, Trial

Losses: TypeAlias = tuple[float, ...]
LAST_STEP = "it is the last step of a trial"  # what an error about max_steps suggests, since it has no default
_MOST_SORTED = 500  # the newest entries, which are sorted into fronts; the cost grows with the square of their number


class Ranking(Protocol):
    """A ranking with one entry per trial; every query leaves out the entry of the trial in question."""

    def put(self, number: int, losses: Losses) -> None:
        """Set the trial's entry."""
        ...

    def num_others(self, number: int) -> int:
        """The number of other trials."""
        ...

    def num_better(self, number: int, losses: Losses) -> int:
        """The number of other trials that are strictly better than the losses."""
        ...

    def is_behind(self, number: int, losses: Losses, share: float) -> bool:
        """Whether the losses are worse than the quantile that this share of the others is no worse than.

        There must be at least one other.
        """
        ...


def ranking(num_goals: int) -> Ranking:
    """An empty ranking by the losses of ``num_goals`` goals."""
    return Ordered() if num_goals == 1 else Sorted(num_goals)


class Ordered:
    """A ranking by one loss. See Ranking.

    Queries cost O(log n). ``put`` moves pointers inside a list: about 30 microseconds among 100,000 entries.
    """

    def __init__(self) -> None:
        self._losses: dict[int, float] = {}
        self._ordered: list[float] = []

    def put(self, number: int, losses: Losses) -> None:
        (loss,), old = losses, self._losses.get(number)
        if old == loss:
            return
        if old is not None:
            del self._ordered[bisect_left(self._ordered, old)]
        self._losses[number] = loss
        insort(self._ordered, loss)

    def num_others(self, number: int) -> int:
        return len(self._losses) - (number in self._losses)

    def num_better(self, number: int, losses: Losses) -> int:
        (loss,), own = losses, self._losses.get(number)
        return bisect_left(self._ordered, loss) - (own is not None and own < loss)

    def is_behind(self, number: int, losses: Losses, share: float) -> bool:
        return losses[0] > self.quantile(number, share)

    def quantile(self, number: int, share: float) -> float:
        """The loss that this share of the others is no worse than, interpolated linearly between two of them."""
        low, part = divmod(share * (self.num_others(number) - 1), 1.0)
        below = self._other(number, int(low))
        return below + part * (self._other(number, int(low) + 1) - below) if part else below

    def _other(self, number: int, rank: int) -> float:
        own = self._losses.get(number)
        passed_own = own is not None and rank >= bisect_left(self._ordered, own)
        return self._ordered[rank + passed_own]


class Sorted:
    """A ranking by several losses: by Pareto front, among the newest 500 entries. See Ranking.

    A query costs O(n), the first one after a ``put`` O(n^2): about a millisecond.
    """

    def __init__(self, num_goals: int) -> None:
        self._num_goals = num_goals
        self._entries: dict[int, Losses] = {}
        self._newest: deque[int] = deque()
        self._sorted: tuple[Array, Array] | None = None  # losses and fronts of all entries

    def put(self, number: int, losses: Losses) -> None:
        if self._entries.get(number) == losses:
            return
        if number not in self._entries:
            self._newest.append(number)
            if len(self._newest) > _MOST_SORTED:
                del self._entries[self._newest.popleft()]
        self._entries[number] = losses
        self._sorted = None

    def num_others(self, number: int) -> int:
        return len(self._entries) - (number in self._entries)

    def num_better(self, number: int, losses: Losses) -> int:
        Y, front = self._others(number)
        own = np.asarray(losses)
        above = (own >= Y).all(axis=1) & (own > Y).any(axis=1)
        # Trials that this one dominates come after it in any case, so it does not change the fronts before its own.
        return int((front < 1 + front[above].max()).sum()) if above.any() else 0

    def is_behind(self, number: int, losses: Losses, share: float) -> bool:
        return self.num_better(number, losses) > share * self.num_others(number)

    def _others(self, number: int) -> tuple[Array, Array]:
        if number in self._entries:
            Y = np.array([losses for key, losses in self._entries.items() if key != number])
            Y = Y.reshape(-1, self._num_goals)
            return Y, fronts(Y)
        if self._sorted is None:
            Y = np.array(list(self._entries.values())).reshape(-1, self._num_goals)
            self._sorted = Y, fronts(Y)
        return self._sorted


def newest_scored(trial: Trial, before: int | None = None) -> Report | None:
    """The newest of the first ``before`` reports (of all by default) that has losses."""
    end = len(trial.reports) if before is None else before
    reports = (trial.reports[i] for i in range(end - 1, -1, -1))
    return next((report for report in reports if report.losses is not None), None)


def first_to_reach(trial: Trial, step: int) -> bool:
    """Whether the newest report, which has losses, is the trial's first report with losses at this step or beyond."""
    if not trial.reports or trial.reports[-1].losses is None or trial.reports[-1].step < step:
        return False
    before = newest_scored(trial, before=len(trial.reports) - 1)
    return before is None or before.step < step
