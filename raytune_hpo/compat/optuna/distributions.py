"""Distributions, under Optuna's names, and their conversion from and to domains."""

from __future__ import annotations

import functools
import json
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from raytune_hpo.compat.optuna.exceptions import not_ours
from raytune_hpo.space.choices import Choice
from raytune_hpo.space.domain import Domain
from raytune_hpo.space.growing import domain_form
from raytune_hpo.space.numeric import Float, Int

__all__ = [
    "BaseDistribution",
    "CategoricalChoiceType",
    "CategoricalDistribution",
    "DiscreteUniformDistribution",
    "FloatDistribution",
    "IntDistribution",
    "IntLogUniformDistribution",
    "IntUniformDistribution",
    "LogUniformDistribution",
    "UniformDistribution",
    "check_distribution_compatibility",
    "distribution_to_json",
    "json_to_distribution",
]

CategoricalChoiceType = None | bool | int | float | str
_PLAIN = (bool, int, float, str, type(None))
_OFF = 1e-8  # how far a number may be off its grid, as a share of a step


class BaseDistribution(ABC):
    """The base of distributions: the possible values of a parameter."""

    @abstractmethod
    def single(self) -> bool:
        """Whether there is only one value."""

    @abstractmethod
    def to_internal_repr(self, value: Any) -> float:
        """The number that represents a value."""

    @abstractmethod
    def to_external_repr(self, internal: float) -> Any:
        """The value that a number represents."""

    @abstractmethod
    def _contains(self, internal: float) -> bool: ...

    def as_domain(self) -> Domain:
        """The domain with the same values, with which spaces of this package are made.

        Raises:
            OptunaError: the distribution is of a kind that the script has defined.
        """
        return domain_and_form(self)[0]

    def _asdict(self) -> dict[str, Any]:
        return dict(vars(self))

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *sorted(vars(self).items())))

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in sorted(self._asdict().items()))})"
        )


class FloatDistribution(BaseDistribution):
    """A float from low to high, both included; with a step, on the grid that begins at low."""

    def __init__(self, low: float, high: float, log: bool = False, step: float | None = None) -> None:
        self.low, self.high, self.log, self.step = _float_bounds(low, high, log, step)

    def single(self) -> bool:
        if self.step is None:
            return self.low == self.high
        low, high, step = (Decimal(str(number)) for number in (self.low, self.high, self.step))
        return high - low < step

    def to_internal_repr(self, value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"a float is wanted, got {value!r}") from error
        if math.isnan(number):
            raise ValueError("a float is wanted, got nan")
        if self.log and number <= 0.0:
            raise ValueError(f"on a logarithmic scale a value is above 0, got {value!r}")
        return number

    def to_external_repr(self, internal: float) -> float:
        return float(internal)

    def _contains(self, internal: float) -> bool:
        if not self.low <= internal <= self.high:
            return False
        if self.step is None:
            return True
        k = (internal - self.low) / self.step
        return abs(k - round(k)) < _OFF


class IntDistribution(BaseDistribution):
    """A whole number from low to high, both included; with a step, on the grid that begins at low."""

    def __init__(self, low: int, high: int, log: bool = False, step: int = 1) -> None:
        self.low, self.high, self.log, self.step = _int_bounds(low, high, log, step)

    def single(self) -> bool:
        return self.high - self.low < self.step

    def to_internal_repr(self, value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"a whole number is wanted, got {value!r}") from error
        if math.isnan(number):
            raise ValueError("a whole number is wanted, got nan")
        if self.log and number <= 0:
            raise ValueError(f"on a logarithmic scale a value is above 0, got {value!r}")
        return number

    def to_external_repr(self, internal: float) -> int:
        return int(internal)

    def _contains(self, internal: float) -> bool:
        return self.low <= internal <= self.high and (internal - self.low) % self.step == 0


