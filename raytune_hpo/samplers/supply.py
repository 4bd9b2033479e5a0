"""Supply: one search for several suggestions, when trials are asked for faster than results arrive.

A search belongs to a stage: the number of trials that had been told, and the rows that were running. After the first
suggestion of a stage, further ones are taken from the rows that its search found, ranked again with all that has ended or
begun since. A suggestion's stage depends on counts of trials only, never on a clock, so a suggestion is the same whether
its search is still in the memo or has to be repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.axes import row_keys
from raytune_hpo.samplers.history import Observed

_Found = TypeVar("_Found")

_RUNNING_PER_RESULT = 8  # a search may lack one result for every eight running trials,
_TOLD_PER_RESULT = 8  # but at most one for every eight that were told
_LONGEST = 32  # suggestions of one search, while no results arrive
_MOST_KEPT = 4


class Pending(NamedTuple):
    """The trials that run or wait, by number.

    Attributes:
        X: (p, d) rows.
        told: (p,) how many trials had been told when each was suggested; -1 if that is not known.
    """

    X: Array
    told: Array


class Stage(NamedTuple):
    """The stage of a suggestion, which determines the search from which it is taken.

    Attributes:
        num_told: how many trials the search knows of.
        running: (p, d) the rows that were running, sorted, so that their order does not depend on the trials'.
        turn: how many searches with the same results came before.
        is_first: whether the suggestion is the first of its search.
    """

    num_told: int
    running: Array
    turn: int
    is_first: bool

    @classmethod
    def of(cls, observed: Observed, pending: Pending) -> Stage:
        """The stage of the next suggestion.

        With few running trials every result leads to a new search. With many, a search may lack results that are few
        compared with those that are still to come; for it, the trials that have ended since then are running.
        """
        n = len(observed)
        n -= n % _results_between(n, int((pending.told < n).sum()))
        if np.isnan(observed.Y[:n]).all():
            n = len(observed)
        assert observed.told is not None, "a history keeps it"
        since = pending.told >= n
        turn = int(since.sum()) // _LONGEST
        before = ~since
        before[np.flatnonzero(since)[: turn * _LONGEST]] = True
        running = np.concatenate([observed.X[n:][observed.told[n:] < n], pending.X[before]])
        order = sorted(range(len(running)), key=row_keys(running).__getitem__)
        return cls(n, running[order], turn, n == len(observed) and bool(before.all()))

    def is_same(self, other: Stage) -> bool:
        """Whether both stages have the same search, given the same results."""
        same = self.num_told == other.num_told and self.turn == other.turn
        return same and np.array_equal(self.running, other.running, equal_nan=True)


class Searches(Generic[_Found]):
    """A memo of the newest searches."""

    def __init__(self) -> None:
        self._kept: list[tuple[Stage, Observed, _Found]] = []

    def of(self, stage: Stage, observed: Observed, search: Callable[[], _Found]) -> _Found:
        """The result of this stage's search: the one in the memo or, if there is none, that of a new search.

        Args:
            observed: the trials that the stage knows of.
        """
        for known, seen, found in self._kept:
            if known.is_same(stage) and seen.is_same(observed):
                return found
        self._kept = [(stage, observed, search()), *self._kept][:_MOST_KEPT]
        return self._kept[0][2]


def _results_between(num_told: int, num_running: int) -> int:
    """How many results lead to a new search: a power of two, so that stages of different lengths begin together."""
    most = min(num_running // _RUNNING_PER_RESULT, num_told // _TOLD_PER_RESULT)
    return 1 << max(most.bit_length() - 1, 0)
