"""Confidence bounds of a share, a quantile and a mean of few observations.

n      how many there are
level  the largest probability with which the true value is below the lower bound; the same for the upper one

Clopper, Pearson: The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial. Biometrika 26, 1934.
David, Nagaraja: Order Statistics. Wiley 2003, section 7.1 (quantiles).
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def share_bounds(k: int, n: int, level: float) -> tuple[float, float]:
    """Bounds of the probability of an event that has happened in k of n cases. (Clopper and Pearson)"""
    from scipy.special import betaincinv

    low = float(betaincinv(k, n - k + 1, level)) if k else 0.0
    high = float(betaincinv(k + 1, n - k, 1.0 - level)) if k < n else 1.0
    return low, high


def quantile_bounds(values: Sequence[float], q: float, level: float) -> tuple[float, float]:
    """Bounds of the q-quantile: two of the values, which are in ascending order; infinite where there are too few.

    The number of values up to the true quantile is binomial. So the r-th value is above it with the probability that fewer
    than r of n are not, whatever the distribution. (David and Nagaraja)
    """
    n = len(values)
    r, s = _binomial_quantile(level, n, q), _binomial_quantile(1.0 - level, n, q) + 1
    return values[r - 1] if r >= 1 else -math.inf, values[s - 1] if s <= n else math.inf


def _binomial_quantile(level: float, n: int, q: float) -> int:
    """The smallest k with a probability of at least ``level`` for up to k of n. (scipy.stats takes a second to import)"""
    from scipy.special import bdtr, bdtrik

    k = math.ceil(float(bdtrik(level, n, q)))
    return k - 1 if k >= 1 and float(bdtr(k - 1, n, q)) >= level else k


def mean_bounds(values: Sequence[float], level: float) -> tuple[float, float]:
    """Bounds of the mean by Student's t; infinite for a single value."""
    from scipy.special import stdtrit

    n = len(values)
    if n < 2:
        return -math.inf, math.inf
    # In units of a power of two, which changes no digits: sums and squares of 1e308 are no floats.
    unit = 2.0 ** (math.frexp(max(map(abs, values)))[1] - 1)
    scaled = [value / unit for value in values]
    mean = math.fsum(scaled) / n
    error = math.sqrt(math.fsum((value - mean) ** 2 for value in scaled) / (n - 1) / n)
    limit = float(stdtrit(n - 1, 1.0 - level)) * error
    return (mean - limit) * unit, (mean + limit) * unit
