"""Frozen trials, which are snapshots of trials, and fixed trials, which run without a study."""

from __future__ import annotations

import datetime
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from raytune_hpo.compat.optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
)
from raytune_hpo.compat.optuna.trial._state import TrialState, state_of

CONSTRAINTS = "constraints"  # the note of constraints that a sampler computes; others add a colon and their name
FIXED_PARAMS = "fixed_params"  # the system attribute of an enqueued trial: the parameters that it was enqueued with


class BaseTrial(ABC):
    """The interface of trials for objectives."""

    @property
    @abstractmethod
    def params(self) -> dict[str, Any]:
        """The values of parameters by their names."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A float from low to high, both included.

        Raises:
            ValueError: the range is not valid, or the parameter was of another kind.
        """
        return float(self._suggest(name, FloatDistribution(low, high, log=log, step=step)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number from low to high, both included.

        Raises:
            ValueError: the range is not valid, or the parameter was of another kind.
        """
        return int(self._suggest(name, IntDistribution(low, high, log=log, step=step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices.

        Raises:
            ValueError: there are no choices, or the parameter had other choices.
        """
        return self._suggest(name, CategoricalDistribution(choices))

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        """A former name of ``suggest_float``."""
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        """A former name of ``suggest_float`` with ``log=True``."""
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        """A former name of ``suggest_float`` with a step."""
        return self.suggest_float(name, low, high, step=q)

    @abstractmethod
    def report(self, value: float, step: int) -> None:
        """Report the value at a step."""

    @abstractmethod
    def should_prune(self) -> bool:
        """Whether the trial should end here."""

    @abstractmethod
    def set_user_attr(self, key: str, value: Any) -> None:
        """Set a user attribute of the trial."""

    @abstractmethod
    def set_system_attr(self, key: str, value: Any) -> None:
        """Set a system attribute of the trial."""

    @abstractmethod
    def _suggest(self, name: str, distribution: BaseDistribution) -> Any: ...


class FrozenTrial(BaseTrial):
    """A snapshot of a trial. Its suggest methods return the values that it has."""

    def __init__(
        self,
        number: int,
        state: TrialState,
        value: float | None,
        datetime_start: datetime.datetime | None,
        datetime_complete: datetime.datetime | None,
        params: dict[str, Any],
        distributions: dict[str, BaseDistribution],
        user_attrs: dict[str, Any],
        system_attrs: dict[str, Any],
        intermediate_values: dict[int, float],
        trial_id: int,
        *,
        values: Sequence[float] | None = None,
    ) -> None:
        if value is not None and values is not None:
            raise ValueError("value and values exclude each other, got both")
        self.number, self.state = number, state
        self._values = [float(value)] if value is not None else None if values is None else [float(v) for v in values]
        self.datetime_start, self.datetime_complete = datetime_start, datetime_complete
        self._params, self._distributions = params, distributions
        self.user_attrs, self.system_attrs = user_attrs, system_attrs
        self.intermediate_values = intermediate_values
        self._trial_id = trial_id

    @property
    def params(self) -> dict[str, Any]:
        return self._params

    @params.setter
    def params(self, params: dict[str, Any]) -> None:
        self._params = params

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The distribution of each parameter."""
        return self._distributions

    @distributions.setter
    def distributions(self, distributions: dict[str, BaseDistribution]) -> None:
        self._distributions = distributions

    @property
    def value(self) -> float | None:
        """The value in a study with one goal; None if there is none.

        Raises:
            RuntimeError: there are several values.
        """
        if self._values is None:
            return None
        if len(self._values) > 1:
            raise RuntimeError("a trial with several goals has values, not one value")
        return self._values[0]

    @value.setter
    def value(self, value: float | None) -> None:
        self._values = None if value is None else [value]

    @property
    def values(self) -> list[float] | None:
        """The values, one for each goal; None if there are none."""
        return self._values

    @values.setter
    def values(self, values: Sequence[float] | None) -> None:
        self._values = None if values is None else list(values)

    @property
    def constraints(self) -> dict[str, float]:
        """The constraints by name, or position for those of ``constraints_func``; it is feasible if none is above 0."""
        return constraints_in(self.system_attrs)

    def set_constraint(self, key: str, value: float) -> None:
        """Set a constraint in this object only."""
        set_once(self, key, value)

    @property
    def last_step(self) -> int | None:
        """The largest step reported; None if there is none."""
        return max(self.intermediate_values, default=None)

    @property
    def duration(self) -> datetime.timedelta | None:
        """The duration of the trial; None while it has not ended."""
        if self.datetime_start is None or self.datetime_complete is None:
            return None
        # Local times have no zone, and plain differences are off by an hour if the clocks were changed in between.
        return self.datetime_complete.astimezone() - self.datetime_start.astimezone()

    def report(self, value: float, step: int) -> None:
        """Does nothing: the trial is a snapshot."""

    def should_prune(self) -> bool:
        """Always False: the trial is a snapshot."""
        return False

    def set_user_attr(self, key: str, value: Any) -> None:
        """Set a user attribute of this object only."""
        self.user_attrs[key] = value

    def set_system_attr(self, key: str, value: Any) -> None:
        """Set a system attribute of this object only."""
        self.system_attrs[key] = value

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        if name not in self._params:
            raise ValueError(
                f"trial {self.number} has no parameter {name!r}; it has {', '.join(self._params) or 'none'}"
            )
        value = self._params[name]
        _require_possible(name, value, distribution)
        if name in self._distributions:
            check_distribution_compatibility(self._distributions[name], distribution)
        self._distributions[name] = distribution
        return value

    def _validate(self) -> None:
        """Check that the trial's data are consistent.

        Raises:
            ValueError: they are not.
        """
        if self._params.keys() != self._distributions.keys():
            raise ValueError(
                f"params and distributions name the same parameters, got {sorted(self._params)} and "
                f"{sorted(self._distributions)}"
            )
        for name, value in self._params.items():
            distribution = self._distributions[name]
            if not distribution._contains(distribution.to_internal_repr(value)):
                raise ValueError(f"parameter {name!r} is {value!r}, which is not in {distribution}")
        if self.state is TrialState.COMPLETE and self._values is None:
            raise ValueError("a trial that is complete has a value, got none")
        if self.state is TrialState.FAIL and self._values is not None:
            raise ValueError(f"a trial that failed has no value, got {self._values}")
        if self._values is not None and any(map(math.isnan, self._values)):
            raise ValueError(f"a value is a number, got {self._values}; a trial without one has failed: state=FAIL")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FrozenTrial) and vars(self) == vars(other)

    def __lt__(self, other: object) -> bool:
        return self.number < other.number if isinstance(other, FrozenTrial) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self.number <= other.number if isinstance(other, FrozenTrial) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.number, self._trial_id))

    def __repr__(self) -> str:
        names = (
            "number state values datetime_start datetime_complete params user_attrs system_attrs intermediate_values "
            "distributions"
        ).split()
        parts = [f"{name}={getattr(self, name)!r}" for name in names]
        return f"FrozenTrial({', '.join([*parts, f'trial_id={self._trial_id}', 'value=None'])})"


class FixedTrial(BaseTrial):
    """A trial whose parameters are given, to call an objective without a study."""

    def __init__(self, params: Mapping[str, Any], number: int = 0) -> None:
        self._given, self._asked = dict(params), dict[str, Any]()
        self.number = number
        self.distributions: dict[str, BaseDistribution] = {}
        self.user_attrs: dict[str, Any] = {}
        self.system_attrs: dict[str, Any] = {}
        self.datetime_start: datetime.datetime | None = datetime.datetime.fromtimestamp(_now())

    @property
    def params(self) -> dict[str, Any]:
        return self._asked

    def report(self, value: float, step: int) -> None:
        """Does nothing: there is no study."""

    def should_prune(self) -> bool:
        """Always False: there is nothing to compare with."""
        return False

    def set_user_attr(self, key: str, value: Any) -> None:
        """Set a user attribute of this object."""
        self.user_attrs[key] = value

    def set_system_attr(self, key: str, value: Any) -> None:
        """Set a system attribute of this object."""
        self.system_attrs[key] = value

    @property
    def constraints(self) -> dict[str, float]:
        """The constraints set by ``set_constraint``, by name."""
        return constraints_in(self.system_attrs)

    def set_constraint(self, key: str, value: float) -> None:
        """Set a constraint in this object."""
        set_once(self, key, value)

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        if name not in self._given:
            raise ValueError(f"parameter {name!r} was asked for and not given; add it to params")
        if name in self.distributions:
            check_distribution_compatibility(self.distributions[name], distribution)
        value = self._given[name]
        _require_possible(name, value, distribution)
        self.distributions[name] = distribution
        self._asked[name] = value
        return value


def create_trial(
    *,
    state: TrialState | None = None,
    value: float | None = None,
    values: Sequence[float] | None = None,
    params: Mapping[str, Any] | None = None,
    distributions: Mapping[str, BaseDistribution] | None = None,
    user_attrs: Mapping[str, Any] | None = None,
    system_attrs: Mapping[str, Any] | None = None,
    intermediate_values: Mapping[int, float] | None = None,
    constraints: Mapping[str, float] | None = None,
) -> FrozenTrial:
    """A trial that was run elsewhere, for ``Study.add_trial``.

    Args:
        constraints: by name; the trial is feasible if none is above 0.

    Raises:
        ValueError: the data are not consistent.
    """
    state = TrialState.COMPLETE if state is None else state_of(state)
    now = datetime.datetime.fromtimestamp(_now())
    trial = FrozenTrial(
        number=-1,
        state=state,
        value=value,
        values=values,
        datetime_start=None if state is TrialState.WAITING else now,
        datetime_complete=now if state.is_finished() else None,
        params=dict(params or {}),
        distributions=dict(distributions or {}),
        user_attrs=dict(user_attrs or {}),
        system_attrs=dict(system_attrs or {}),
        intermediate_values=dict(intermediate_values or {}),
        trial_id=-1,
    )
    for key, limit in (constraints or {}).items():
        trial.set_constraint(key, limit)
    trial._validate()
    return trial


def _require_possible(name: str, value: Any, distribution: BaseDistribution) -> None:
    """Warn of a number out of the requested range.

    Raises:
        ValueError: the value is not a number, or not one of the choices.
    """
    if not distribution._contains(distribution.to_internal_repr(value)):
        warnings.warn(f"parameter {name!r} is {value!r}, which lies outside {distribution}", stacklevel=5)


def _now() -> float:
    from raytune_hpo.core.optimizer import WallClock

    return WallClock().now()


def constraints_in(system_attrs: Mapping[str, Any]) -> dict[str, float]:
    """The constraints among notes, by name."""
    computed = {str(place): value for place, value in enumerate(system_attrs.get(CONSTRAINTS) or ())}
    prefix = f"{CONSTRAINTS}:"
    return computed | {k.removeprefix(prefix): v for k, v in system_attrs.items() if k.startswith(prefix)}


def set_once(trial: Any, key: str, value: Any) -> None:
    """Set a constraint of a trial; if it has one of that key, the old one stays, with a warning.

    Raises:
        TypeError: the value is not a number.
        ValueError: it is NaN.
    """
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"a constraint is a number, feasible where it is not above 0, got {value!r}") from error
    if math.isnan(number):
        raise ValueError(f"a constraint is a number, feasible where it is not above 0, got {value!r}")
    if key in trial.constraints:
        warnings.warn(f"constraint {key!r} has been set already; {number} is left out", stacklevel=3)
        return
    trial.set_system_attr(f"{CONSTRAINTS}:{key}", number)


def checked_step(step: Any) -> int:
    """A step, as ``report`` takes it.

    Raises:
        TypeError: the step is not a whole number.
        ValueError: it is below 0.
    """
    try:
        number = int(step)
    except (TypeError, ValueError) as error:
        raise TypeError(f"a step is a whole number, got {step!r}") from error
    if number < 0:
        raise ValueError(f"a step is at least 0, got {step}")
    return number
