"""Define-by-run spaces: a function asks a trial for its parameters; these are found by dry runs, and replayed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from raytune_hpo.compat.ray_tune.error import TuneError
from raytune_hpo.rng import derive
from raytune_hpo.space import Choice, Float, Int
from raytune_hpo.space.domain import Domain

_DRY_RUNS = 256  # each may ask for other parameters, if these depend on the values of others


@dataclass(frozen=True)
class Defined:
    """A space defined by a function of a trial, which asks for parameters and returns constants.

    The parameters are found by running the function with random values. The search is in the space of all of them; a
    trial's configuration has only those for which the function asks, given the values of the others.
    """

    function: Callable[[Any], Mapping[str, Any] | None]

    def domains(self) -> dict[str, Domain]:
        """All parameters for which 256 dry runs ask.

        Raises:
            TuneError: a parameter is asked for with different kinds of domains, or none is asked for.
        """
        found: dict[str, Domain] = {}
        for run in range(_DRY_RUNS):
            explorer = _Explorer(found, derive(0, "define-by-run", run))
            self.function(explorer)
        if not found:
            raise TuneError(
                "a function that defines a space asks for parameters, such as trial.suggest_float; none was"
            )
        return found

    def config(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration that the function defines, given values for all parameters."""
        replay = _Replay(values)
        constants = self.function(replay)
        if constants is not None and not isinstance(constants, Mapping):
            raise TuneError(f"a function that defines a space returns None or a dict of constants, got {constants!r}")
        return {**(constants or {}), **replay.params}


class _Asked:
    """The trial that a define-by-run function gets."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self.number = 0
        self.user_attrs: dict[str, Any] = {}

    def set_user_attr(self, key: str, value: Any) -> None:
        """Accepted, and kept only while the function runs."""
        self.user_attrs[key] = value

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self._ask(name, Float(low, high, log=log, step=step) if low < high else Choice([float(low)])))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        domain = Int(low, high, log=log, step=None if step == 1 else step) if low < high else Choice([int(low)])
        return int(self._ask(name, domain))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self._ask(name, Choice(list(choices)))

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        return self.suggest_float(name, low, high, step=q)

    def _ask(self, name: str, domain: Domain) -> Any:
        if name not in self.params:
            self.params[name] = self._value(name, domain)
        return self.params[name]

    def _value(self, name: str, domain: Domain) -> Any:
        raise TuneError(f"nobody answers for {name!r}")


class _Explorer(_Asked):
    """A trial with random values, which records the domains."""

    def __init__(self, found: dict[str, Domain], rng: np.random.Generator) -> None:
        super().__init__()
        self._found, self._rng = found, rng

    def _value(self, name: str, domain: Domain) -> Any:
        known = self._found.setdefault(name, domain)
        if known != domain:
            self._found[name] = _widened(name, known, domain)
        return domain.decode(self._rng.random(1))[0]


class _Replay(_Asked):
    """A trial with given values; a parameter that no dry run has found gets the middle of its domain."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__()
        self._values = values

    def _value(self, name: str, domain: Domain) -> Any:
        if name not in self._values:
            return domain.decode(np.array([0.5]))[0]
        value = self._values[name]
        if domain.problem(value) is None:
            return value
        if domain.options:
            return domain.decode(np.array([0.5]))[0]
        if not isinstance(domain, (Float, Int)):
            return value
        return type(domain.lo)(min(max(value, domain.lo), domain.hi))


def _widened(name: str, known: Domain, other: Domain) -> Domain:
    """One domain for two ranges of a parameter: bounds may depend on other parameters, the kind may not."""
    if known.options and other.options:
        more = [option for option in other.options if known.problem(option) is not None]
        return Choice([*known.options, *more])
    if isinstance(known, (Float, Int)) and type(known) is type(other) and known.log == other.log:
        ends: list[Any] = [known.lo, known.hi, other.lo, other.hi]
        return type(known)(min(ends), max(ends), log=known.log)
    raise TuneError(f"parameter {name!r} is asked for in two ways, as {known} and as {other}; give them two names")
