"""Priors: a user's belief about where the good values of a number lie.

A prior is an argument of a domain, as in ``Float(1e-5, 1e-1, log=True, prior=Normal(1e-3, 0.25))``. It changes neither the
domain's values nor their unit coordinates.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.errors import SpaceError
from raytune_hpo.numerics.beliefs import MIDDLES
from raytune_hpo.space.numbers import number
from raytune_hpo.space.values import show

_MOST_SHAPE = 1e9  # of a Beta prior, whose peak is then far narrower than a bin


class Prior(ABC):
    """A belief about a parameter that is a number."""

    kind: ClassVar[str]

    @abstractmethod
    def log_density(self, lo: float, hi: float, log: bool) -> Array:
        """The log density (4096,), up to a constant, at ``MIDDLES`` of the range lo to hi, on a log scale if ``log``."""

    @abstractmethod
    def problem(self, lo: float, hi: float) -> str | None:
        """The rule of this prior that a range breaks; None if it breaks none."""

    def to_json(self) -> dict[str, Any]:
        return {self.kind: [getattr(self, field.name) for field in fields(self)]}  # type: ignore[arg-type]  # dataclasses


@dataclass(frozen=True)
class Normal(Prior):
    """The belief that good values are normally distributed on the parameter's scale, truncated at its bounds.

    Args:
        mean: the centre, in the parameter's units.
        sd: the standard deviation, as a share of the range on the parameter's scale: 0.25 is a quarter of it, which for
            a logarithmic range of four decades is one decade.

    Raises:
        SpaceError: a mean that is not finite, or an sd that is not above 0.
    """

    kind = "normal"

    mean: float
    sd: float = 0.25

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", number(self.mean, "the mean of a Normal prior"))
        object.__setattr__(self, "sd", number(self.sd, "the sd of a Normal prior"))
        if self.sd <= 0:
            raise SpaceError(f"a Normal prior needs sd > 0, as a share of the range, got sd={self.sd}")

    def log_density(self, lo: float, hi: float, log: bool) -> Array:
        around = math.log(self.mean / lo) / math.log(hi / lo) if log else (self.mean - lo) / (hi - lo)
        # A narrower one lies in a single bin too, and its logarithms may overflow.
        return np.asarray(-(((MIDDLES - around) / max(self.sd, 1e-9)) ** 2) / 2)

    def problem(self, lo: float, hi: float) -> str | None:
        return None if lo <= self.mean <= hi else f"a Normal prior's mean lies within [{lo}, {hi}], got {self.mean}"


@dataclass(frozen=True)
class Beta(Prior):
    """The belief that good values are beta distributed over the range, on the parameter's scale.

    Args:
        a, b: its shape: the larger a is against b, the more towards the upper bound; above 1 both, it has a peak at
            (a - 1) / (a + b - 2) of the range. Above 0, and at most 1e9.

    Raises:
        SpaceError: a or b is not above 0, or above 1e9.
    """

    kind = "beta"

    a: float
    b: float

    def __post_init__(self) -> None:
        for name in ("a", "b"):
            object.__setattr__(self, name, number(getattr(self, name), f"the {name} of a Beta prior"))
        if not (0 < self.a <= _MOST_SHAPE and 0 < self.b <= _MOST_SHAPE):
            raise SpaceError(
                f"a Beta prior needs a and b above 0 and at most {_MOST_SHAPE:g}, got a={self.a}, b={self.b}"
            )

    def log_density(self, lo: float, hi: float, log: bool) -> Array:
        return np.asarray((self.a - 1) * np.log(MIDDLES) + (self.b - 1) * np.log1p(-MIDDLES))

    def problem(self, lo: float, hi: float) -> str | None:
        return None


def checked_prior(prior: Any, lo: float, hi: float) -> Prior | None:
    """A prior, given as such or in its JSON form, after checking that it fits the range; None stays None.

    Raises:
        SpaceError: it is not a prior, or does not fit the range.
    """
    if isinstance(prior, Mapping) and len(prior) == 1:
        ((kind, arguments),) = prior.items()
        if kind in _PRIORS:
            prior = _PRIORS[kind](*arguments)
    if prior is None:
        return None
    if not isinstance(prior, Prior):
        namesake = type(prior).__name__.lower() in _PRIORS  # a domain of this package, or a distribution of torch
        origin = f" of {type(prior).__module__}" if namesake else ""
        raise SpaceError(f"a prior is hpo.Normal(mean, sd) or hpo.Beta(a, b), got {show(prior)}{origin}")
    if lo == hi:
        raise SpaceError(f"a prior needs a range of more than one value, got [{lo}, {hi}]; leave it out")
    if problem := prior.problem(lo, hi):
        raise SpaceError(problem)
    return prior


_PRIORS: Mapping[str, type[Normal] | type[Beta]] = {"normal": Normal, "beta": Beta}
