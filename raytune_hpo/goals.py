"""Goals, outcome constraints and guards, and the only place in the package where the sign of a metric is flipped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from numbers import Real
from typing import Any, TypeAlias, TypeVar

from raytune_hpo.errors import SpecError

ValidRange: TypeAlias = tuple[float, float]
_MODES = ("min", "max")
_BOUND_BY = {"<=": "min", ">=": "max"}  # the direction in which a metric moves away from its bound
_CONSTRAINT = re.compile(r"\s*(?P<metric>.*\S)\s*(?P<sense><=|>=)\s*(?P<bound>\S+)\s*", re.DOTALL)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Goal:
    """One metric to optimise or, among a study's outcome constraints, to keep within a bound.

    Attributes:
        metric: the key under which the objective reports it.
        mode: ``"min"`` or ``"max"``.
        threshold: the value beyond which a Pareto front is interesting, in the metric's own units; worse values are not
            forbidden, but count for nothing. For an outcome constraint, the bound: worse values are infeasible.
        valid_range: closed interval outside which a value fails its trial.
    """

    metric: str
    mode: str = "min"
    threshold: float | None = None
    valid_range: ValidRange | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.metric, str) or not self.metric:
            raise SpecError(f"a metric is a non-empty string, got {self.metric!r}")
        if self.mode not in _MODES:
            raise SpecError(f'mode is "min" or "max", got {self.mode!r} for metric {self.metric!r}')
        if self.valid_range is not None:
            low, high = self.valid_range
            if not low < high:
                raise SpecError(f"valid_range needs low < high, got {self.valid_range} for metric {self.metric!r}")

    def __str__(self) -> str:
        if self.threshold is None:
            return f"{self.metric} ({self.mode})"
        sense = next(sense for sense, mode in _BOUND_BY.items() if mode == self.mode)
        short = f"{self.threshold:g}"
        # Stored plans are read from this text, so it has all digits.
        bound = short if float(short) == self.threshold else repr(self.threshold)
        return f"{self.metric} {sense} {bound}"

    def loss(self, value: _T) -> _T:
        """A value of the metric (a number or an array) as a loss to be minimised."""
        return -value if self.mode == "max" else value  # type: ignore[operator]

    def value(self, loss: _T) -> _T:
        """The value of the metric that has this loss: ``value(loss(x))`` is ``x``."""
        return self.loss(loss)

    def excess(self, value: _T) -> _T:
        """By how much a value of the metric is worse than the threshold, in its own units; 0 or less if it is not."""
        assert self.threshold is not None, "only what has a threshold has an excess"
        return self.loss(value) - self.loss(self.threshold)  # type: ignore[operator, return-value]

    @property
    def lower_is_better(self) -> bool:
        """Whether the metric is minimised, for figures that have a better and a worse side."""
        return self.mode == "min"


def goal_of(words: str | Goal) -> Goal:
    """A goal from words like ``"min cost"`` and ``"max throughput"``; a metric alone is minimised.

    Raises:
        SpecError: the words are empty.
    """
    if isinstance(words, Goal):
        return words
    if not isinstance(words, str):
        raise SpecError(f'a goal is a metric with its direction like "min cost", got {words!r}')
    mode, _, metric = words.strip().partition(" ")
    return Goal(metric.strip(), mode) if mode in _MODES and metric else Goal(words.strip())


def make_goals(
    metric: str | Sequence[str],
    mode: str | Sequence[str] = "min",
    valid_range: ValidRange | Mapping[str, ValidRange] | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> tuple[Goal, ...]:
    """Goals from the keywords of a Tuner, with one mode for all metrics or one for each.

    Args:
        valid_range: see ``ranges_of``; ranges of other metrics are ignored.
        thresholds: by metric, for some of the goals.

    Raises:
        SpecError: there is no metric, a metric occurs twice, the numbers of modes and metrics differ, a range is not
            valid, or a threshold is not a number or belongs to no goal.
    """
    metrics = _listed("metric", metric)
    modes = [mode] * len(metrics) if isinstance(mode, str) else _listed("mode", mode)
    if not metrics:
        raise SpecError("a study needs at least one metric, got none")
    if len(set(metrics)) != len(metrics):
        raise SpecError(f"each metric is named once, got {metrics}")
    if len(modes) != len(metrics):
        raise SpecError(f"mode needs one entry for each metric: {len(metrics)} metrics, {len(modes)} modes")
    ranges, begins = ranges_of(valid_range, metrics), _checked_thresholds(thresholds, metrics)
    return tuple(Goal(m, d, begins.get(m), ranges.get(m)) for m, d in zip(metrics, modes, strict=True))


def _checked_thresholds(thresholds: Any, metrics: Sequence[str]) -> dict[str, float]:
    if thresholds is None:
        return {}
    if not isinstance(thresholds, Mapping):
        raise SpecError(f'thresholds is a dict by metric like {{"latency_ms": 50}}, got {thresholds!r}')
    for name, value in thresholds.items():
        if name not in metrics:
            raise SpecError(
                f"thresholds says where goals begin to be interesting, and {name!r} is not one of {list(metrics)}; for a "
                f'bound on another metric use outcome_constraints=["{name} <= {value}"]'
            )
        if isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value):
            raise SpecError(f"thresholds[{name!r}] is a value of that metric, got {value!r}")
    return {name: float(value) for name, value in thresholds.items()}


def make_constraints(texts: str | Sequence[str]) -> tuple[Goal, ...]:
    """Outcome constraints from their texts, like ``"size_mb <= 100"`` and ``"recall >= 0.8"``.

    Raises:
        SpecError: a text is not such a comparison, a bound is given twice, or no value keeps both bounds of a metric.
    """
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        raise SpecError(f'outcome_constraints is a list like ["size_mb <= 100", "recall >= 0.8"], got {texts!r}')
    constraints: dict[tuple[str, str], Goal] = {}
    for text in texts:
        constraint = _constraint(text)
        key = constraint.metric, constraint.mode
        if key in constraints:
            raise SpecError(f"a metric has one bound on each side, got {constraints[key]} and {constraint}; keep one")
        constraints[key] = constraint
    for (metric, mode), above in constraints.items():
        below = constraints.get((metric, "min"))
        if mode == "max" and below is not None and (above.threshold or 0.0) > (below.threshold or 0.0):
            raise SpecError(f"no value of {metric!r} keeps both {above} and {below}; leave one of them out")
    return tuple(constraints.values())


@dataclass(frozen=True)
class Guard:
    """A bound that a running system must keep while it is tuned.

    Attributes:
        bound: a goal whose threshold is the bound or, for a relative guard, the factor.
        is_relative: whether the bound is the threshold times the control group's value at the same time.
    """

    bound: Goal
    is_relative: bool = False

    def __str__(self) -> str:
        return f"{self.bound}x" if self.is_relative else str(self.bound)

    @property
    def metric(self) -> str:
        """The metric that is bounded."""
        return self.bound.metric

    def limit(self, control: float | None) -> float | None:
        """The bound in the metric's units; None if it needs a control group's value and there is no positive one."""
        assert self.bound.threshold is not None
        if not self.is_relative:
            return self.bound.threshold
        return self.bound.threshold * control if control is not None and control > 0 else None

    def overrun(self, value: float, control: float | None = None) -> float:
        """By how much a value exceeds the bound, as a share of it; 0 or less if the bound is kept or unknown."""
        limit = self.limit(control)
        if limit is None:
            return 0.0
        excess = self.bound.loss(value) - self.bound.loss(limit)
        return excess / abs(limit) if limit else excess


def make_guards(texts: str | Sequence[str]) -> tuple[Guard, ...]:
    """Guards from their texts: ``"p99_ms <= 200"``, or ``"p99_ms <= 1.1x"``, relative to the control group's value.

    Raises:
        SpecError: a text is not such a comparison.
    """
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        raise SpecError(f'guards is a list like ["p99_ms <= 200", "p99_ms <= 1.1x"], got {texts!r}')
    return tuple(map(_guard, texts))


def _guard(text: Any) -> Guard:
    is_relative = isinstance(text, str) and text.rstrip().endswith("x")
    try:
        bound = _constraint(text.rstrip()[:-1] if is_relative else text)
    except SpecError as error:
        raise SpecError(
            f'a guard is a metric, "<=" or ">=", and a number, or a number and x for a multiple of what the control group '
            f'shows, like "p99_ms <= 1.1x"; got {text!r}'
        ) from error
    if is_relative and not (bound.threshold or 0.0) > 0.0:
        raise SpecError(f"a guard relative to the control group has a factor above 0, got {text!r}")
    return Guard(bound, is_relative)


def _constraint(text: Any) -> Goal:
    found = _CONSTRAINT.fullmatch(text) if isinstance(text, str) else None
    try:
        bound = float(found["bound"]) if found else nan
    except ValueError:
        bound = nan
    if found is None or not isfinite(bound) or {"<", ">", "="} & set(found["metric"]):
        raise SpecError(
            f'an outcome constraint is a metric, "<=" or ">=", and a number, like "size_mb <= 100"; got {text!r} '
            "(a metric with two bounds takes two constraints)"
        )
    return Goal(found["metric"], _BOUND_BY[found["sense"]], threshold=bound)


def excesses_of(metrics: Mapping[str, Any], constraints: Sequence[Goal]) -> tuple[float, ...]:
    """By how much each constraint is broken, in its units: 0 or less where it is kept, NaN where its metric is missing."""
    return tuple([c.excess(metrics.get(c.metric, nan)) for c in constraints])


def violations_of(metrics: Mapping[str, Any], constraints: Sequence[Goal]) -> dict[str, float]:
    """The violation of each broken constraint, by metric and in its units; empty if all hold.

    If a metric is missing, for instance because the scheduler ended the trial at its last step, the violation is NaN: a
    constraint that is not known to hold counts as broken.
    """
    excesses = zip(constraints, excesses_of(metrics, constraints), strict=True)
    return {c.metric: excess for c, excess in excesses if not excess <= 0}  # of two bounds only one can be broken


def _listed(what: str, value: Any) -> list[Any]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Sequence) and all(isinstance(word, str) for word in value):
        return list(value)
    raise SpecError(f"{what} is a word, or a list of words for several metrics, got {value!r}")


def ranges_of(
    valid_range: ValidRange | Mapping[str, ValidRange] | None, metrics: Sequence[str]
) -> dict[str, ValidRange]:
    """Closed intervals by metric, for goals and any other metric that the objective returns.

    Args:
        valid_range: one interval if there is one goal, otherwise a dict.
        metrics: the metrics of the goals.

    Raises:
        SpecError: ``valid_range`` is neither, or an interval is not valid.
    """
    if valid_range is None:
        return {}
    if not isinstance(valid_range, Mapping):
        if len(metrics) > 1:
            raise SpecError(f"with several metrics valid_range is a dict by metric, got {valid_range}")
        valid_range = {metrics[0]: valid_range}
    ranges = {}
    for name, interval in valid_range.items():
        try:
            low, high = (float(bound) for bound in interval)
        except (TypeError, ValueError):
            low = high = nan
        if not low < high:
            raise SpecError(f"valid_range needs two numbers, low < high, got {interval!r} for metric {name!r}")
        ranges[name] = (low, high)
    return ranges


def to_losses(metrics: Mapping[str, Any], goals: Sequence[Goal]) -> tuple[float, ...] | None:
    """The goals' values as losses to be minimised; None if the metrics lack one of them."""
    try:
        return tuple([g.loss(metrics[g.metric]) for g in goals])
    except KeyError:
        return None
