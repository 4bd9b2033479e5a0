"""Domains of numbers: Float, Int and Normal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from statistics import NormalDist
from typing import Any

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.errors import SpaceError
from raytune_hpo.space.domain import Continuous, Domain
from raytune_hpo.space.grids import FINEST, Cells, decimals_of, on_decimals, settle, snap
from raytune_hpo.space.numbers import (
    check_bounds,
    count_steps,
    grid_problem,
    integer,
    multiples_within,
    number,
    number_problem,
    whole_problem,
)
from raytune_hpo.space.priors import Prior, checked_prior
from raytune_hpo.space.rounded import Quantised


@dataclass(frozen=True)
class Float(Continuous):
    """A float from lo to hi, both included.

    Args:
        log: uniform in its logarithm; lo must be above 0.
        step: only lo, lo + step, ... up to hi. All are equally likely; with ``log`` the likelihood of a value is the
            logarithmic distance to the next.
        prior: where good values are thought to lie, ``hpo.Normal(mean, sd)`` or ``hpo.Beta(a, b)``; None: anywhere.

    Raises:
        SpaceError: bounds that are reversed or not finite, a step that is not above 0 or exceeds the range, or a prior
            that does not fit it.
    """

    kind = "float"

    lo: float
    hi: float
    log: bool = False
    step: float | None = None
    prior: Prior | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "lo", number(self.lo, "the lower bound of a Float"))
        object.__setattr__(self, "hi", number(self.hi, "the upper bound of a Float"))
        check_bounds("a Float", self.lo, self.hi, self.log)
        if self.step is not None:
            object.__setattr__(self, "step", number(self.step, "the step of a Float"))
            _ = self._cells
        object.__setattr__(self, "prior", checked_prior(self.prior, self.lo, self.hi))

    @cached_property
    def _cells(self) -> Cells | None:
        if self.step is None:
            return None
        num = count_steps("a Float", self.lo, self.hi, self.step, self.log)
        return Cells(self.lo, self.step, num, self.log)

    @cached_property
    def _decimals(self) -> int | None:
        return decimals_of(self.lo, self.step or 0.0, largest=max(abs(self.lo), abs(self.hi)))

    @property
    def size(self) -> int | None:
        if self.lo == self.hi:
            return 1
        return self._cells.num if self._cells else None

    def codes(self, unit: Array) -> Array:
        if self._cells:
            grid = self.lo + self._cells.positions(unit) * self._cells.step
            return np.clip(on_decimals(grid, self._decimals), self.lo, self.hi)
        unit = unit.clip(0.0, 1.0)
        width = self._width
        codes = self.lo * np.exp(unit * width) if self.log else self.lo + unit * width
        # At 1 rounding may stop short of the bound, elsewhere it may step over it.
        return np.where(unit >= 1.0, self.hi, codes.clip(self.lo, self.hi))

    def units(self, codes: Array) -> Array:
        if self._cells:
            return self._cells.centres(self._position(codes))
        if self.lo == self.hi:
            return np.full(len(codes), 0.5)
        codes = codes.clip(self.lo, self.hi)
        return settle(self.below(codes), codes, self.codes)

    @property
    def bounds(self) -> tuple[float, float]:
        return self.lo, self.hi

    def below(self, codes: Array) -> Array:
        if self.lo == self.hi:
            return np.where(codes > self.lo, 1.0, 0.0)
        codes = codes.clip(self.lo, self.hi)
        return ((np.log(codes / self.lo) if self.log else codes - self.lo) / self._width).clip(0.0, 1.0)

    @cached_property
    def _width(self) -> float:
        return math.log(self.hi / self.lo) if self.log else self.hi - self.lo

    def _position(self, codes: Array) -> Array:
        assert self._cells
        positions = np.rint((codes - self.lo) / self._cells.step)
        return positions.clip(0, self._cells.num - 1)

    def nth(self, index: int) -> float:
        if self._cells is None:
            return self.lo
        unit = self._cells.centres(np.array([index]))
        return float(self.codes(unit)[0])

    def index_of(self, value: Any) -> int:
        return int(self._position(np.array([value]))[0]) if self._cells else 0

    def problem(self, value: Any) -> str | None:
        problem = number_problem(value, self.lo, self.hi)
        if problem or self.step is None:
            return problem
        return grid_problem(value, self.lo, self.step)

    def quantized(self, q: float) -> Quantised:
        """The same range in multiples of q, as ``quniform`` and ``qloguniform`` have it."""
        lo, hi = multiples_within(self.lo, self.hi, q)
        return Quantised(Float(lo, hi, log=self.log), q)

    def to_json(self) -> dict[str, Any]:
        form = {"lo": self.lo, "hi": self.hi, "log": self.log, "step": self.step}
        return form if self.prior is None else {**form, "prior": self.prior.to_json()}


@dataclass(frozen=True)
class Int(Domain):
    """A whole number from lo to hi, both included.

    Args:
        log: the likelihood of a value is the logarithmic distance to the next, as in ``lograndint``; lo must be >= 1.
        step: only lo, lo + step, ... up to hi.
        prior: where good values are thought to lie, ``hpo.Normal(mean, sd)`` or ``hpo.Beta(a, b)``; None: anywhere.

    Raises:
        SpaceError: bounds that are reversed, no whole numbers or too far apart to be told apart by a float in [0, 1]
            (2**52 values; 2**40 on a log scale), a step that is below 1 or exceeds the range, or a prior that does not fit
            it.
    """

    kind = "int"

    lo: int
    hi: int
    log: bool = False
    step: int | None = None
    prior: Prior | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "lo", integer(self.lo, "the lower bound of an Int"))
        object.__setattr__(self, "hi", integer(self.hi, "the upper bound of an Int"))
        check_bounds("an Int", self.lo, self.hi, self.log)
        if self.step is not None:
            object.__setattr__(self, "step", integer(self.step, "the step of an Int"))
        _ = self._cells
        object.__setattr__(self, "prior", checked_prior(self.prior, self.lo, self.hi))

    @cached_property
    def _step(self) -> int:
        return 1 if self.step is None else self.step

    @cached_property
    def _cells(self) -> Cells:
        return Cells(self.lo, self._step, count_steps("an Int", self.lo, self.hi, self._step, self.log), self.log)

    @property
    def size(self) -> int:
        return self._cells.num

    def codes(self, unit: Array) -> Array:
        return self.lo + self._cells.positions(unit) * self._step

    def units(self, codes: Array) -> Array:
        positions = np.rint((codes - self.lo) / self._step)
        return self._cells.centres(positions.clip(0, self.size - 1))

    def codes_of(self, values: Sequence[Any]) -> Array:
        codes = np.asarray(values)
        return codes if codes.dtype.kind == "i" else codes.astype(np.float64)

    def nth(self, index: int) -> int:
        return self.lo + index * self._step

    def index_of(self, value: Any) -> int:
        return (int(value) - self.lo) // self._step

    def problem(self, value: Any) -> str | None:
        if problem := whole_problem(value):
            return problem
        if not self.lo <= int(value) <= self.hi:
            return f"must lie in [{self.lo}, {self.hi}]"
        off_grid = (int(value) - self.lo) % self._step
        return f"must be {self.lo} plus a multiple of {self.step}" if off_grid else None

    def quantized(self, q: int) -> Int:
        """The multiples of q in the same range."""
        lo, hi = map(int, multiples_within(self.lo, self.hi, q))
        return Int(lo, hi, log=self.log, step=q if lo < hi else None)

    def to_json(self) -> dict[str, Any]:
        form = {"lo": self.lo, "hi": self.hi, "log": self.log, "step": self.step}
        return form if self.prior is None else {**form, "prior": self.prior.to_json()}


@dataclass(frozen=True)
class Normal(Continuous):
    """A normally distributed float without bounds; with ``log``, the exponential of one (a lognormal).

    Decoded values lie within 7.9 standard deviations. Values farther out are legal, and encode to that end.

    Raises:
        SpaceError: a mean or standard deviation that is not finite, or a deviation that is not above 0.
    """

    kind = "normal"

    mean: float = 0.0
    sd: float = 1.0
    log: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", number(self.mean, "the mean of a Normal"))
        object.__setattr__(self, "sd", number(self.sd, "the sd of a Normal"))
        if self.sd <= 0:
            raise SpaceError(f"a Normal needs sd > 0, got sd={self.sd}")
        if self.log and abs(self.mean) + 9 * self.sd > 700:
            raise SpaceError(f"a lognormal must stay within floats, got mean={self.mean}, sd={self.sd} (of the log)")

    @property
    def size(self) -> None:
        return None

    @property
    def bounds(self) -> tuple[float, float]:
        return (0.0 if self.log else -math.inf), math.inf

    def codes(self, unit: Array) -> Array:
        standard = NormalDist()
        unit = snap(unit)
        # One call per value: still microseconds, and no scipy where only the standard library is at hand.
        codes = self.mean + self.sd * np.array([standard.inv_cdf(u) for u in unit.tolist()])
        return np.exp(codes) if self.log else codes

    def units(self, codes: Array) -> Array:
        return settle(snap(self.below(codes)), codes, self.codes, apart=1 / FINEST)

    def below(self, codes: Array) -> Array:
        if self.log:
            codes = np.log(np.maximum(codes, np.finfo(np.float64).tiny))
        scores = (self.mean - codes) / (self.sd * math.sqrt(2))
        return np.array([0.5 * math.erfc(score) for score in scores.tolist()])

    def problem(self, value: Any) -> str | None:
        if self.log and isinstance(value, Real) and value <= 0:
            return "must be above 0"
        return number_problem(value, -math.inf, math.inf)

    def quantiles(self, points: int) -> list[float]:
        return self.decode((np.arange(points) + 0.5) / points)

    def quantized(self, q: float) -> Quantised:
        """Rounded to multiples of q, as ``qrandn`` has it."""
        return Quantised(self, q)

    def to_json(self) -> dict[str, Any]:
        return {"mean": self.mean, "sd": self.sd, "log": self.log}
