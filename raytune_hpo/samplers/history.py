"""The history that a model learns from: the finished trials of one study as columns that only grow.

X  (n, d)  coordinates in the unit cube; NaN where a parameter was not active
Y  (n, m)  losses of m goals; NaN where a trial failed, or has none
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.facts import Status
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial

_Fit = TypeVar("_Fit")

_EVERY = 20  # trials; up to then models are fitted to every one, later to every tenth part more
_GROWTH = 1.1


class Observed(NamedTuple):
    """The first n finished trials, in the order in which they were told. Views: not to be written to."""

    X: Array
    Y: Array

    def __len__(self) -> int:  # a NamedTuple's own length is its number of fields
        return len(self.X)

    def first(self, n: int) -> Observed:
        """The first n of them: models are fitted to prefixes, so that a fit can be repeated."""
        return Observed(self.X[:n], self.Y[:n])

    def is_same(self, other: Observed) -> bool:
        """Whether both say the same, so that a fit to one is a fit to the other."""
        return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(self[:], other[:], strict=True))


class Memo(Generic[_Fit]):
    """A memo of the newest fit, until the fit of another history is asked for."""

    def __init__(self) -> None:
        self._newest: tuple[Observed, _Fit] | None = None

    def of(self, observed: Observed, fit: Callable[[], _Fit]) -> _Fit:
        """What was fitted to these results, or what is now."""
        newest = self._newest
        if newest is None or not newest[0].is_same(observed):
            newest = self._newest = observed, fit()
        return newest[1]


class Training(NamedTuple):
    """What a model is trained on.

    Attributes:
        X: (n, d) rows.
        y: (n,) losses as the model sees them: transformed and standardised.
        losses: (n,) as they were; failed trials have the worst of them.
    """

    X: Array
    y: Array
    losses: Array


class History:
    """The finished trials of one study.

    ``tell`` only notes a trial; ``read`` translates what came since, all at once. What was read stays valid while more
    is told, so an ask needs neither lock nor copy.

    Args:
        num_goals: how many losses a trial has.
    """

    def __init__(self, space: Space, num_goals: int) -> None:
        self._space = space
        self._told: list[tuple[Mapping[str, Any], tuple[float, ...] | None]] = []
        self._columns = Observed(np.empty((0, space.num_columns)), np.empty((0, num_goals)))
        self._read = 0  # how many of those told stand in the columns

    def __len__(self) -> int:
        return len(self._told)

    def tell(self, trial: Trial, *, at_its_best: bool = False) -> None:
        """Note a finished trial. A pruned one counts with its last report, a failed one with no loss.

        Args:
            at_its_best: a pruned one counts with the best of its reports instead, each goal for itself.
        """
        losses = None if trial.status is Status.FAILED else trial.last_losses
        if at_its_best and trial.status is Status.PRUNED and losses is not None:
            reported = [report.losses for report in trial.reports if report.losses is not None]
            losses = tuple(min(column) for column in zip(*reported, strict=True))
        self._told.append((trial.config, losses))

    def read(self) -> Observed:
        """All that was told so far."""
        n = len(self._told)
        columns, read = self._columns, self._read
        if read < n:
            if len(columns.X) < n:
                columns = Observed(_grown(columns.X, n), _grown(columns.Y, n))
            new = self._told[read:n]
            columns.X[read:n] = self._space.encode([config for config, _ in new])
            width = columns.Y.shape[1]
            columns.Y[read:n] = [(np.nan,) * width if losses is None else losses for _, losses in new]
            self._columns, self._read = columns, n
        return columns.first(n)


def representatives(y: Array, most: int) -> Array:
    """Positions of at most ``most`` trials that stand for all of them, in order: half are the best, a quarter the newest,
    the rest from all over the study.

    Args:
        y: (n,) losses, in the order in which they were told.
    """
    n = len(y)
    if n <= most:
        return np.arange(n)
    kept = np.zeros(n, dtype=bool)
    kept[np.argsort(y, kind="stable")[: most // 2]] = True
    kept[n - most // 4 :] = True
    others = np.flatnonzero(~kept)
    kept[others[np.linspace(0, len(others) - 1, most - int(kept.sum())).astype(np.intp)]] = True
    return np.flatnonzero(kept)


def last_due(n: int) -> int:
    """The largest length <= n at which a model is fitted: every one at first, then a tenth more each time."""
    if n <= _EVERY:
        return n
    due = _EVERY
    while (following := max(due + 1, int(due * _GROWTH))) <= n:
        due = following
    return due


def _grown(rows: Array, n: int) -> Array:
    """A copy with room for n rows and as many again; views of the old rows stay as they are."""
    grown = np.full((2 * n, rows.shape[1]), np.nan)
    grown[: len(rows)] = rows
    return grown
