"""Validation of metrics: what an objective reports or returns, as plain values checked against the study's goals.

Only goals, outcome constraints and metrics with a valid range can fail a trial. All other metrics are kept if JSON can hold
them, and otherwise left out with a warning, since a finished training is too expensive to discard.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import math
import os
import uuid
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from numbers import Real
from typing import Any

from raytune_hpo.errors import ObjectiveError
from raytune_hpo.goals import Goal, ValidRange

MAX_TEXT = 10_000  # characters of a metric that is text
MAX_VALUES = 1_000  # of a metric that is a list
_MAX_STEP = 2**53  # beyond, other languages round
_MAX_WHOLE = 2**63  # larger integers become floats, as in databases, arrays and other languages
_FAILED = "fail"  # hyperopt's STATUS_FAIL
_WAITS = {
    "coroutine": "asyncio.run(...)",
    "ObjectRef": "ray.get(...)",
    "Future": "its result()",
}  # by the name of a type
_AS_THEY_ARE = frozenset((float, bool, type(None)))


def checked_step(step: Any) -> int:
    """The step of a report as an int.

    Raises:
        ObjectiveError: it is not an integer, or it is below 0 or above 2**53.
    """
    if isinstance(step, bool) or not hasattr(step, "__index__") or not 0 <= step.__index__() <= _MAX_STEP:
        raise ObjectiveError(f"a step is an integer of at least 0 and at most 2**53, got {step!r}")
    return int(step.__index__())


@dataclass(frozen=True)
class MetricRules:
    """The rules that metrics must satisfy.

    Attributes:
        goals: every result must have a finite number for each.
        ranges: closed intervals of other metrics; a value outside fails the trial.
        constraints: outcome constraints; every result must have a finite number for the metric of each.
        every_report: whether every report must have the goals too, because a scheduler judges by them.
    """

    goals: Sequence[Goal]
    ranges: Mapping[str, ValidRange] = field(default_factory=dict)
    every_report: bool = False
    constraints: Sequence[Goal] = ()
    _bound: Mapping[str, ValidRange | None] = field(init=False, repr=False, compare=False)
    _of_goals: frozenset[str] = field(init=False, repr=False, compare=False)
    _of_result: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        constrained = [constraint.metric for constraint in self.constraints]
        bound = {**{goal.metric: goal.valid_range for goal in self.goals}, **dict.fromkeys(constrained), **self.ranges}
        bound.update({goal.metric: goal.valid_range for goal in self.goals})
        object.__setattr__(self, "_bound", bound)
        object.__setattr__(self, "_of_goals", frozenset(goal.metric for goal in self.goals))
        object.__setattr__(self, "_of_result", self._of_goals | set(constrained))

    def named(self, result: Any) -> dict[str, Any]:
        """An objective's result as a dict of metrics; a single number is the value of the first goal.

        Raises:
            ObjectiveError: the result is neither a dict nor a number.
        """
        if isinstance(result, Mapping):
            return dict(result)
        if isinstance(result, (Real, str, decimal.Decimal)) or hasattr(result, "dtype"):
            if len(self.goals) > 1:
                names = ", ".join(repr(goal.metric) for goal in self.goals)
                raise ObjectiveError(
                    f"an objective with several metrics returns a dict with {names}, got {_show(result)}"
                )
            return {self.goals[0].metric: result}
        wait = _WAITS.get(type(result).__name__)
        raise ObjectiveError(
            f"an objective returns a number or a dict of metrics, or reports them; got {_show(result)}"
            + (f", which stands for a result to come: return {wait}" if wait else "")
        )

    def of_report(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """A report's metrics as plain values.

        Raises:
            ObjectiveError: a rule is broken; the message names the metric, the rule and the value.
        """
        required = self._of_goals if self.every_report else frozenset()
        return self._checked(metrics, required, of_report=True)

    def of_result(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """A result's metrics as plain values.

        Raises:
            ObjectiveError: a rule is broken; the message names the metric, the rule and the value.
        """
        return self._checked(metrics, self._of_result)

    def of_part(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """The metrics of a trial that ended early as plain values; goals may be missing.

        Raises:
            ObjectiveError: a rule is broken; the message names the metric, the rule and the value.
        """
        return self._checked(metrics, frozenset())

    def _checked(
        self, metrics: Mapping[str, Any], required: frozenset[str], *, of_report: bool = False
    ) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        bound = self._bound
        for key, value in metrics.items():
            if key in bound:
                plain[key] = value if type(value) is float and isfinite(value) else _number(key, value)
            elif type(value) in _AS_THEY_ARE and type(key) is str and key[:1] != "$":
                plain[key] = value
            else:
                plain.update(_kept(str(key), value, bound))
        for name, interval in bound.items():
            if name in plain:
                if interval is not None and not interval[0] <= plain[name] <= interval[1]:
                    raise ObjectiveError(f"metric {name!r} must lie in valid_range {interval}, got {plain[name]}")
            elif name in required:
                raise ObjectiveError(self._missing(name, sorted(plain), of_report=of_report))
        if plain.get("status") == _FAILED:
            raise ObjectiveError('the objective gave status "fail"; its trial fails, as in hyperopt')
        return plain

    def _missing(self, name: str, given: Sequence[str], *, of_report: bool) -> str:
        """The message about a metric that a result or a judged report must have."""
        got = given or "no metrics"
        if of_report:
            return (
                f"the objective must give metric {name!r} in every report, since each is judged, got {got}; report all "
                f"metrics of a step in one call, leave out reports without it, or set metric= to one that is always there"
            )
        way_out = "or set metric= to one of those" if name in self._of_goals else "its outcome constraint needs it"
        return f"the objective must give metric {name!r}, got {got}; return or report it, {way_out}"


def _number(name: str, value: Any) -> float:
    """A finite number.

    Raises:
        ObjectiveError: it is something else.
    """
    number = _plain(value)
    if isinstance(number, bool):
        number = int(number)
    if not isinstance(number, (int, float)):
        raise ObjectiveError(f"metric {name!r} must be a number, got {_show(value)}")
    if not isfinite(number):
        told = "a whole number beyond all floats" if isinstance(value, int) else number
        raise ObjectiveError(f"metric {name!r} must be finite, got {told}")
    return number


def _kept(name: str, value: Any, bound: Mapping[str, Any]) -> dict[str, Any]:
    """A metric without a rule, as JSON can hold it; if JSON cannot, nothing, with a warning.

    Dicts are flattened, so that their numbers have names: ``per_class/cat/f1``.
    """
    if name.startswith("$"):
        _warn(f"metric {name!r} is left out: names of metrics do not begin with '$'")
        return {}
    if name in bound:
        return {name: _number(name, value)}
    if isinstance(value, Mapping):
        children = (_kept(f"{name}/{key}", child, bound) for key, child in value.items())
        return {path: leaf for child in children for path, leaf in child.items()}
    plain = _plain(value)
    if isinstance(plain, str) and len(plain) > MAX_TEXT:
        _warn(f"metric {name!r} is text of {len(plain)} characters, {MAX_TEXT} are kept; longer ones belong in a file")
        return {name: plain[:MAX_TEXT]}
    if plain is None or isinstance(plain, (bool, int, float, str)):
        return {name: plain}
    values = value.tolist() if hasattr(value, "tolist") and _size(value) <= MAX_VALUES else value
    if isinstance(values, (list, tuple, set, frozenset)) and len(values) <= MAX_VALUES:
        listed = [_plain(child) for child in values]
        if all(child is None or isinstance(child, (bool, int, float, str)) for child in listed):
            return {name: listed}
    _warn(f"metric {name!r} is left out: numbers, text and short lists of them are kept, got {_show(value)}")
    return {}


def sendable(name: str, value: Any) -> Any:
    """A metric's value as JSON can hold it, for rules that are checked elsewhere; None, with a warning, if JSON cannot."""
    if isinstance(value, Mapping):
        return {str(key): sendable(f"{name}/{key}", child) for key, child in value.items()}
    return _kept(name, value, {}).get(name)


