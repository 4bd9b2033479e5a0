"""The values of one metric, and which trials stand for all where there are too many to draw.

losses  (n,)  minimised; NaN where a trial has no value
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from raytune_hpo.errors import SpecError, nearest
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal, to_losses
from raytune_hpo.trial import Trial

Floats = NDArray[np.float64]

_VALUED = (Status.COMPLETED, Status.PRUNED)
_FAR = 8.0  # a loss so many times farther from the best than most are lies far away
_BEST = 0.2  # of the trials that stand for all, so many are the best ones


def goal_named(metric: str | None, goals: Sequence[Goal], trials: Sequence[Trial]) -> Goal:
    """The goal of that metric, by default the first; any other one that a trial has counts as minimised.

    Raises:
        SpecError: no trial has such a metric.
    """
    named = {goal.metric: goal for goal in goals}
    if metric is None or metric in named:
        return named.get(metric or "", goals[0])
    known = {name for trial in trials for metrics in _all_metrics(trial) for name in metrics}
    if metric not in known:
        raise SpecError(f"no trial reported a metric {metric!r}; {nearest(metric, known | set(named))}")
    return Goal(metric)


def values_of(trials: Sequence[Trial], goal: Goal) -> Floats:
    """The metric (n,) in its own units: of completed trials, and of pruned ones as they last reported it; else NaN."""
    return np.array([_number(t.metrics.get(goal.metric)) if t.status in _VALUED else np.nan for t in trials])


def losses_of_values(values: Floats, goal: Goal) -> Floats:
    """Values of a metric as losses, and losses as values."""
    flipped = to_losses({goal.metric: values}, [goal])
    assert flipped is not None
    return np.asarray(flipped[0])


def usual(losses: Floats) -> tuple[float, float]:
    """From the lowest loss to the highest, or to the highest of most where the very highest lie far away.

    Args:
        losses: (n,), n >= 1, finite.
    """
    best, most, worst = losses.min(), np.quantile(losses, 0.9), losses.max()
    end = worst if worst - best <= _FAR * (most - best) else best + 2 * (most - best)
    return float(best), float(end)


def standing_for_all(losses: Floats, most: int) -> NDArray[np.intp]:
    """Positions of at most ``most`` trials, in order: a fifth are the best, the others come evenly from all the study."""
    if len(losses) <= most:
        return np.arange(len(losses))
    kept = np.zeros(len(losses), dtype=bool)
    kept[np.argsort(losses, kind="stable")[: round(_BEST * most)]] = True
    others = np.flatnonzero(~kept)
    kept[others[evenly(len(others), most - int(kept.sum()))]] = True
    return np.flatnonzero(kept)


def evenly(num: int, most: int) -> NDArray[np.intp]:
    """At most ``most`` of ``num`` positions, evenly spread, the first and the last among them."""
    return np.arange(num) if num <= most else np.linspace(0, num - 1, most).round().astype(np.intp)


def _all_metrics(trial: Trial) -> list[Mapping[str, object]]:
    """Those of the result, and those of the first report, which stand for all reports."""
    return [trial.metrics, *[report.metrics for report in trial.reports[:1]]]


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and abs(value) < np.inf else np.nan
