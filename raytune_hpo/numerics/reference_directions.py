"""Reference directions, along which NSGA-III spreads a population over the front of many goals.

W  (q, m)  directions in the positive orthant, points of the simplex
Y  (n, m)  losses, minimised

Deb, Jain: An Evolutionary Many-Objective Optimization Algorithm Using Reference-Point-Based Nondominated Sorting
Approach, Part I. IEEE Trans. Evol. Comput. 18, 2014 (NSGA-III).
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.pareto import shrunk

_OFF_AXIS = 1e-6
_LEAST_INTERCEPT = 1e-6
_FARTHEST = 1e300  # of a normalised loss


def simplex_lattice(m: int, least: int) -> Array:
    """Evenly spread directions (q, m): all with weights that are multiples of 1/p, for the smallest p with q >= least.

    For one goal there is one direction. (Das, Dennis: Normal-Boundary Intersection. SIAM J. Optimization 8, 1998)
    """
    if m == 1:
        return np.ones((1, 1))
    p = 1
    while comb(m + p - 1, p) < least:
        p += 1
    bars = np.array(list(combinations(range(m + p - 1), m - 1))).reshape(-1, m - 1)
    ends = np.column_stack([np.full(len(bars), -1), bars, np.full(len(bars), m + p - 1)])
    return np.asarray((np.diff(ends, axis=1) - 1) / p)


@np.errstate(divide="ignore", over="ignore", invalid="ignore")  # an intercept that is not finite is not used
def normalised(Y: Array, front: Array) -> Array:
    """Losses (n, m) with the best of each goal at 0 and the plane through the front's extreme points at 1. (section IV.C)

    If these points do not span a plane, or it cuts an axis too close to 0, the front's worst losses are at 1 instead.

    Args:
        front: (k, m) the first front, k >= 1.
    """
    both = shrunk(np.concatenate([Y, front]))
    Y, front = both[: len(Y)], both[len(Y) :]
    ideal = front.min(axis=0)
    shifted, m = front - ideal, Y.shape[1]
    axes = np.where(np.eye(m) > 0, 1.0, _OFF_AXIS)
    extremes = shifted[[int((shifted / axis).max(axis=1).argmin()) for axis in axes]]
    worst = shifted.max(axis=0)
    try:
        intercepts = 1 / np.linalg.solve(extremes, np.ones(m))
    except (np.linalg.LinAlgError, FloatingPointError):
        intercepts = worst
    is_usable = np.isfinite(intercepts) & (intercepts > _LEAST_INTERCEPT * np.maximum(worst, 1e-300))
    extent = np.where(is_usable.all(), intercepts, worst)
    return np.asarray(np.minimum((Y - ideal) / np.where(extent > 0, extent, 1.0), _FARTHEST))


def nearest_directions(Y: Array, W: Array) -> tuple[Array, Array]:
    """The nearest direction (n,) of each row of normalised losses, and the distance (n,) from it. (section IV.D)"""
    unit = W / np.linalg.norm(W, axis=1, keepdims=True)
    sizes = np.abs(Y).max(axis=1, initial=0.0)
    sizes = np.where(sizes > 0, sizes, 1.0)
    Y = Y / sizes[:, None]  # squares of 1e200 would overflow
    distance = np.sqrt(np.maximum((Y**2).sum(axis=1)[:, None] - (Y @ unit.T) ** 2, 0.0))
    nearest = distance.argmin(axis=1)
    return nearest, distance[np.arange(len(Y)), nearest] * sizes
