"""Estimates from repeats of a configuration: its mean with an interval, and the noise of the objective.

values  (n,)  the values of one configuration in one metric, in the metric's own units
k             the number of configurations that are compared with each other
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from raytune_hpo.analysis.columns import flattened
from raytune_hpo.trial import Trial

LEVEL = 0.95
# Values that differ by less, relative to their size, count as equal, since sums may be added in another order.
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The value of one configuration in one metric.

    Attributes:
        mean: NaN where there are no values.
        sd: the standard deviation of one evaluation; None if there are fewer than two values.
        n: the number of values.
        interval: the confidence interval of the mean; None if there are fewer than two values, or they are all the same.
    """

    mean: float
    sd: float | None
    n: int
    interval: tuple[float, float] | None


def estimate(values: Sequence[float], *, k: int = 1, level: float = LEVEL) -> Estimate:
    """The mean of repeats with Student's confidence interval, which assumes them independent and roughly normal.

    With k configurations each interval has level 1 - (1 - level) / k, so that all of them hold together with probability
    ``level`` at least, however they depend on each other (Bonferroni; Dunn 1961, JASA 56, 52-64). The interval is
    therefore valid even for the configuration that was picked for its best mean, which a single interval is not.
    """
    from scipy.special import stdtrit

    n, unit = len(values), _unit(values)
    mean = unit * (math.fsum(value / unit for value in values) / n) if n else math.nan
    if n < 2 or not math.isfinite(mean):
        return Estimate(mean=mean, sd=None, n=n, interval=None)
    if not vary(values):
        return Estimate(mean=mean, sd=0.0, n=n, interval=None)
    sd = unit * math.sqrt(math.fsum((value / unit - mean / unit) ** 2 for value in values) / (n - 1))
    quantile = float(stdtrit(n - 1, 1 - (1 - level) / (2 * k)))  # of Student's t
    half = quantile * sd / math.sqrt(n)
    return Estimate(mean=mean, sd=sd, n=n, interval=(mean - half, mean + half))


def _unit(values: Iterable[float]) -> float:
    """A power of two near the largest value: in this unit squares neither overflow nor vanish, and no digit changes."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return math.ldexp(1.0, max(math.frexp(largest)[1] - 1, sys.float_info.min_exp)) if largest else 1.0


def vary(values: Sequence[float]) -> bool:
    """Whether values differ by more than rounding."""
    low, high = min(values), max(values)
    return high - low > _ROUNDING * max(abs(low), abs(high))


def pooled_sd(samples: Iterable[Sequence[float]]) -> float | None:
    """The standard deviation of one evaluation, pooled over samples; None if no sample has two finite values.

    Each sample counts with its degrees of freedom, n - 1.
    """
    known = [(found.sd, found.n - 1) for found in map(estimate, samples) if found.sd is not None]
    unit, freedom = _unit(sd for sd, _ in known), sum(own for _, own in known)
    return unit * math.sqrt(sum(own * (sd / unit) ** 2 for sd, own in known) / freedom) if freedom else None


def by_config(trials: Iterable[Trial]) -> list[list[Trial]]:
    """The completed trials grouped by configuration, in the order in which the configurations first appear."""
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.losses is not None:
            # A key that is the same for equal configurations, even with values that cannot be hashed.
            key = repr(sorted(flattened(trial.config).items(), key=lambda item: item[0]))
            groups.setdefault(key, []).append(trial)
    return list(groups.values())


@dataclass(frozen=True, kw_only=True)
class Noise:
    """The noise of an objective, estimated from repeated configurations of a search.

    Attributes:
        num_repeated: the number of configurations that completed more than once.
        num_differing: the number of those with different values.
        sd: the standard deviation of one evaluation, in the metric's own units.
    """

    num_repeated: int
    num_differing: int
    sd: float


def noise_among(trials: Iterable[Trial], metric: str) -> Noise | None:
    """The noise among trials of the same configuration; None if no configuration was repeated.

    Segments of a population are not repeats, since each continues from another state.
    """
    groups = by_config(trial for trial in trials if trial.slot is None)
    samples = [[trial.metrics[metric] for trial in group] for group in groups if len(group) > 1]
    sd = pooled_sd(samples)
    if sd is None:
        return None
    return Noise(num_repeated=len(samples), num_differing=sum(map(vary, samples)), sd=sd)
