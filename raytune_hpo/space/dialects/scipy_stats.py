"""scipy.stats: frozen distributions, as scikit-learn's random search accepts them.

The most common ones become our own domains; any other decodes with its ``ppf`` and encodes with its ``cdf``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.errors import SpaceError
from raytune_hpo.space.domain import Continuous, Domain
from raytune_hpo.space.grids import FINEST, settle, snap
from raytune_hpo.space.numbers import number_problem, whole_problem
from raytune_hpo.space.numeric import Float, Int, Normal
from raytune_hpo.space.values import is_plain, plain, show


def translate(thing: Any) -> Any:
    """The translation of a frozen distribution; any other scipy object is a constant.

    Raises:
        SpaceError: a distribution of scipy's new infrastructure, or one that is not frozen.
    """
    if hasattr(thing, "icdf") or (hasattr(thing, "ppf") and not hasattr(thing, "dist")):
        raise SpaceError(f"a frozen distribution is needed, such as scipy.stats.uniform(0, 1), got {show(thing)}")
    if not hasattr(thing, "ppf"):
        return thing
    name = thing.dist.name
    lo, hi = (plain(bound) for bound in thing.support())
    if name in ("uniform", "loguniform", "reciprocal"):
        return Float(lo, hi, log=name != "uniform")
    if name == "randint":
        return Int(lo, hi)
    if name == "norm":
        return Normal(plain(thing.mean()), plain(thing.std()))
    return _frozen(name, tuple(map(plain, thing.args)), {key: plain(value) for key, value in thing.kwds.items()}, thing)


def from_json(kind: str, body: Mapping[str, Any]) -> Domain:
    """The domain of a JSON form whose kind is one of this module's.

    Raises:
        SpaceError: the kind is unknown, or scipy has no such distribution.
    """
    if kind == "shaped":
        ((inner_kind, inner),) = body["shape"].items()
        shape = from_json(inner_kind, inner)
        if isinstance(shape, Frozen):
            return Shaped(Float(**body["base"]), shape)
    family = (
        getattr(import_module("scipy.stats"), body.get("name", ""), None) if kind in ("frozen", "frozen_ints") else None
    )
    if family is None:
        raise SpaceError(f"no domain is known as {kind!r} with {show(body)}; pass the original space")
    return _frozen(body["name"], tuple(body["args"]), body["kwds"], family(*body["args"], **body["kwds"]))


def _frozen(name: str, args: tuple[Any, ...], kwds: Mapping[str, Any], distribution: Any) -> Domain:
    if not is_plain([*args, *kwds.values()]):
        raise SpaceError(f"the parameters of a distribution must be numbers, got {name}{show(args)} {show(dict(kwds))}")
    kind = Frozen if hasattr(distribution, "pdf") else FrozenInts
    return kind(name, args, tuple(sorted(kwds.items())), distribution)


@dataclass(frozen=True)
class _Scipy(Domain):
    """Base of both domains: the name and parameters of a family in ``scipy.stats``, and the frozen distribution."""

    name: str
    args: tuple[float, ...]
    kwds: tuple[tuple[str, float], ...]
    distribution: Any = field(compare=False, repr=False)

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """The support; infinite where there is no bound."""
        lo, hi = self.distribution.support()
        return float(lo), float(hi)

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "args": list(self.args), "kwds": dict(self.kwds)}


@dataclass(frozen=True)
class Frozen(_Scipy, Continuous):
    """A continuous distribution of scipy."""

    kind = "frozen"

    @property
    def size(self) -> None:
        return None

    def codes(self, unit: Array) -> Array:
        return np.asarray(self.distribution.ppf(snap(unit)), dtype=np.float64)

    def units(self, codes: Array) -> Array:
        return settle(snap(self.below(codes)), codes, self.codes, apart=1 / FINEST)

    def below(self, codes: Array) -> Array:
        return np.asarray(self.distribution.cdf(codes), dtype=np.float64)

    def problem(self, value: Any) -> str | None:
        return number_problem(value, *self.bounds)

    def quantiles(self, points: int) -> list[Any]:
        return self.decode((np.arange(points) + 0.5) / points)


@dataclass(frozen=True)
class FrozenInts(_Scipy):
    """A discrete distribution of scipy."""

    kind = "frozen_ints"

    @property
    def size(self) -> int | None:
        lo, hi = self.bounds
        return int(hi - lo) + 1 if math.isfinite(hi - lo) else None

    def codes(self, unit: Array) -> Array:
        return np.asarray(self.distribution.ppf(snap(unit)), dtype=np.float64).astype(np.int64)

    def units(self, codes: Array) -> Array:
        return np.asarray((self.distribution.cdf(codes - 1) + self.distribution.cdf(codes)) / 2)

    def nth(self, index: int) -> int:
        return int(self.bounds[0]) + index

    def index_of(self, value: Any) -> int:
        return int(value - self.bounds[0])

    def problem(self, value: Any) -> str | None:
        return whole_problem(value) or number_problem(value, *self.bounds)

    def quantiles(self, points: int) -> list[Any]:
        return list(dict.fromkeys(self.decode((np.arange(points) + 0.5) / points)))


@dataclass(frozen=True)
class Shaped(Continuous):
    """A bounded Float whose coordinates are not uniform but have the distribution ``shape`` on [0, 1]."""

    kind = "shaped"

    base: Float
    shape: Frozen

    def __post_init__(self) -> None:
        object.__setattr__(self, "log", self.base.log)

    @property
    def size(self) -> None:
        return None

    @property
    def bounds(self) -> tuple[float, float]:
        return self.base.bounds

    def codes(self, unit: Array) -> Array:
        return self.base.codes(self.shape.codes(unit))

    def units(self, codes: Array) -> Array:
        return settle(snap(self.below(codes)), codes, self.codes, apart=1 / FINEST)

    def below(self, codes: Array) -> Array:
        return self.shape.below(self.base.below(codes))

    def problem(self, value: Any) -> str | None:
        return self.base.problem(value)

    def to_json(self) -> dict[str, Any]:
        return {"base": self.base.to_json(), "shape": {self.shape.kind: self.shape.to_json()}}
