"""Estimates from repeats of a configuration: its mean with an interval, and the noise of the objective.

values  (n,)  of one configuration in one metric, in the metric's own units
k             configurations that are compared with each other
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from raytune_hpo.analysis.columns import flattened
from raytune_hpo.trial import Trial

LEVEL = 0.95
# Values that differ by less, relative to their size, are the same: sums are not always added in one order.
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The value of one configuration in one metric.

    Attributes:
        mean: NaN if there are no values.
        sd: the standard deviation of one evaluation; None with fewer than two values.
        n: the number of values.
        interval: the confidence interval of the mean; None with fewer than two values, or if all are the same.
    """

    mean: float
    sd: float | None
    n: int
    interval: tuple[float, float] | None


def estimate(values: Sequence[float], *, k: int = 1, level: float = LEVEL) -> Estimate:
    """The mean of repeats, with Student's interval, which assumes that they are independent and about normal.

    With k configurations, each interval is at level 1 - (1 - level) / k, so that all of them hold simultaneously with
    probability ``level`` at least, whatever their dependence (Bonferroni; Dunn 1961, JASA 56, 52-64). So it also holds for
    the one that is selected for its best mean, for which a single interval would not.
    """
    from scipy.special import stdtrit

    n = len(values)
    mean = math.fsum(values) / n if n else math.nan
    if n < 2 or not math.isfinite(mean):
        return Estimate(mean=mean, sd=None, n=n, interval=None)
    if not vary(values):
        return Estimate(mean=mean, sd=0.0, n=n, interval=None)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    quantile = float(stdtrit(n - 1, 1 - (1 - level) / (2 * k)))  # of Student's t
    half = quantile * sd / math.sqrt(n)
    return Estimate(mean=mean, sd=sd, n=n, interval=(mean - half, mean + half))


def vary(values: Sequence[float]) -> bool:
    """Whether values differ by more than rounding."""
    low, high = min(values), max(values)
    return high - low > _ROUNDING * max(abs(low), abs(high))


def pooled_sd(samples: Iterable[Sequence[float]]) -> float | None:
    """The noise of one evaluation: the pooled standard deviation of the samples; None if none has two finite values.

    Each sample counts with its degrees of freedom, n - 1.
    """
    squares, freedom = 0.0, 0
    for values in samples:
        found = estimate(values)
        if found.sd is not None:
            squares += (found.n - 1) * found.sd**2
            freedom += found.n - 1
    return math.sqrt(squares / freedom) if freedom else None


def by_config(trials: Iterable[Trial]) -> list[list[Trial]]:
    """The completed trials, those of one configuration together, in the order of their first ones."""
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.losses is not None:
            # The same for equal configurations, whatever kind of values they hold.
            key = repr(sorted(flattened(trial.config).items(), key=lambda item: item[0]))
            groups.setdefault(key, []).append(trial)
    return list(groups.values())


@dataclass(frozen=True, kw_only=True)
class Noise:
    """The noise of an objective, estimated from repeated configurations of a search.

    Attributes:
        num_repeated: configurations that completed more than once; ``num_differing``: those with different values.
        sd: of one evaluation, in the metric's own units.
    """

    num_repeated: int
    num_differing: int
    sd: float


def noise_among(trials: Iterable[Trial], metric: str) -> Noise | None:
    """The noise among trials of the same configuration; None where no configuration was repeated.

    Segments of a population are no repeats: each goes on from another state.
    """
    groups = by_config(trial for trial in trials if trial.slot is None)
    samples = [[trial.metrics[metric] for trial in group] for group in groups if len(group) > 1]
    sd = pooled_sd(samples)
    if sd is None:
        return None
    return Noise(num_repeated=len(samples), num_differing=sum(map(vary, samples)), sd=sd)
