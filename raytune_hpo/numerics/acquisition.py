"""How much is promised by a point whose loss is believed to be normal: acquisition functions.

m (n,)  means of the loss            b  the best loss so far; less is better
s (n,)  its standard deviations, >= 0    u = (b - m) / s, the promised gain in standard deviations
phi, Phi  density and distribution function of the standard normal

All scores are (n,), and larger is better. A point without doubt (s = 0) promises its gain, or nothing.

Jones, Schonlau, Welch: Efficient Global Optimization of Expensive Black-Box Functions. J. Global Optimization 13, 1998.
Ament, Daulton, Eriksson, Balandat, Bakshy: Unexpected Improvements to Expected Improvement. NeurIPS 2023.
"""

from __future__ import annotations

import math

import numpy as np

from raytune_hpo.arrays import Array

_LOG_SQRT_2PI = math.log(2 * math.pi) / 2
_LOG_SQRT_HALF_PI = math.log(math.pi / 2) / 2
_LONGEST = 1e150  # its square is a float
_FAR = -1e6  # below, 1 - erfcx(...) has lost all but a few of its digits, and its first term is exact


def expected_improvement(mean: Array, sd: Array, best: float) -> Array:
    """E[max(b - y, 0)], in units of the loss. (Jones et al. 1998, eq. 15)"""
    from scipy.special import ndtr

    gain, u = _promised(mean, sd, best)
    certain = sd == 0
    u = np.where(certain, 0.0, u)
    return np.where(certain, np.maximum(gain, 0.0), np.maximum(gain * ndtr(u) + sd * _density(u), 0.0))


def log_expected_improvement(mean: Array, sd: Array, best: float) -> Array:
    """The logarithm of the expected improvement, exact where the improvement itself is too small for a float.

    -inf where there is no doubt and no gain. (Ament et al. 2023, eq. 8: log s + log h(u))
    """
    gain, u = _promised(mean, sd, best)
    with np.errstate(divide="ignore"):
        certain = np.log(np.maximum(gain, 0.0))
        return np.where(sd == 0, certain, np.log(sd) + log_h(np.where(sd == 0, 0.0, u)))


def probability_of_improvement(mean: Array, sd: Array, best: float) -> Array:
    """P(y < b). (Kushner, J. Basic Engineering 86, 1964)"""
    from scipy.special import ndtr

    gain, u = _promised(mean, sd, best)
    return np.where(sd == 0, gain > 0, ndtr(u))


def log_probability_of_improvement(mean: Array, sd: Array, best: float) -> Array:
    """log P(y < b), which tells points apart where the probability is too small for a float."""
    from scipy.special import log_ndtr

    gain, u = _promised(mean, sd, best)
    return np.where(sd == 0, np.where(gain > 0, 0.0, -np.inf), log_ndtr(u))


def upper_confidence_bound(mean: Array, sd: Array, best: float = math.nan, *, kappa: float = 1.0) -> Array:
    """-m + kappa s: the loss that a hopeful person expects, negated. It needs no best.

    (Srinivas, Krause, Kakade, Seeger: Gaussian Process Optimization in the Bandit Setting. ICML 2010, eq. 6)
    """
    return kappa * sd - mean


def log_h(u: Array) -> Array:
    """log(phi(u) + u Phi(u)) for any u, without cancellation. (Ament et al. 2023, eq. 9)"""
    from scipy.special import erfcx, ndtr

    u = np.asarray(u, dtype=float)
    near = np.maximum(u, -1.0)
    left = np.clip(u, _FAR, -1.0)
    far = np.minimum(u, _FAR)
    rest = np.log(erfcx(-left / math.sqrt(2)) * -left) + _LOG_SQRT_HALF_PI
    return np.select(
        [u > -1, u > _FAR],
        [np.log(_density(near) + near * ndtr(near)), -(left**2) / 2 - _LOG_SQRT_2PI + np.log(-np.expm1(rest))],
        -(far**2) / 2 - _LOG_SQRT_2PI - 2 * np.log(-far),
    )


def _promised(mean: Array, sd: Array, best: float) -> tuple[Array, Array]:
    """b - m and u; u means nothing where s = 0."""
    gain = best - mean
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return gain, np.clip(gain / sd, -_LONGEST, _LONGEST)


def _density(u: Array) -> Array:
    return np.exp(-(u**2) / 2 - _LOG_SQRT_2PI)
