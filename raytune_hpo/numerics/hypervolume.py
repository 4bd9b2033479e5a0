"""Hypervolume: the volume of the objective space that a set of points dominates, below a reference point.

Y  (n, m)  losses, minimised; rows that are not better than the reference in every goal contribute nothing
r  (m,)    the reference point, finite

Two goals take a sweep, three a sweep over the front of two, and more the exclusive volumes of WFG, each of which has one
goal less than the one before: While, Bradstreet, Barone: A Fast Way of Calculating Exact Hypervolumes (IEEE Trans.
Evol. Comput. 16, 2012). That takes time exponential in m: about six goals and 200 points are the limit.
"""

from __future__ import annotations

import heapq
import math

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.pareto import pareto_front

_EXTRA = 0.1  # how far the reference lies beyond the worst of a front, in parts of the front's extent


def hypervolume(Y: Array, reference: Array) -> float:
    """The volume below the reference that the rows of Y dominate: 0 if there is none, infinite if no float is so large."""
    with np.errstate(over="ignore", invalid="ignore"):
        volume = _volume(distinct_front(Y, reference), np.asarray(reference, dtype=np.float64))
    return volume if math.isfinite(volume) else math.inf


def largest_subset(Y: Array, reference: Array, size: int) -> Array:
    """The positions (size,) of rows that together have a large hypervolume, in the order in which they were chosen.

    The choice is greedy: each row adds most to those before it, which gives at least 1 - 1/e of the largest hypervolume
    (Nemhauser, Wolsey, Fisher, Math. Programming 14, 1978). A row's gain can only fall as others are chosen, so if it is
    above the earlier gains of all others, these need not be computed again. Of equal rows the first is chosen; rows that
    add nothing come last.

    Args:
        size: at most n.
    """
    losses, r = np.asarray(Y, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    inside = np.asarray((losses < r).all(axis=1))
    added = np.where(inside, np.prod(np.maximum(r - losses, 0.0), axis=1), 0.0)
    queue = [(-value, row, 0) for row, value in enumerate(added.tolist())]
    heapq.heapify(queue)
    chosen: list[int] = []
    while len(chosen) < size:
        value, row, when = heapq.heappop(queue)
        if when == len(chosen) or value == 0.0:
            chosen.append(row)
        else:
            gain = _gain(losses[row], losses[chosen][inside[chosen]], r)
            heapq.heappush(queue, (-gain, row, len(chosen)))
    return np.array(chosen, dtype=np.intp)


def reference_of(front: Array) -> Array:
    """A reference point (m,) for a front (k, m), k >= 1: a tenth of its extent beyond its worst losses.

    For a goal in which the front has no extent it is a tenth of the loss itself instead. The point scales with the
    losses' units. (Ishibuchi, Akedo, Nojima: A Many-Objective Test Problem ..., 2011)
    """
    worst = front.max(axis=0)
    with np.errstate(over="ignore"):
        extent = np.ptp(front, axis=0)
        return np.asarray(worst + _EXTRA * np.where(extent > 0, extent, np.maximum(np.abs(worst), 1.0)))


def distinct_front(Y: Array, reference: Array) -> Array:
    """The distinct rows (k, m) of Y that are better than the reference and not dominated, in lexicographic order.

    Rows with NaN are left out.
    """
    losses = np.asarray(Y, dtype=np.float64)
    inside = np.unique(losses[(losses < reference).all(axis=1)], axis=0)
    return inside[pareto_front(inside)] if len(inside) else inside


def _gain(y: Array, others: Array, r: Array) -> float:
    """The volume that y (m,) adds to the hypervolume of others (k, m): its own box less the part that they dominate."""
    return max(float(np.prod(r - y)) - _volume(distinct_front(np.maximum(others, y), r), r), 0.0)


def _volume(front: Array, r: Array) -> float:
    """The hypervolume of a front in lexicographic order, whose rows are all better than the reference."""
    if not len(front):
        return 0.0
    if front.shape[1] == 1:
        return float(r[0] - front[0, 0])
    if front.shape[1] == 2:
        above = np.append(r[1], front[:-1, 1])
        return float((r[0] - front[:, 0]) @ (above - front[:, 1]))
    return _of_three(front, r) if front.shape[1] == 3 else _by_exclusion(front, r)


def _of_three(front: Array, r: Array) -> float:
    """The hypervolume in three goals, slab by slab along the first: the area dominated in the other two only grows.

    ``lowest`` is the lowest third loss at each level of the second one; a slab takes O(n).
    """
    levels = np.unique(front[:, 1])
    heights = np.diff(np.append(levels, r[1]))
    widths = np.diff(np.append(front[:, 0], r[0]))
    lowest = np.full(len(levels), r[2])
    volume = 0.0
    for level, third, width in zip(np.searchsorted(levels, front[:, 1]), front[:, 2], widths, strict=True):
        np.minimum(lowest[level:], third, out=lowest[level:])
        if width > 0:
            volume += width * float(heights @ (r[2] - lowest))
    return volume


def _by_exclusion(front: Array, r: Array) -> float:
    """The hypervolume as the sum of the volumes that each point adds to those after it, from the worst last goal on.

    All points after it, clipped to the point, have its loss in the last goal, so the part of its box that they dominate
    is a volume in one goal less.
    """
    ordered = front[np.argsort(-front[:, -1], kind="stable")]
    rest, volume = r[:-1], 0.0
    for i, y in enumerate(ordered):
        volume += float(r[-1] - y[-1]) * _gain(y[:-1], ordered[i + 1 :, :-1], rest)
    return volume
