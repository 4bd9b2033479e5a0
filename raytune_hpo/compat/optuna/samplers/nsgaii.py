"""Crossovers of NSGA-II, under Optuna's names: taken, and named in a warning, since ours has one of its own."""

from __future__ import annotations

from typing import Any

__all__ = [
    "BLXAlphaCrossover",
    "BaseCrossover",
    "SBXCrossover",
    "SPXCrossover",
    "UNDXCrossover",
    "UniformCrossover",
    "VSBXCrossover",
]


class BaseCrossover:
    """A way to make a child of its parents."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.args, self.options = args, options

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class UniformCrossover(BaseCrossover):
    """Each parameter is that of one of two parents."""


class BLXAlphaCrossover(BaseCrossover):
    """Each parameter is drawn from around two parents."""


class SPXCrossover(BaseCrossover):
    """A child is drawn from a simplex around its parents."""


class SBXCrossover(BaseCrossover):
    """Simulated binary crossover."""


class VSBXCrossover(BaseCrossover):
    """Simulated binary crossover of a wider kind."""


class UNDXCrossover(BaseCrossover):
    """A child is drawn from a normal distribution around its parents."""
