"""Supply: one search for several suggestions, where trials are asked for faster than results come.

A search is made at a stage: so many trials had been told, and these rows were running. What is asked for at a stage after
its first suggestion is taken from what that search has found, in view of all that has ended or begun since. The stage of a
suggestion follows from counts of trials alone, never from a clock: so a suggestion is the same whether the search is still
remembered or has to be made again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.axes import row_keys
from raytune_hpo.samplers.history import Observed

_Found = TypeVar("_Found")

_RUNNING_PER_RESULT = 8  # a search may miss one result for so many trials that run
_TOLD_PER_RESULT = 8  # and one for so many that were told
_LONGEST = 32  # suggestions of one search, while no results come
_MOST_KEPT = 4


class Pending(NamedTuple):
    """The trials that run or wait, by number.

    Attributes:
        X: (p, d) rows.
        told: (p,) how many trials had been told when each was suggested; -1 where that is not known.
    """

    X: Array
    told: Array


class Stage(NamedTuple):
    """What a search is made for, and whose suggestions are taken from it.

    Attributes:
        num_told: of the trials that it knows of.
        running: (p, d) the rows that were running, in an order of their own.
        turn: how many searches came before it for as many results.
        is_first: whether the suggestion that is asked for is the one that the search is made for.
    """

    num_told: int
    running: Array
    turn: int
    is_first: bool

    @classmethod
    def of(cls, observed: Observed, pending: Pending) -> Stage:
        """The stage of the next suggestion.

        With few trials running every result leads to a search of its own; with many, results are waited for that are few
        against those that are not known either. The trials that have ended since then are running for it.
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
        """Whether both have the same search, if they know of the same results."""
        same = self.num_told == other.num_told and self.turn == other.turn
        return same and np.array_equal(self.running, other.running, equal_nan=True)


class Searches(Generic[_Found]):
    """A memo of the newest searches."""

    def __init__(self) -> None:
        self._kept: list[tuple[Stage, Observed, _Found]] = []

    def of(self, stage: Stage, observed: Observed, search: Callable[[], _Found]) -> _Found:
        """What was found at this stage, or what is now.

        Args:
            observed: the trials that the stage knows of.
        """
        for known, seen, found in self._kept:
            if known.is_same(stage) and seen.is_same(observed):
                return found
        self._kept = [(stage, observed, search()), *self._kept][:_MOST_KEPT]
        return self._kept[0][2]


def _results_between(num_told: int, num_running: int) -> int:
    """After how many results there is a new search: a power of two, so that stages of different lengths begin together."""
    most = min(num_running // _RUNNING_PER_RESULT, num_told // _TOLD_PER_RESULT)
    return 1 << max(most.bit_length() - 1, 0)
