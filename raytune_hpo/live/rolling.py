"""Sums over the last hours: what a budget is held against, read as often as somebody looks.

A sum since a time is the difference of two running totals, so that it depends on what was added alone, and not on how often
it was read or what was let go of in between: a replay must come to the very same number.
"""

from __future__ import annotations

from bisect import bisect_right

_LEAST_KEPT = 1_000


class Rolling:
    """Amounts at ascending times."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._totals: list[float] = [0.0]  # before each amount, and after the last

    def add(self, at: float, amount: float = 1.0) -> None:
        """Note an amount; times never fall."""
        self._times.append(at)
        self._totals.append(self._totals[-1] + amount)

    def count(self, begin: float) -> int:
        """How many amounts came after a time."""
        return len(self._times) - bisect_right(self._times, begin)

    def total(self, begin: float) -> float:
        """The sum of the amounts that came after a time."""
        return self._totals[-1] - self._totals[bisect_right(self._times, begin)]

    def forget(self, end: float) -> None:
        """Let go of what came until a time; nobody asks for it any more."""
        num = bisect_right(self._times, end)
        if num > max(_LEAST_KEPT, len(self._times) // 2):  # rarely, since it moves all others
            del self._times[:num], self._totals[:num]

    def clear(self) -> None:
        """As if nothing had been added."""
        self._times, self._totals = [], [0.0]
