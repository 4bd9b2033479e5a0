"""Rolling sums over the last hours, with which budgets are compared.

A sum since a time is the difference of two running totals, so that it depends on the amounts alone, and not on reads or on
what was dropped in between: a replay must compute exactly the same number.
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
        """Add an amount; times must not decrease."""
        self._times.append(at)
        self._totals.append(self._totals[-1] + amount)

    def count(self, begin: float) -> int:
        """How many amounts came after a time."""
        return len(self._times) - bisect_right(self._times, begin)

    def total(self, begin: float) -> float:
        """The sum of the amounts that came after a time."""
        return self._totals[-1] - self._totals[bisect_right(self._times, begin)]

    def forget(self, end: float) -> None:
        """Drop amounts up to a time, which will not be read any more."""
        num = bisect_right(self._times, end)
        if num > max(_LEAST_KEPT, len(self._times) // 2):  # rarely, since it moves all others
            del self._times[:num], self._totals[:num]

    def clear(self) -> None:
        """Drop all amounts."""
        self._times, self._totals = [], [0.0]
