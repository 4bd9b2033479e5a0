"""Domains that round a continuous domain: Quantised to multiples of a number, Binned to whole numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.errors import SpaceError
from raytune_hpo.space.domain import Continuous, Domain
from raytune_hpo.space.grids import decimals_of, on_decimals
from raytune_hpo.space.numbers import ON_GRID, grid_problem, number, number_problem, whole_problem

_ENDLESS = 1e6  # an unbounded domain is written exactly up to this many multiples of q


@dataclass(frozen=True)
class Quantised(Domain):
    """A continuous domain rounded to the nearest multiple of q.

    With a bounded base, less of its range rounds to the first and last value: only half an interval if the bounds are
    multiples of q. That is what ``quniform`` and its relatives mean in Ray Tune and in hyperopt.

    Args:
        base: a Float, a Normal or another continuous domain.
        whole: the values are ints; q must be a whole number.
    """

    kind = "quantised"

    base: Continuous
    q: float
    whole: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "q", number(self.q, "the quantum q"))
        if self.q <= 0:
            raise SpaceError(f"a quantised domain needs q > 0, got q={self.q}")
        object.__setattr__(self, "log", self.base.log)
        object.__setattr__(self, "step", self.q)

    @cached_property
    def _ends(self) -> tuple[float, float]:
        first, last = np.rint(np.array(self.base.bounds) / self.q).tolist()
        return first, last

    @cached_property
    def _decimals(self) -> int | None:
        ends = [abs(end) for end in self._ends if math.isfinite(end)]
        return decimals_of(self.q, largest=self.q * max(ends, default=_ENDLESS))

    @property
    def size(self) -> int | None:
        first, last = self._ends
        return round(last - first) + 1 if math.isfinite(last - first) else None

    def codes(self, unit: Array) -> Array:
        return self._grid(np.clip(np.rint(self.base.codes(unit) / self.q), *self._ends))

    def _grid(self, multiples: Array) -> Array:
        return on_decimals(multiples * self.q, self._decimals)

    def units(self, codes: Array) -> Array:
        multiples = np.rint(codes / self.q)
        return (self.base.below((multiples - 0.5) * self.q) + self.base.below((multiples + 0.5) * self.q)) / 2

    def values(self, codes: Array) -> list[Any]:
        return codes.astype(np.int64).tolist() if self.whole else codes.tolist()  # type: ignore[no-any-return]

    def nth(self, index: int) -> Any:
        return self.values(self._grid(np.array([self._ends[0] + index])))[0]

    def index_of(self, value: Any) -> int:
        return round(float(value) / self.q - self._ends[0])

    def problem(self, value: Any) -> str | None:
        if self.whole and (problem := whole_problem(value)):
            return problem
        first, last = self._ends
        off = ON_GRID * self.q
        problem = number_problem(value, first * self.q - off, last * self.q + off)
        return problem or grid_problem(value, 0.0, self.q)

    def quantiles(self, points: int) -> list[Any]:
        unit = self.base.encode(self.base.quantiles(points))
        return list(dict.fromkeys(self.decode(unit)))

    def to_json(self) -> dict[str, Any]:
        return {"base": {self.base.kind: self.base.to_json()}, "q": self.q, "whole": self.whole}


@dataclass(frozen=True)
class Binned(Domain):
    """A bounded continuous domain cut into ``num`` bins of equal width, which stand for first, first + 1, ...

    Optuna and ConfigSpace draw integers this way on a log scale, or from a normal distribution.
    """

    kind = "binned"

    base: Continuous
    first: int
    num: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "log", self.base.log)

    @property
    def size(self) -> int:
        return self.num

    @cached_property
    def _width(self) -> float:
        lo, hi = self.base.bounds
        return (hi - lo) / self.num

    def codes(self, unit: Array) -> Array:
        bins = (self.base.codes(unit) - self.base.bounds[0]) / self._width
        return self.first + np.clip(bins.astype(np.int64), 0, self.num - 1)

    def units(self, codes: Array) -> Array:
        left = self.base.bounds[0] + (codes - self.first) * self._width
        return (self.base.below(left) + self.base.below(left + self._width)) / 2

    def nth(self, index: int) -> int:
        return self.first + index

    def index_of(self, value: Any) -> int:
        return int(value) - self.first

    def problem(self, value: Any) -> str | None:
        return whole_problem(value) or number_problem(value, self.first, self.first + self.num - 1)

    def to_json(self) -> dict[str, Any]:
        return {"base": {self.base.kind: self.base.to_json()}, "first": self.first, "num": self.num}