class CategoricalDistribution(BaseDistribution):
    """One of several choices."""

    def __init__(self, choices: Sequence[Any]) -> None:
        if len(choices) == 0:
            raise ValueError("there must be at least one choice, got none")
        for choice in choices:
            if not isinstance(choice, _PLAIN):
                warnings.warn(
                    f"choices are None, bool, int, float or str; {choice!r} is a {type(choice).__name__}, which the journal "
                    f"keeps by its place among the choices only",
                    stacklevel=4,
                )
        self.choices = tuple(choices)

    def __eq__(self, other: object) -> bool:
        """Whether the choices are the same ones, ``nan`` among them."""
        if type(self) is not type(other):
            return False
        assert isinstance(other, CategoricalDistribution)
        pairs = zip(self.choices, other.choices, strict=False)
        return len(self.choices) == len(other.choices) and all(_same(one, another) for one, another in pairs)

    def single(self) -> bool:
        return len(self.choices) == 1

    def as_domain(self) -> Domain:
        return Choice(self.choices)

    def to_internal_repr(self, value: Any) -> float:
        for index, choice in enumerate(self.choices):
            if choice is value or (type(choice) is type(value) and _same(choice, value)):
                return index
        for index, choice in enumerate(self.choices):
            if _same(choice, value):
                return index
        raise ValueError(f"{value!r} is not one of {self.choices}")

    def to_external_repr(self, internal: float) -> Any:
        return self.choices[int(internal)]

    def _contains(self, internal: float) -> bool:
        return 0 <= int(internal) < len(self.choices)

    def __hash__(self) -> int:
        return hash((CategoricalDistribution, len(self.choices)))


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other):
        return True
    return bool(one == other)


# ------------------------------------------------------------------------------------------------ former names


class UniformDistribution(FloatDistribution):
    """A former name of FloatDistribution."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__(low, high)


class LogUniformDistribution(FloatDistribution):
    """A former name of FloatDistribution with ``log=True``."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__(low, high, log=True)


class DiscreteUniformDistribution(FloatDistribution):
    """A former name of FloatDistribution with a step, ``q``."""

    def __init__(self, low: float, high: float, q: float) -> None:
        super().__init__(low, high, step=q)

    @property
    def q(self) -> float:
        """The step."""
        assert self.step is not None
        return self.step


class IntUniformDistribution(IntDistribution):
    """A former name of IntDistribution."""

    def __init__(self, low: int, high: int, step: int = 1) -> None:
        super().__init__(low, high, step=step)


class IntLogUniformDistribution(IntDistribution):
    """A former name of IntDistribution with ``log=True``."""

    def __init__(self, low: int, high: int, step: int = 1) -> None:
        super().__init__(low, high, log=True, step=step)


def current(distribution: BaseDistribution) -> BaseDistribution:
    """The distribution under its current name."""
    if isinstance(distribution, FloatDistribution) and type(distribution) is not FloatDistribution:
        return FloatDistribution(distribution.low, distribution.high, distribution.log, distribution.step)
    if isinstance(distribution, IntDistribution) and type(distribution) is not IntDistribution:
        return IntDistribution(distribution.low, distribution.high, distribution.log, distribution.step)
    return distribution


# ------------------------------------------------------------------------------------------------ checks


def _float_bounds(low: float, high: float, log: bool, step: float | None) -> tuple[float, float, bool, float | None]:
    low, high = float(low), float(high)
    if log and step is not None:
        raise ValueError(f"log and step exclude each other, got log=True and step={step}")
    if low > high:
        raise ValueError(f"low must not exceed high, got low={low} and high={high}")
    if log and low <= 0.0:
        raise ValueError(f"on a logarithmic scale low is above 0, got low={low}")
    if step is not None:
        step = float(step)
        if step <= 0:
            raise ValueError(f"step must be above 0, got step={step}")
        num = math.floor((high - low) / step + _OFF)
        on_grid = _decimal(low, step, num)
        if not math.isclose(on_grid, high, rel_tol=1e-12, abs_tol=_OFF * step):
            warnings.warn(
                f"the range [{low}, {high}] is not a multiple of step={step}, and ends at {on_grid} instead",
                stacklevel=5,
            )
            high = on_grid
    return low, high, bool(log), step


def _decimal(low: float, step: float, num: int) -> float:
    """low + num * step, computed in decimal arithmetic."""
    from decimal import Decimal

    return float(Decimal(str(low)) + num * Decimal(str(step)))


def _int_bounds(low: int, high: int, log: bool, step: int) -> tuple[int, int, bool, int]:
    low, high, step = int(low), int(high), int(step)
    if log and step != 1:
        raise ValueError(f"log and step exclude each other, got log=True and step={step}")
    if low > high:
        raise ValueError(f"low must not exceed high, got low={low} and high={high}")
    if log and low < 1:
        raise ValueError(f"on a logarithmic scale low is at least 1, got low={low}")
    if step <= 0:
        raise ValueError(f"step must be above 0, got step={step}")
    if (high - low) % step:
        on_grid = low + (high - low) // step * step
        warnings.warn(
            f"the range [{low}, {high}] is not a multiple of step={step}, and ends at {on_grid} instead", stacklevel=5
        )
        high = on_grid
    return low, high, bool(log), step


