"""Scalarisation: combines several losses into one by their weights.

Y  (n, m)  losses, minimised, each between about 0 and 1
w  (m,)    weights with sum 1

The augmented Chebyshev function max_j w_j y_j + rho sum_j w_j y_j has its minimum on the front, and every point of the
front is the minimum for some weights, whatever the front's shape. (Knowles: ParEGO. IEEE Trans. Evol. Comput. 10, 2006)
"""

from __future__ import annotations

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.hypervolume_improvement import ImprovementAndSlopes
from raytune_hpo.numerics.pareto import shrunk
from raytune_hpo.numerics.quasi import sobol

RHO = 0.05  # the weight of the sum relative to the worst loss
_BATCH = 64
_SOFTNESS = 1e-2  # of the improvement's corner at 0, in units of the function


def simplex_weights(index: int, m: int, seed: int) -> Array:
    """Weights number ``index`` (m,) of a sequence that covers the simplex evenly: gaps of exponential variables."""
    start = index - index % _BATCH
    u = sobol(m, start, _BATCH, seed)[index - start]
    gaps = -np.log(np.clip(u, 1e-6, 1 - 1e-6))
    return np.asarray(gaps / gaps.sum())


def chebyshev(Y: Array, weights: Array) -> Array:
    """The augmented Chebyshev function of rows of losses (..., m): (...)."""
    weighted = Y * weights
    return np.asarray(weighted.max(axis=-1) + RHO * weighted.sum(axis=-1))


def scaled(Y: Array) -> Array:
    """Losses from 0 to 1 in each goal; NaN stays NaN, and a goal without extent is 0."""
    Y = shrunk(Y)
    low, extent = np.nanmin(Y, axis=0), np.nanmax(Y, axis=0) - np.nanmin(Y, axis=0)
    return np.asarray((Y - low) / np.where(extent > 0, extent, 1.0))


def log_chebyshev_improvement(mean: Array, sd: Array, weights: Array, best: float, normals: Array) -> Array:
    """As ``log_chebyshev_improvement_and_slopes``, without the slopes."""
    return log_chebyshev_improvement_and_slopes(mean, sd, weights, best, normals).value


def log_chebyshev_improvement_and_slopes(
    mean: Array, sd: Array, weights: Array, best: float, normals: Array
) -> ImprovementAndSlopes:
    """The logarithm of the expected improvement of the Chebyshev function of independent normal losses.

    The maximum of normal variables is not normal, so the expectation is a mean over draws; the improvement's kink at 0 is
    smoothed, so that the logarithm is finite and differentiable everywhere. (Ament et al., NeurIPS 2023, section 4)

    Args:
        mean, sd: (n, m).
        best: the value to improve on.
        normals: (s, m) standard normal variables, the same for all points, so that the values are smooth in them.
    """
    Y = mean[:, None, :] + sd[:, None, :] * normals  # (n, s, m)
    gain = (best - chebyshev(Y, weights)) / _SOFTNESS
    soft = np.maximum(np.logaddexp(0.0, gain), 1e-300)
    log_soft = np.where(gain < -30, gain, np.log(soft))
    top = log_soft.max(axis=1, keepdims=True)
    parts = np.exp(log_soft - top)
    value = top[:, 0] + np.log(parts.mean(axis=1) * _SOFTNESS)
    shares = parts / parts.sum(axis=1, keepdims=True)
    # d log softplus / d gain is sigmoid / softplus, which is 1 far below 0
    steepness = np.where(gain < -30, 1.0, 1 / ((1 + np.exp(-np.maximum(gain, -30))) * soft)) * shares / -_SOFTNESS
    is_worst = (Y * weights).argmax(axis=2)[:, :, None] == np.arange(len(weights))
    by_loss = steepness[:, :, None] * (is_worst + RHO) * weights
    return ImprovementAndSlopes(value, by_loss.sum(axis=1), (by_loss * normals).sum(axis=1))
