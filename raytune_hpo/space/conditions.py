"""Conditions: when a column is active. A test of another column, or several of them joined.

A condition holds only where the columns that it tests are active themselves, so a chain of branches needs no more than
the nearest one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from raytune_hpo.arrays import Array

_FEW = 8


def _is_among(codes: Array, operand: tuple[float, ...]) -> Array:
    """What ``np.isin`` says, in a tenth of its time where few values are looked for."""
    if len(operand) > _FEW:
        return np.isin(codes, operand)
    found = np.zeros(len(codes), dtype=bool)
    for value in operand:
        found |= codes == value
    return found


_TESTS: dict[str, Callable[[Array, tuple[float, ...]], Array]] = {
    "in": lambda codes, operand: _is_among(codes, operand),
    "not in": lambda codes, operand: ~_is_among(codes, operand),
    "<": lambda codes, operand: codes < operand[0],
    ">": lambda codes, operand: codes > operand[0],
}


@dataclass(frozen=True)
class Test:
    """Whether the code of a column passes.

    Attributes:
        column: the number of the column that is tested.
        op: ``"in"``, ``"not in"``, ``"<"`` or ``">"``.
        operand: codes: positions of options of a Choice or Ordinal, otherwise numbers.
    """

    column: int
    op: str
    operand: tuple[float, ...]

    def passes(self, codes: Array) -> Array:
        """Which of the codes (n,) pass, (n,) of bool."""
        return _TESTS[self.op](codes, self.operand)


@dataclass(frozen=True)
class AllOf:
    """All of several conditions."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class AnyOf:
    """At least one of several conditions."""

    parts: tuple[Condition, ...]


Condition: TypeAlias = Test | AllOf | AnyOf


def holds(condition: Condition | None, codes: Mapping[int, Array], active: Mapping[int, Array], n: int) -> Array:
    """Where a condition holds, (n,) of bool; no condition holds everywhere.

    Args:
        codes: of the columns that are tested, (n,) each; anything where they are not active.
        active: where those columns are active, (n,) of bool each.
    """
    if condition is None:
        return np.ones(n, dtype=bool)
    if isinstance(condition, Test):
        return active[condition.column] & condition.passes(codes[condition.column])
    joined = np.logical_and if isinstance(condition, AllOf) else np.logical_or
    return np.asarray(joined.reduce([holds(part, codes, active, n) for part in condition.parts]))


def tested(condition: Condition | None) -> frozenset[int]:
    """The columns that a condition tests."""
    if condition is None:
        return frozenset()
    if isinstance(condition, Test):
        return frozenset([condition.column])
    return frozenset().union(*(tested(part) for part in condition.parts))


def map_tests(condition: Condition, change: Callable[[Test], Condition]) -> Condition:
    """The condition with every test changed."""
    if isinstance(condition, Test):
        return change(condition)
    return replace(condition, parts=tuple(map_tests(part, change) for part in condition.parts))


def both(left: Condition | None, right: Condition | None) -> Condition | None:
    """The condition that both hold; None stands for always."""
    parts: Sequence[Condition] = [part for part in (left, right) if part is not None]
    return AllOf(tuple(parts)) if len(parts) == 2 else next(iter(parts), None)
