"""One metric of a study as a series over its trials: values, losses, and the best so far.

values  (n,)  of n trials in the metric's own units; NaN where a trial has none
losses  (n,)  the same, minimised
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from raytune_hpo.analysis.trial_arrays import (
    STATUSES,
    TrialArrays,
    creation_times,
    feasible_ones,
    finishing_times,
    status_codes,
)
from raytune_hpo.display.ranges import LOG_DECADES, end_without_outliers
from raytune_hpo.errors import SpecError, nearest
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.numerics.thinning import best_and_others
from raytune_hpo.spec import StudySpec
from raytune_hpo.trial import Trial

Floats = NDArray[np.float64]
Positions = NDArray[np.intp]

_HUGE = 1e308  # an int may be larger than any float
_NO_VALUES: Floats = np.empty(0)
_MARGIN = 0.06  # share of an axis that extends beyond the values, at either end
VALUED = (Status.COMPLETED, Status.PRUNED, Status.PAUSED)  # the values of running trials will still change


class AxisRange(NamedTuple):
    """The part of an axis that a figure shows.

    Attributes:
        low, high: its ends; on a logarithmic axis, the extreme values themselves.
    """

    low: float
    high: float
    is_log: bool

    def leaves_out(self, values: Floats) -> NDArray[np.bool_]:
        """Which values (n,) lie outside; none on a logarithmic axis."""
        outside: NDArray[np.bool_] = ((values < self.low) | (values > self.high)) & (not self.is_log)
        return outside


@dataclass(frozen=True)
class ValuesOf:
    """The column of a metric: of completed trials, and as last reported of pruned and paused ones; else NaN."""

    metric: str

    def __call__(self, trials: Sequence[Trial]) -> Floats:
        found = [trial.metrics.get(self.metric) if trial.status in VALUED else None for trial in trials]
        return np.array([v if isinstance(v, (int, float)) and abs(v) < _HUGE else np.nan for v in found], np.float64)


@dataclass(frozen=True, eq=False)
class MetricSeries:
    """One metric of a study's trials; everything is computed once, on first access.

    Attributes:
        goal: the metric and its direction.
        trials: all trials; positions are indices into this sequence.
    """

    goal: Goal
    trials: Sequence[Trial]

    @cached_property
    def arrays(self) -> TrialArrays:
        """The trials, with the columns read from them so far."""
        return TrialArrays.over(self.trials)

    @cached_property
    def values(self) -> Floats:
        """The metric (n,): of completed trials, and as last reported of pruned and paused ones; else NaN."""
        return self.arrays.of(ValuesOf(self.goal.metric))

    @cached_property
    def losses(self) -> Floats:
        """The values, minimised (n,)."""
        return self.goal.loss(self.values)

    @cached_property
    def valued(self) -> Positions:
        """Positions of the trials that have a value."""
        return np.flatnonzero(np.isfinite(self.losses))

    @cached_property
    def axis(self) -> AxisRange | None:
        """The range in which the values are drawn, the best one too; None if they are all the same or absent."""
        best = [] if self.best is None else [self.best]  # among infeasible trials, the best feasible one may be far out
        return axis_range(self.values, self.goal, self.values[best])

    @property
    def is_log(self) -> bool:
        """Whether the values are drawn on a logarithmic axis."""
        return self.axis is not None and self.axis.is_log

    @property
    def num_outside(self) -> int:
        """The number of outliers, that is values outside the axis."""
        return 0 if self.axis is None else int(self.axis.leaves_out(self.values).sum())

    @cached_property
    def completed(self) -> NDArray[np.bool_]:
        """Whether each trial has completed, (n,)."""
        completed: NDArray[np.bool_] = self.arrays.of(status_codes) == STATUSES.index(Status.COMPLETED)
        return completed

    @cached_property
    def feasible(self) -> NDArray[np.bool_]:
        """Whether each trial has completed and meets all outcome constraints, (n,)."""
        return self.arrays.of(feasible_ones)

    @cached_property
    def ranks(self) -> Floats:
        """The rank of each trial with a value (n,), 0 the best, see ``feasible_first``; else NaN."""
        return feasible_first(self.losses, self.arrays)

    @cached_property
    def infeasible(self) -> NDArray[np.bool_]:
        """Whether each trial has completed and breaks an outcome constraint, (n,)."""
        return infeasible_ones(self.arrays)

    def sample(self, most: int) -> Positions:
        """At most ``most`` positions of trials with a value, in order: the best ones, and others spread over the study."""
        return self.valued[best_and_others(self.ranks[self.valued], most)]

    @cached_property
    def best(self) -> int | None:
        """The position of the best feasible trial, the first of equals; None if no feasible trial has a value."""
        found = np.where(self.feasible, self.losses, np.nan)
        return None if np.isnan(found).all() else int(np.nanargmin(found))

    @cached_property
    def lowest_so_far(self) -> Floats:
        """The lowest loss of a feasible trial up to each position (n,); NaN before the first one."""
        return lowest_so_far(np.where(self.feasible, self.losses, np.nan))

    @cached_property
    def improvements(self) -> list[int]:
        """Positions of the feasible trials that were better than all before them, the first one included."""
        return improvements(np.where(self.feasible, self.losses, np.nan))

    def lowest_over_time(self) -> tuple[Floats, Floats]:
        """When feasible trials completed, in seconds since the study's first trial began, and the lowest loss then."""
        finished = self.arrays.of(finishing_times)
        ended = np.flatnonzero(self.feasible & ~np.isnan(finished))
        if not len(ended):
            return np.empty(0), np.empty(0)
        ended = ended[np.lexsort((self.losses[ended], finished[ended]))]
        return finished[ended] - self.arrays.of(creation_times).min(), lowest_so_far(self.losses[ended])


