"""The contract of a domain: the values that one parameter may take, and how likely they are.

unit   (n,)  coordinates in [0, 1]; uniform ones give the domain's own distribution, so the unit cube is the prior
codes  (n,)  the numbers that stand for values: the values themselves, or the positions of a choice's options
values       a list of n plain Python values

``decode`` goes unit -> codes -> values, ``encode`` the way back. A finite domain cuts [0, 1] into cells, one for each
value, and encodes to their centres, so that the round trip is exact. A continuous one returns exactly what it has
decoded (see ``grids.settle``), and any other number to within rounding.

What a domain must have is abstract here: ``codes``, ``units``, ``size``, ``nth``, ``index_of``, ``problem`` and
``to_json``. The rest has defaults that are right for numbers spread evenly: ``is_ordered``, ``log``, ``step``,
``bounds`` and ``options`` tell models, figures and other libraries what the numbers mean. A custom domain is a subclass in
one file, see docs/how-to/own-domain.md.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.rng import fresh_seed


class Domain(ABC):
    """The values of one parameter, and their prior distribution.

    Attributes:
        kind: the domain's name in the JSON form of a space: ``module:Class`` unless the class sets another.
        is_ordered: whether neighbouring values are alike; those of a ``Choice`` are not.
        log: whether its numbers are spread evenly on a logarithmic scale.
        step: the distance between neighbouring numbers, if it is constant; None if it is not.
        options: the values, if they are listed and codes are their positions; empty if codes are numbers.
    """

    kind: ClassVar[str]
    is_ordered: ClassVar[bool] = True
    log: bool = False
    step: float | None = None
    options: tuple[Any, ...] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "kind" not in cls.__dict__:
            cls.kind = f"{cls.__module__}:{cls.__qualname__}"

    # -------------------------------------------------------------------------------------------- what a domain must say

    @abstractmethod
    def codes(self, unit: Array) -> Array:
        """Unit coordinates (n,) as codes (n,)."""

    @abstractmethod
    def units(self, codes: Array) -> Array:
        """Codes (n,) as unit coordinates (n,): the centres of cells, if the domain has cells."""

    @property
    @abstractmethod
    def size(self) -> int | None:
        """How many values there are; None if they are infinitely many."""

    @abstractmethod
    def nth(self, index: int) -> Any:
        """The value at a position of a finite domain, in order."""

    @abstractmethod
    def index_of(self, value: Any) -> int:
        """The position of a value of a finite domain: the inverse of ``nth``."""

    @abstractmethod
    def problem(self, value: Any) -> str | None:
        """The rule that a value breaks, to follow the parameter's name in a message; None if it breaks none."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The arguments that make an equal domain, as JSON values."""

    # -------------------------------------------------------------------------------------------- what it may say

    @classmethod
    def from_json(cls, arguments: Mapping[str, Any]) -> Domain:
        """The domain that ``to_json`` described."""
        return cls(**arguments)

    @property
    def bounds(self) -> tuple[float, float]:
        """Between which numbers its values lie; infinite where there is no bound."""
        return -math.inf, math.inf

    def values(self, codes: Array) -> list[Any]:
        """Codes as plain Python values."""
        return codes.tolist()  # type: ignore[no-any-return]

    def codes_of(self, values: Sequence[Any]) -> Array:
        """Values as codes. They are trusted to be in the domain."""
        return np.asarray(values, dtype=np.float64)

    def unit_at(self, position: int) -> float:
        """The coordinate of the value at a position."""
        return float(self.encode([self.nth(position)])[0])

    def position_at(self, unit: float) -> int:
        """The position of the value at a coordinate."""
        return self.index_of(self.decode(np.array([unit]))[0])

    def decode(self, unit: Array) -> list[Any]:
        """Unit coordinates (n,) as plain Python values."""
        return self.values(self.codes(unit))

    def encode(self, values: Sequence[Any]) -> Array:
        """Values as unit coordinates (n,)."""
        return self.units(self.codes_of(values))

    def sample(self, config: object = None, size: int = 1, random_state: Any = None) -> Any:
        """A value, or a list of ``size`` of them, as a random search draws them: for a look, and for functions of one's own.

        Named as in ``ray.tune``, where ``config`` has no effect either.

        Args:
            random_state: a generator of numpy's, or a seed; None: another one each time.
        """
        generator = fresh_seed() if random_state is None else random_state
        if not hasattr(generator, "uniform"):
            generator = np.random.default_rng(generator)
        drawn = self.decode(generator.uniform(size=size))
        return drawn[0] if size == 1 else drawn

    def quantiles(self, points: int) -> list[Any]:
        """``points`` representative values of the domain, from the first to the last; fewer if some coincide."""
        unit = np.linspace(0, 1, points) if points > 1 else np.array([0.5])
        return list(dict.fromkeys(self.decode(unit)))


class Continuous(Domain):
    """A domain of floats that knows the probability of a value below any number, so that others can round it."""

    @property
    def size(self) -> int | None:
        return None

    @property
    @abstractmethod
    def bounds(self) -> tuple[float, float]:
        """Between which numbers its values lie; infinite where there is no bound."""

    @abstractmethod
    def below(self, codes: Array) -> Array:
        """The probability (n,) of a value below each of the numbers (n,), which may lie outside the bounds."""

    def nth(self, index: int) -> Any:
        raise IndexError(f"the values of a continuous domain are not numbered; asked for number {index}")

    def index_of(self, value: Any) -> int:
        raise IndexError(f"the values of a continuous domain are not numbered; asked for the number of {value}")
