"""What a study optimises: its goals, and the only sign flip in the house."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any, TypeAlias, TypeVar

from raytune_hpo.errors import SpecError

ValidRange: TypeAlias = tuple[float, float]
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
    valid_range: ValidRange | Mapping[str, ValidRange] | None = None,
) -> tuple[Goal, ...]:
    """Goals from the keywords of a Tuner; one mode serves for all metrics, or one is given for each.

    Args:
        valid_range: see ``ranges_of``; those of other metrics are passed over.

    Raises:
        SpecError: no metric, a metric twice, as many modes as metrics are not given, or a range that is not valid.
    """
    metrics = _listed("metric", metric)
    modes = [mode] * len(metrics) if isinstance(mode, str) else _listed("mode", mode)
    if not metrics:
        raise SpecError("a study needs at least one metric, got none")
    if len(set(metrics)) != len(metrics):
        raise SpecError(f"each metric is named once, got {metrics}")
    if len(modes) != len(metrics):
        raise SpecError(f"mode needs one entry for each metric: {len(metrics)} metrics, {len(modes)} modes")
    ranges = ranges_of(valid_range, metrics)
    return tuple(Goal(m, d, valid_range=ranges.get(m)) for m, d in zip(metrics, modes, strict=True))


def _listed(what: str, value: Any) -> list[Any]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Sequence) and all(isinstance(word, str) for word in value):
        return list(value)
    raise SpecError(f"{what} is a word, or a list of words for several metrics, got {value!r}")


def ranges_of(
    valid_range: ValidRange | Mapping[str, ValidRange] | None, metrics: Sequence[str]
) -> dict[str, ValidRange]:
    """Closed intervals by metric: of goals, and of any other metric that the objective gives.

    Args:
        valid_range: one interval where there is one goal, otherwise a dict.
        metrics: of the goals.

    Raises:
        SpecError: it is none of these, or not an interval.
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
    """The goals' values as losses to be minimised, or None where one of them is not among the metrics."""
    try:
        return tuple([g.loss(metrics[g.metric]) for g in goals])
    except KeyError:
        return None