def check_distribution_compatibility(old: BaseDistribution, new: BaseDistribution) -> None:
    """Check that a parameter with one distribution may get the other one.

    Raises:
        ValueError: it was of another kind, or had other choices.
    """
    old, new = current(old), current(new)
    if type(old) is not type(new):
        raise ValueError(f"a parameter keeps its kind, it was {old} and was asked for as {new}")
    if isinstance(old, CategoricalDistribution) and old != new:
        raise ValueError(f"a categorical parameter keeps its choices, it was {old} and was asked for as {new}")


# ------------------------------------------------------------------------------------------------ JSON, domains


def distribution_to_json(distribution: BaseDistribution) -> str:
    """The distribution as JSON: its name, and its attributes."""
    distribution = current(distribution)
    return json.dumps({"name": type(distribution).__name__, "attributes": distribution._asdict()})


def json_to_distribution(text: str) -> BaseDistribution:
    """The distribution that ``distribution_to_json`` wrote.

    Raises:
        ValueError: the text is not of that form.
    """
    data = json.loads(text)
    known = {kind.__name__: kind for kind in (FloatDistribution, IntDistribution, CategoricalDistribution)}
    if data.get("name") not in known:
        raise ValueError(f"a distribution is one of {', '.join(known)}, got {data.get('name')!r}")
    made: BaseDistribution = known[data["name"]](**data["attributes"])
    return made


def domain_and_form(distribution: BaseDistribution) -> tuple[Domain, dict[str, Any]]:
    """The domain of a distribution, and its JSON form. Choices without a JSON form are named by their positions.

    Raises:
        OptunaError: the distribution is of another kind, Optuna's own among them.
    """
    if isinstance(distribution, FloatDistribution):
        return _float_domain(distribution.low, distribution.high, distribution.log, distribution.step)
    if isinstance(distribution, IntDistribution):
        return _int_domain(distribution.low, distribution.high, distribution.log, distribution.step)
    if isinstance(distribution, CategoricalDistribution):
        return _choice_domain(tuple([(type(choice), choice) for choice in labels_of(distribution)]))
    raise not_ours("a distribution is a float's, an int's or a categorical one", distribution)


def labels_of(distribution: CategoricalDistribution) -> list[Any]:
    """The label of each choice in the journal: the choice itself, or its type and position."""
    return [
        choice if isinstance(choice, _PLAIN) else f"{type(choice).__name__}#{index}"
        for index, choice in enumerate(distribution.choices)
    ]


def to_stored(distribution: BaseDistribution, value: Any) -> Any:
    """A value in the form in which the journal stores it.

    Raises:
        ValueError: it is not one of the choices, or not a number.
    """
    if isinstance(distribution, CategoricalDistribution):
        return labels_of(distribution)[int(distribution.to_internal_repr(value))]
    return distribution.to_external_repr(distribution.to_internal_repr(value))


def from_stored(distribution: BaseDistribution, stored: Any) -> Any:
    """The value of a form that the journal stores."""
    if not isinstance(distribution, CategoricalDistribution):
        return distribution.to_external_repr(stored)
    labels = labels_of(distribution)
    for label, choice in zip(labels, distribution.choices, strict=True):
        if type(label) is type(stored) and _same(label, stored):
            return choice
    return stored


def distribution_of(domain: Domain) -> BaseDistribution:
    """The distribution that represents a domain."""
    if isinstance(domain, Float):
        return FloatDistribution(domain.lo, domain.hi, domain.log, domain.step)
    if isinstance(domain, Int):
        return IntDistribution(domain.lo, domain.hi, domain.log, domain.step or 1)
    return CategoricalDistribution(domain.options)


@functools.lru_cache(maxsize=4096)
def _float_domain(low: float, high: float, log: bool, step: float | None) -> tuple[Domain, dict[str, Any]]:
    domain = Float(low, high, log, step if step is None or high - low >= step else None)
    return domain, domain_form(domain)


@functools.lru_cache(maxsize=4096)
def _int_domain(low: int, high: int, log: bool, step: int) -> tuple[Domain, dict[str, Any]]:
    domain = Int(low, high, log, None if step == 1 or high - low < step else step)
    return domain, domain_form(domain)


@functools.lru_cache(maxsize=1024)
def _choice_domain(labels: tuple[tuple[type, Any], ...]) -> tuple[Domain, dict[str, Any]]:
    domain = Choice([label for _, label in labels])
    return domain, domain_form(domain)
