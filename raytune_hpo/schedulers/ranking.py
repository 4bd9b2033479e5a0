"""Rankings of trials by their losses and violations, shared by several schedulers.

With one goal, trials are ordered by their losses. With several, they are ranked by Pareto front: a trial of an earlier
front is better, one of the same front is not. With outcome constraints, trials that keep all come first, by their losses;
then those of which that is not known, since their report lacks a metric; and last those that break one, by violations.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.goals import Goal, excesses_of
from raytune_hpo.numerics.violations import by_feasibility, feasible_fronts, total_violations
from raytune_hpo.trial import Report, Trial

Losses: TypeAlias = tuple[float, ...]
Row: TypeAlias = tuple[float, ...]  # the losses of the goals and, after those, the excess over each outcome constraint
LAST_STEP = "it is the last step of a trial"  # what an error about max_steps suggests, since it has no default
_MOST_SORTED = 500  # the newest entries, which are sorted into fronts; the cost grows with the square of their number


@dataclass(frozen=True)
class Criteria:
    """What trials are ranked by: the losses of the goals, and by how much they break the outcome constraints."""

    num_goals: int = 1
    constraints: Sequence[Goal] = ()

    @property
    def is_one_loss(self) -> bool:
        """Whether rows are ordered by a single number."""
        return self.num_goals == 1 and not self.constraints

    def row(self, scored: Report | Trial, losses: Losses | None = None) -> Row:
        """The row of a report or a result that has losses, or of other losses with its violations."""
        losses = scored.losses if losses is None else losses
        assert losses is not None, "only what has losses is ranked"
        return losses + excesses_of(scored.metrics, self.constraints) if self.constraints else losses

    def is_broken(self, row: Row) -> bool:
        """Whether the row is known to break an outcome constraint."""
        return any(excess > 0 for excess in row[self.num_goals :])

    def places(self, rows: Array) -> Array:
        """The place (n,) of each row, 0 the best."""
        return feasible_fronts(rows[:, : self.num_goals], rows[:, self.num_goals :])

    def is_no_worse(self, row: Row, other: Row) -> bool:
        """Whether a row comes before another by feasibility or, where both are alike in that, is no worse in any goal."""
        Y, C = np.split(np.array([row, other]), [self.num_goals], axis=1)
        own, others = by_feasibility(total_violations(C))
        return bool(own < others or (own == others and (Y[0] <= Y[1]).all()))


ONE_LOSS = Criteria()  # before a scheduler is bound to a study


class Ranking(Protocol):
    """A ranking with one entry per trial; every query leaves out the entry of the trial in question."""

    def put(self, number: int, row: Row) -> None:
        """Set the trial's entry."""
        ...

    def num_others(self, number: int) -> int:
        """The number of other trials."""
        ...

    def num_better(self, number: int, row: Row) -> int:
        """The number of other trials that are strictly better than the row."""
        ...

    def is_behind(self, number: int, row: Row, share: float) -> bool:
        """Whether the row is worse than the quantile that this share of the others is no worse than.

        There must be at least one other.
        """
        ...


def ranking(criteria: Criteria) -> Ranking:
    """An empty ranking."""
    return Ordered() if criteria.is_one_loss else Sorted(criteria)


class Ordered:
    """A ranking by one loss. See Ranking.

    Queries cost O(log n). ``put`` moves pointers inside a list: about 30 microseconds among 100,000 entries.
    """

    def __init__(self) -> None:
        self._losses: dict[int, float] = {}
        self._ordered: list[float] = []

    def put(self, number: int, row: Row) -> None:
        (loss,), old = row, self._losses.get(number)
        if old == loss:
            return
        if old is not None:
            del self._ordered[bisect_left(self._ordered, old)]
        self._losses[number] = loss
        insort(self._ordered, loss)

    def num_others(self, number: int) -> int:
        return len(self._losses) - (number in self._losses)

    def num_better(self, number: int, row: Row) -> int:
        (loss,), own = row, self._losses.get(number)
        return bisect_left(self._ordered, loss) - (own is not None and own < loss)

    def is_behind(self, number: int, row: Row, share: float) -> bool:
        return row[0] > self.quantile(number, share)

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
    """A ranking by several losses or with outcome constraints, among the newest 500 entries. See Ranking.

    A query costs O(n^2): some milliseconds.
    """

    def __init__(self, criteria: Criteria) -> None:
        self._criteria = criteria
        self._entries: dict[int, Row] = {}
        self._newest: deque[int] = deque()

    def put(self, number: int, row: Row) -> None:
        if number not in self._entries:
            self._newest.append(number)
            if len(self._newest) > _MOST_SORTED:
                del self._entries[self._newest.popleft()]
        self._entries[number] = row

    def num_others(self, number: int) -> int:
        return len(self._entries) - (number in self._entries)

    def num_better(self, number: int, row: Row) -> int:
        others = [other for key, other in self._entries.items() if key != number]
        place = self._criteria.places(np.array([*others, row]))
        return int((place < place[-1]).sum())

    def is_behind(self, number: int, row: Row, share: float) -> bool:
        return self.num_better(number, row) > share * self.num_others(number)


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


def next_unreached(trial: Trial, steps: Iterable[int]) -> int | None:
    """The first of these rising steps that no report with losses has reached; None after the last one.

    It is the next step where a report without losses has passed it.
    """
    scored, last = newest_scored(trial), trial.last_step
    reached = -1 if scored is None else scored.step
    step = next((step for step in steps if step > reached), None)
    return step if step is None or last is None else max(step, last + 1)
