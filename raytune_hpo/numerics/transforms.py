"""Transforms of losses for a Gaussian process: they remove heavy tails and standardise.

y  (n,)  losses; the order of any two is kept, though some may become equal
"""

from __future__ import annotations

import math

import numpy as np

from raytune_hpo.arrays import Array

_LEAST_ERROR = 1e-5
_ROUNDING = 1e-15  # of an accuracy of 1
_HYBRID = 0.3
_FARTHEST = 1e6  # below known losses, in units of the distance between the two best
_DEEPEST = 1e30  # below the median, in deviations: squares of what lies deeper would overflow


def standardised(y: Array) -> Array:
    """Losses with zero mean and unit variance; zeros if all are equal. Works for finite losses of any size."""
    largest = float(np.abs(y).max(initial=0.0))
    y = y / largest if largest > 0 else y  # or squares of 1e300 would overflow
    y = y - y.mean()
    sd = float(y.std())
    return y / sd if sd > 1e-12 else np.zeros_like(y)


def log_error(y: Array) -> Array:
    """The logarithm of an error rate, from 1e-5 to 1, as (log10 e + 5) / 5. (Cho et al., IEEE Access 8, 2020)

    Losses that are not error rates are half-ranked instead.
    """
    y = error_rate(y)
    return (np.log10(np.maximum(y, _LEAST_ERROR)) + 5) / 5 if may_be_errors(y) else half_ranked(y)


def hybrid_log_error(y: Array) -> Array:
    """Error rates above 0.3 as they are, below as logarithms, continuous at 0.3. (Cho et al., IEEE Access 8, 2020)

    Losses that are not error rates are half-ranked instead.
    """
    y = error_rate(y)
    if not may_be_errors(y):
        return half_ranked(y)
    low = np.log10(np.clip(y, _LEAST_ERROR, _HYBRID)) + _HYBRID - math.log10(_HYBRID)
    return np.where(y > _HYBRID, y, low)


def error_rate(y: Array) -> Array:
    """Losses as error rates: 1 + y for losses in [-1, 0], those of an accuracy that is maximised; others as they are."""
    return y + 1 if (y < 0).any() and (y >= -1).all() and (y <= 0).all() else y


def may_be_errors(y: Array) -> bool:
    """Whether losses may be error rates: none is negative, or positive and less than 1e-5 but for rounding."""
    return not ((y < 0) | ((y > _ROUNDING) & (y < _LEAST_ERROR))).any()


def half_ranked(y: Array) -> Array:
    """Losses better than the median as they are; worse ones by their ranks, as quantiles of a normal distribution.

    Of bad losses only the order matters: how much worse they are often depends on where training diverged. The normal's
    standard deviation is that of the better half around the median.

    Song et al.: The Vizier Gaussian Process Bandit Algorithm. 2024, section 3.2 (half-rank warping).
    """
    from scipy.special import ndtri

    y = y / 2  # the difference of two of 1e308 is infinite
    n, gap = len(y), y - float(np.median(y))
    if not (below := gap < 0).any():
        return np.where(gap > 0, 1.0, 0.0)
    deepest = -float(gap.min())  # a penalty of 1e300 must not make all others equal, nor their squares vanish
    spread = deepest * math.sqrt(float(np.mean((gap[below] / deepest) ** 2)))
    _, inverse, counts = np.unique(y, return_inverse=True, return_counts=True)
    upto = np.cumsum(counts) - 0.5 * counts  # ties share a rank
    quantiles = 0.5 + 0.5 * np.clip((upto[inverse] / n - 0.5) * 2, 0.0, 1 - 0.5 / n)
    return np.where(gap > 0, ndtri(quantiles), np.minimum(gap, 0.0) / spread)


def squashed(y: Array, typical: Array) -> Array:
    """Losses of any shape as deviations from the median of typical ones (k,), in units of the better half's deviation.

    Above the median they are logarithmic, so that a heavy tail does not matter. NaN stays NaN.
    """
    if not len(typical):
        return y
    y, typical = y / 2, typical / 2  # the difference of two of 1e308 is infinite
    middle = float(np.median(typical))
    below = np.minimum(typical - middle, 0.0)
    deepest = -float(below.min(initial=0.0))
    spread = deepest * math.sqrt(float(np.mean((below[below < 0] / deepest) ** 2))) if deepest > 0 else 0.0
    unit = spread if spread > 0 else max(float(np.nanmax(np.abs(y - middle), initial=0.0)), 1e-300)
    with np.errstate(over="ignore"):
        gap = np.clip((y - middle) / unit, -_DEEPEST, np.finfo(np.float64).max)
    return np.where(gap > 0, np.log1p(np.maximum(gap, 0.0)), gap)


def normal_scores(y: Array) -> Array:
    """The quantiles of a standard normal at the ranks of the losses; ties share a rank. (Blom, 1958, with c = 1/2)"""
    from scipy.special import ndtri

    _, inverse, counts = np.unique(y, return_inverse=True, return_counts=True)
    upto = np.cumsum(counts) - 0.5 * counts
    return np.asarray(ndtri(upto[inverse] / len(y)))


def undone(z: Array, warped: Array, y: Array) -> Array:
    """The inverse of a warp: losses (k,) of warped ones z (k,), interpolated between losses y (n,) and their warps (n,).

    Values beyond all of these get the outermost loss.
    """
    order = np.argsort(warped, kind="stable")
    # Divided by a power of two, which changes no digits: the difference of two of 1e308 is infinite.
    exponent = max(np.frexp(np.abs(y).max())[1], 0)
    return np.asarray(np.ldexp(np.interp(z, warped[order], np.ldexp(y[order], -exponent)), exponent))


def placed(y: Array, warped: Array, known: Array) -> Array:
    """The warped values of further losses (k,), interpolated from known losses (n,) and their warped values (n,).

    Below the best ones they are extrapolated; losses that are NaN, or worse than all known ones, count as the worst.
    """
    losses, first = np.unique(known / 2, return_index=True)  # the difference of two of 1e308 is infinite
    z, y = warped[first], y / 2
    at = np.interp(y, losses, z)
    if len(losses) > 1:
        with np.errstate(over="ignore"):
            steps = np.minimum((losses[0] - y) / (losses[1] - losses[0]), _FARTHEST)
        at = np.where(y < losses[0], z[0] - (z[1] - z[0]) * steps, at)
    return np.where(np.isnan(y), z[-1], at)


def power(y: Array) -> Array:
    """Losses after the power transform of Yeo and Johnson, fitted by maximum likelihood. (Biometrika 87, 2000, eq. 2.1)"""
    from scipy.optimize import minimize_scalar

    z = standardised(y)
    if not z.any():
        return z
    logs = float((np.sign(z) * np.log1p(np.abs(z))).sum())

    def unlikely(power: float) -> float:
        return len(z) / 2 * math.log(float(_yeo_johnson(z, power).var()) + 1e-300) - (power - 1) * logs

    return _yeo_johnson(z, float(minimize_scalar(unlikely, bounds=(-4.0, 3.0), method="bounded").x))


def _yeo_johnson(z: Array, p: float) -> Array:
    up, down = np.maximum(z, 0.0), np.maximum(-z, 0.0)
    grown = np.log1p(up) if abs(p) < 1e-9 else ((up + 1) ** p - 1) / p
    shrunk = np.log1p(down) if abs(2 - p) < 1e-9 else ((down + 1) ** (2 - p) - 1) / (2 - p)
    return np.where(z >= 0, grown, -shrunk)
