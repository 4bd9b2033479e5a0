"""Expected hypervolume improvement of a front, by points whose losses have normal predictive distributions.

mean, sd  (n, m)  of the losses of n points in m goals, independent; sd > 0
l, u      (k, m)  the boxes that the front leaves open

The volume that losses y add inside a box is the product over the goals of (u - y)^+ - (l - y)^+, and for independent
goals its expectation is the product of the expectations:

EHVI = sum over the boxes of prod_j D_j,    D_j = G(u_j) - G(l_j),    G(t) = E (t - y)^+ = s h((t - m) / s)

with h(z) = phi(z) + z Phi(z), G(-inf) = 0. It is exact for any number of goals, smooth, and without samples. (Yang,
Emmerich, Deutz, Bäck: Efficient Computation of Expected Hypervolume Improvement Using Box Decomposition Algorithms. J.
Global Optimization 75, 2019, have the same as 2^(m-1) terms a box.) It is computed by logarithms as log EI is: Ament et
al., NeurIPS 2023. For one goal it is the expected improvement.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.acquisition import log_h
from raytune_hpo.numerics.boxes import Boxes
from raytune_hpo.numerics.normal import log_density


class ImprovementAndSlopes(NamedTuple):
    """Logarithms (n,) of the improvement, and their derivatives by means and standard deviations (n, m)."""

    value: Array
    by_mean: Array
    by_sd: Array


class _Sides(NamedTuple):
    """The sides D (n, k) of all boxes in one goal, and what the derivatives need.

    Attributes:
        logs: log D; -inf where a box is too thin for a float.
        z: (n, e) the e different edges, in standard deviations from the mean.
        low, high: (k,) the positions of each box's edges.
    """

    logs: Array
    z: Array
    low: Array
    high: Array


def log_improvement(mean: Array, sd: Array, boxes: Boxes) -> Array:
    """log EHVI (n,)."""
    return _log_sum(_log_products([_sides(mean[:, j], sd[:, j], boxes, j) for j in range(mean.shape[1])]))


def log_improvement_and_slopes(mean: Array, sd: Array, boxes: Boxes) -> ImprovementAndSlopes:
    """log EHVI with its derivatives: of a box's side, dD/dmean = -(Phi(u) - Phi(l)) and dD/dsd = phi(u) - phi(l)."""
    sides = [_sides(mean[:, j], sd[:, j], boxes, j) for j in range(mean.shape[1])]
    logs = _log_products(sides)
    value = _log_sum(logs)
    with np.errstate(invalid="ignore"):
        shares = np.nan_to_num(np.exp(logs - value[:, None]))
    by_mean, by_sd = np.empty_like(mean), np.empty_like(mean)
    for j, side in enumerate(sides):
        slope_by_mean, slope_by_sd = _slopes(side)
        by_mean[:, j] = np.einsum("nk,nk->n", shares, slope_by_mean)
        by_sd[:, j] = np.einsum("nk,nk->n", shares, slope_by_sd)
    return ImprovementAndSlopes(value, by_mean, by_sd)


def _sides(mean: Array, sd: Array, boxes: Boxes, goal: int) -> _Sides:
    """The sides of all boxes in one goal. Boxes share edges, so h is computed once for each edge."""
    ends = np.concatenate([boxes.lower[:, goal], boxes.upper[:, goal]])
    edges, place = np.unique(ends, return_inverse=True)
    low, high = place.reshape(2, -1)
    z = (edges - mean[:, None]) / sd[:, None]
    bounded = np.isfinite(edges)
    log = np.where(edges == np.inf, np.inf, -np.inf) * np.ones_like(z)
    log[:, bounded] = log_h(z[:, bounded])
    upper, lower = log[:, high], log[:, low]
    return _Sides(np.log(sd)[:, None] + upper + _log_rest(lower - upper), z, low, high)


def _slopes(side: _Sides) -> tuple[Array, Array]:
    """The derivatives (n, k) of log D by mean and standard deviation."""
    from scipy.special import log_ndtr

    below, density = log_ndtr(side.z), log_density(side.z)
    upper, lower = below[:, side.high], below[:, side.low]
    with np.errstate(invalid="ignore", over="ignore"):
        by_mean = -np.exp(upper + _log_rest(lower - upper) - side.logs)
        by_sd = np.exp(density[:, side.high] - side.logs) - np.exp(density[:, side.low] - side.logs)
    thin = ~np.isfinite(side.logs)
    return np.where(thin, 0.0, by_mean), np.where(thin, 0.0, by_sd)


def _log_rest(gap: Array) -> Array:
    """log(1 - exp(gap)) for gap <= 0, without cancellation; -inf at 0, or if rounding made the gap positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.minimum(gap, 0.0)
        return np.where(gap > -math.log(2), np.log(-np.expm1(gap)), np.log1p(-np.exp(gap)))


def _log_products(sides: list[_Sides]) -> Array:
    """The logarithms (n, k) of the boxes' shares of the improvement."""
    return np.asarray(sum(side.logs for side in sides))


def _log_sum(logs: Array) -> Array:
    """The log of the sums (n,) of the exponentials in each row; -inf where all logs are."""
    top = logs.max(axis=1)
    safe = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(safe + np.log(np.exp(logs - safe[:, None]).sum(axis=1)))