def feasible_first(losses: Floats, trials: TrialArrays) -> Floats:
    """The ranks (n,) of losses (n,), 0 the best, equals alike; completed trials that break a constraint come after all
    others, in the order of their losses. NaN where there is no loss.
    """
    known = np.flatnonzero(np.isfinite(losses))
    order = known[np.lexsort((losses[known], infeasible_ones(trials)[known]))]
    values, is_last = losses[order], infeasible_ones(trials)[order]
    ranks = np.full(len(losses), np.nan)
    is_worse = (values[1:] != values[:-1]) | (is_last[1:] != is_last[:-1])
    ranks[order] = np.append(0, np.cumsum(is_worse))[: len(order)]
    return ranks


def infeasible_ones(trials: TrialArrays) -> NDArray[np.bool_]:
    """Whether each trial has completed and breaks an outcome constraint, (n,)."""
    completed = trials.of(status_codes) == STATUSES.index(Status.COMPLETED)
    infeasible: NDArray[np.bool_] = completed & ~trials.of(feasible_ones)
    return infeasible


def lowest_so_far(losses: Floats) -> Floats:
    """The lowest loss up to each entry, (n,); NaN before the first one."""
    lowest: Floats = np.fmin.accumulate(losses) if len(losses) else losses
    return lowest


def improvements(losses: Floats) -> list[int]:
    """The positions at which the lowest loss so far decreases, the first loss included."""
    lowest = lowest_so_far(losses)
    before = np.append(np.nan, lowest)[: len(lowest)]
    found: list[int] = np.flatnonzero((lowest < before) | (np.isnan(before) & ~np.isnan(lowest))).tolist()
    return found


def axis_range(values: Floats, goal: Goal, inside: Floats = _NO_VALUES) -> AxisRange | None:
    """A logarithmic range if the values (n,) span decades, otherwise one without the outliers on the worse side.

    Args:
        inside: (k,) values that do not count as outliers, however far they lie from the others.
    """
    finite = values[np.isfinite(values)]
    if len(finite) < 2 or finite.min() == finite.max():
        return None
    if finite.min() > 0 and np.log10(finite.max() / finite.min()) > LOG_DECADES:
        return AxisRange(float(finite.min()), float(finite.max()), is_log=True)
    best, worst = usual_range(goal.loss(finite))
    low, high = sorted(map(goal.value, (best, max([worst, *goal.loss(inside[np.isfinite(inside)]).tolist()]))))
    margin = _MARGIN * (high - low)
    return AxisRange(low - margin, high + margin, is_log=False) if high > low else None


def usual_range(losses: Floats) -> tuple[float, float]:
    """The range from the lowest loss to the highest, or to the highest that is not an outlier.

    Args:
        losses: (n,), n >= 1, finite.
    """
    best, most, worst = float(losses.min()), float(np.quantile(losses, 0.9)), float(losses.max())
    return best, end_without_outliers(best, most, worst)


def goal_named(metric: str | None, spec: StudySpec, trials: Sequence[Trial]) -> Goal:
    """The goal of a metric, by default the first one.

    Any other metric that a trial has is minimised, or maximised if an outcome constraint bounds it from below only.

    Raises:
        SpecError: no trial has such a metric.
    """
    if not isinstance(metric, str | None):
        raise SpecError(f"a metric is one name, got {metric!r}; names of parameters are given as parameters=[...]")
    named = {goal.metric: goal for goal in spec.goals}
    if metric is None or metric in named:
        return named.get(metric or "", spec.goals[0])
    known: set[str] = set()
    for trial in trials:
        reports: Sequence[Mapping[str, object]] = [report.metrics for report in trial.reports[:1]]  # stands for all
        known.update(*[trial.metrics, *reports])
    if metric not in known:
        raise SpecError(f"no trial reported a metric {metric!r}; {nearest(metric, known | set(named))}")
    modes = {constraint.mode for constraint in spec.constraints if constraint.metric == metric}
    return Goal(metric, modes.pop()) if len(modes) == 1 else Goal(metric)