def json_value(value: Any) -> Any:
    """A copy of the value in JSON's types; numpy numbers become Python's, tuples become lists.

    Raises:
        TypeError: JSON has no type for it.
    """
    if isinstance(value, Mapping):
        return {str(key): json_value(child) for key, child in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [json_value(child) for child in value]
    plain = _plain(value.tolist() if hasattr(value, "tolist") else value)
    if isinstance(plain, (list, tuple)):
        return json_value(plain)
    if plain is None or isinstance(plain, (bool, int, float, str)):
        return plain
    raise TypeError(f"JSON cannot hold a value of type {type(value).__name__}")


def _plain(value: Any) -> Any:
    """The Python value of a scalar of numpy, torch or another library; anything else is returned unchanged."""
    kind = type(value)
    if kind is float or kind is bool or value is None or kind is str:
        return value
    if hasattr(value, "filled") and _size(value) == 1 and bool(value.mask):  # numpy.ma: a masked value
        return math.nan
    if hasattr(value, "item") and _size(value) == 1:  # numpy, torch, jax: one number
        value = value.item()
    if isinstance(value, bool):
        return bool(value)
    if isinstance(value, enum.Enum) and not isinstance(value, (str, int, float)):
        return value.name
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int) and -_MAX_WHOLE <= value < _MAX_WHOLE:
        return int(value)
    if isinstance(value, (Real, decimal.Decimal)):
        try:
            return float(value)
        except (OverflowError, ValueError):  # an integer too large for a float, a signalling NaN
            return (
                math.inf if isinstance(value, int) and value > 0 else -math.inf if isinstance(value, int) else math.nan
            )
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (os.PathLike, uuid.UUID)):
        return str(value)
    return value


def _size(value: Any) -> float:
    """The number of values in an array; infinity for anything else."""
    try:
        return float(math.prod(value.shape))
    except (AttributeError, TypeError):
        return math.inf


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=4)


def _show(value: Any) -> str:
    """A short description for a message: never the repr of a 100 MB array."""
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    if shape := getattr(value, "shape", None):
        return f"{kind} of shape {tuple(shape)}"
    if isinstance(value, (int, float, str, type(None))):
        text = repr(value if not isinstance(value, str) else value[:80])
        return text if value is None else f"{kind} {text}"
    return kind
