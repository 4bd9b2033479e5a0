"""What a study optimises: the goals, the check at the door for metrics, and the only sign flip in the house."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeVar

from raytune_hpo.errors import ObjectiveError, SpecError

MAX_TEXT = 10_000  # characters of a metric that is text: beyond, it belongs in a file
_MODES = ("min", "max")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Goal:
    """One metric to optimise.

    Attributes:
        metric: the key under which the objective reports it.
        mode: ``"min"`` or ``"max"``.
        threshold: where the interesting part of a Pareto front begins, in the metric's own units.
        valid_range: closed interval outside which a value fails its trial.
    """

    metric: str
    mode: str = "min"
    threshold: float | None = None
    valid_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.metric, str) or not self.metric:
            raise SpecError(f"a metric is a non-empty string, got {self.metric!r}")
        if self.mode not in _MODES:
            raise SpecError(f'mode is "min" or "max", got {self.mode!r} for metric {self.metric!r}')
        if self.valid_range is not None:
            low, high = self.valid_range
            if not low < high:
                raise SpecError(f"valid_range needs low < high, got {self.valid_range} for metric {self.metric!r}")

    def loss(self, value: _T) -> _T:
        """A value of the metric (a number or an array) as a loss to be minimised."""
        return -value if self.mode == "max" else value  # type: ignore[operator]

    def value(self, loss: _T) -> _T:
        """The value of the metric that has this loss: ``value(loss(x))`` is ``x``."""
        return self.loss(loss)

    @property
    def lower_is_better(self) -> bool:
        """Whether the metric is minimised, for figures that have a better and a worse side."""
        return self.mode == "min"


def make_goals(
    metric: str | Sequence[str],
    mode: str | Sequence[str] = "min",
    valid_range: tuple[float, float] | Mapping[str, tuple[float, float]] | None = None,
) -> tuple[Goal, ...]:
    """Goals from the keywords of a Tuner; one mode serves for all metrics, or one is given for each.

    Raises:
        SpecError: no metric, a metric twice, as many modes as metrics are not given, or a range for an unknown metric.
    """
    metrics = [metric] if isinstance(metric, str) else list(metric)
    modes = [mode] * len(metrics) if isinstance(mode, str) else list(mode)
    if not metrics:
        raise SpecError("a study needs at least one metric, got none")
    if len(set(metrics)) != len(metrics):
        raise SpecError(f"each metric is named once, got {metrics}")
    if len(modes) != len(metrics):
        raise SpecError(f"mode needs one entry for each metric: {len(metrics)} metrics, {len(modes)} modes")
    ranges = _ranges(metrics, valid_range)
    return tuple(Goal(m, d, valid_range=ranges.get(m)) for m, d in zip(metrics, modes, strict=True))


def _ranges(
    metrics: Sequence[str], valid_range: tuple[float, float] | Mapping[str, tuple[float, float]] | None
) -> dict[str, tuple[float, float]]:
    if valid_range is None:
        return {}
    if not isinstance(valid_range, Mapping):
        if len(metrics) > 1:
            raise SpecError(f"with several metrics valid_range is a dict by metric, got {valid_range}")
        valid_range = {metrics[0]: valid_range}
    if unknown := set(valid_range) - set(metrics):
        raise SpecError(f"valid_range names {sorted(unknown)}, the metrics are {list(metrics)}")
    return {m: (float(low), float(high)) for m, (low, high) in valid_range.items()}


def to_losses(metrics: Mapping[str, Any], goals: Sequence[Goal]) -> tuple[float, ...] | None:
    """The goals' values as losses to be minimised, or None where one of them is not among the metrics."""
    try:
        return tuple([g.loss(metrics[g.metric]) for g in goals])
    except KeyError:
        return None


def as_metrics(result: Any, goals: Sequence[Goal]) -> dict[str, Any]:
    """What an objective returned, as a dict of metrics: a lone number is the value of the first goal.

    Raises:
        ObjectiveError: neither a dict nor a number.
    """
    if isinstance(result, Mapping):
        return dict(result)
    if isinstance(result, (Real, str)) or hasattr(result, "dtype"):
        if len(goals) > 1:
            raise ObjectiveError(
                f"an objective with several metrics returns a dict with {_names(goals)}, got {_show(result)}"
            )
        return {goals[0].metric: result}
    raise ObjectiveError(f"an objective returns a number or a dict of metrics, or reports them; got {_show(result)}")


def check_metrics(metrics: Mapping[str, Any], goals: Sequence[Goal], *, require: bool) -> dict[str, Any]:
    """The metrics as plain Python values, checked against the goals.

    A goal's value is a finite number inside its ``valid_range``. Others may also be text, booleans, None or not finite.

    Args:
        require: whether every goal must be among the metrics (a final result) or may be missing (a report).

    Raises:
        ObjectiveError: naming the metric, the rule and what came.
    """
    plain = {_key(key): _plain(key, value) for key, value in metrics.items()}
    for goal in goals:
        if goal.metric in plain:
            _check_goal(goal, plain)
        elif require:
            raise ObjectiveError(
                f"the objective must give metric {goal.metric!r}, got {sorted(plain) or 'no metrics'}; "
                f"return or report it, or set metric= to one of those"
            )
    return plain


def _check_goal(goal: Goal, plain: dict[str, Any]) -> None:
    value = plain[goal.metric]
    if isinstance(value, bool):
        value = plain[goal.metric] = int(value)
    if not isinstance(value, (int, float)):
        raise ObjectiveError(f"metric {goal.metric!r} must be a number, got {_show(value)}")
    if not _is_finite(value):
        raise ObjectiveError(f"metric {goal.metric!r} must be finite, got {_told(value)}")
    if goal.valid_range is not None and not goal.valid_range[0] <= value <= goal.valid_range[1]:
        raise ObjectiveError(f"metric {goal.metric!r} must lie in valid_range {goal.valid_range}, got {value}")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # of a whole number beyond all floats
        return False


def _told(value: float) -> str:
    return "a whole number beyond all floats" if isinstance(value, int) else str(value)


def _key(key: Any) -> str:
    if not isinstance(key, str) or key.startswith("$"):
        raise ObjectiveError(f'metrics are named by strings that do not begin with "$", got {_show(key)}')
    return key


def _plain(key: str, value: Any) -> Any:
    """A JSON-able Python value; numpy scalars and arrays of one element become Python numbers."""
    kind = type(value)
    if kind is float or kind is int or kind is bool or value is None:
        return value
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise ObjectiveError(f"metric {key!r} is text of {len(value)} characters, at most {MAX_TEXT} are kept")
        return str(value)
    if hasattr(value, "item") and math.prod(getattr(value, "shape", ())) == 1:  # numpy, torch, jax: one number
        value = value.item()
    if isinstance(value, bool):
        return bool(value)
    if isinstance(value, Real):
        return int(value) if isinstance(value, int) else float(value)
    raise ObjectiveError(f"metric {key!r} must be a number, text or None, got {_show(value)}")


def _names(goals: Sequence[Goal]) -> str:
    return ", ".join(repr(g.metric) for g in goals)


def _show(value: Any) -> str:
    """A short description for a message: never the repr of a 100 MB array."""
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    if shape := getattr(value, "shape", None):
        return f"{kind} of shape {tuple(shape)}"
    if isinstance(value, (int, float, str, type(None))):
        text = repr(value if not isinstance(value, str) else value[:80])
        return text if value is None else f"{kind} {text}"
    return kind
