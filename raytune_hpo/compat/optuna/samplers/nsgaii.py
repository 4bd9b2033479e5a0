"""Crossovers and mutations of NSGA-II, under Optuna's names: accepted with a warning, since ``nsga2`` has its own."""

from __future__ import annotations

from typing import Any

__all__ = [
    "BLXAlphaCrossover",
    "BaseCrossover",
    "BaseMutation",
    "PolynomialMutation",
    "SBXCrossover",
    "SPXCrossover",
    "UNDXCrossover",
    "UniformCrossover",
    "VSBXCrossover",
]


class _Operator:
    def __init__(self, *args: Any, **options: Any) -> None:
        self.args, self.options = args, options

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class BaseCrossover(_Operator):
    """The base of crossovers.

    Attributes:
        n_parents: how many members of a population make a child.
    """

    n_parents = 2


class UniformCrossover(BaseCrossover):
    """Each parameter is that of one of two parents."""


class BLXAlphaCrossover(BaseCrossover):
    """Each parameter is drawn from around two parents."""


class SPXCrossover(BaseCrossover):
    """A child is drawn from a simplex around its parents."""

    n_parents = 3


class SBXCrossover(BaseCrossover):
    """Simulated binary crossover."""


class VSBXCrossover(BaseCrossover):
    """Simulated binary crossover with a wider spread."""


class UNDXCrossover(BaseCrossover):
    """A child is drawn from a normal distribution around its parents."""

    n_parents = 3


class BaseMutation(_Operator):
    """The base of mutations."""


class PolynomialMutation(BaseMutation):
    """A number moves by a polynomial distribution."""
