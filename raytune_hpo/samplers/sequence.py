"""Sequences of suggestions for samplers without a history: computed in blocks, with each index kept in ``meta``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

from raytune_hpo.trial import Trial

Item = TypeVar("Item")
INDEX = "index"  # the key in ``meta``


class BlockSequence(Generic[Item]):
    """An endless sequence that is computed a block at a time, so that reading an item costs a microsecond.

    The two newest blocks are kept, since suggestions prefetched ahead of need may step back over a boundary.
    ``compute(block)`` must depend on nothing but the block's number; then it does not matter which blocks are kept, or
    which thread computed them.
    """

    def __init__(self, size: int, compute: Callable[[int], Sequence[Item] | Gradual[Item]]) -> None:
        self.size = size
        self._compute = compute
        self._kept: tuple[tuple[int, Sequence[Item] | Gradual[Item]], ...] = ()

    def __getitem__(self, index: int) -> Item:
        number, offset = divmod(index, self.size)
        for kept, items in self._kept:
            if kept == number:
                return items[offset]
        items = self._compute(number)
        self._kept = ((number, items), *self._kept[:1])
        return items[offset]


class Gradual(Generic[Item]):
    """The items of an iterator by their positions, taken from it as far as they have been asked for, by any thread.

    ``iterate`` must give the same items each time: after an error it is called again.
    """

    def __init__(self, iterate: Callable[[], Iterator[Item]]) -> None:
        self._iterate, self._lock = iterate, threading.Lock()
        self._left, self._taken = iterate(), list[Item]()

    def __getitem__(self, position: int) -> Item:
        with self._lock:
            try:
                self._taken += islice(self._left, max(0, position + 1 - len(self._taken)))
            except Exception:
                self._left, self._taken = self._iterate(), []
                raise
            return self._taken[position]


class IndexCounter:
    """The index of the next suggestion: one above the highest of those told and pending."""

    def __init__(self) -> None:
        self._highest = -1  # of the trials that were told

    def tell(self, meta: Mapping[str, Any]) -> None:
        self._highest = max(self._highest, meta.get(INDEX, -1))

    def next_index(self, newest: Trial | None) -> int:
        """The smallest index neither told nor pending.

        Every suggestion takes the next index, so indices rise with the trials' numbers, and of the pending trials only
        the newest matters.
        """
        pending = -1 if newest is None else newest.meta[INDEX]
        return max(self._highest, pending) + 1


def newest_indexed(pending: Sequence[Trial]) -> tuple[Trial | None, list[Trial]]:
    """The newest pending trial that has an index, and the later ones, which have none: the user's own points."""
    others: list[Trial] = []
    for trial in reversed(pending):
        if INDEX in trial.meta:
            return trial, others
        others.append(trial)
    return None, others
