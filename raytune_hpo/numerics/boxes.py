"""Box decomposition of the part of the objective space that a front does not dominate.

Y  (n, m)  losses of a front, minimised
r  (m,)    the reference point, beyond which nothing counts
U  (k, m)  local upper bounds: the corners of the largest boxes without a dominated point, which do overlap
Z  (k, m, m)  Z[i, j] is the point that defines bound i in goal j

Lacour, Klamroth, Fonseca: A Box Decomposition Algorithm to Compute the Hypervolume Indicator. Computers & Operations
Research 79, 2017 (arXiv 1510.01963), algorithm 2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.hypervolume import distinct_front


class Boxes(NamedTuple):
    """Boxes [lower, upper) that do not overlap.

    Attributes:
        lower: (k, m), -inf where a box has no end.
        upper: (k, m).
    """

    lower: Array
    upper: Array


def open_boxes(Y: Array, reference: Array) -> Boxes:
    """The region below the reference that no row of Y dominates, as disjoint boxes.

    There are n + 1 boxes for two goals, about 3 n for three, and O(n^(m // 2)) for m.

    Args:
        Y: (n, m); rows that are dominated, duplicated, or dominated by the reference change nothing.
    """
    r = np.asarray(reference, dtype=np.float64)
    front = distinct_front(Y, r)
    return _strips(front, r) if front.shape[1] == 2 else _disjoint(_bounds(front, r)[0])


def _strips(front: Array, r: Array) -> Boxes:
    """The strips between neighbouring front points, in the order of the first goal, open downwards in the second."""
    edges = np.concatenate([[-np.inf], front[:, 0], [r[0]]])
    heights = np.append(r[1], front[:, 1])
    return Boxes(np.column_stack([edges[:-1], np.full(len(heights), -np.inf)]), np.column_stack([edges[1:], heights]))


def _bounds(points: Array, r: Array) -> tuple[Array, Array]:
    """The local upper bounds U of some points, and the points Z that define them. (Lacour et al. 2017, algorithm 2)"""
    m = len(r)
    U, Z = r[None, :].copy(), np.full((1, m, m), -np.inf)
    Z[0, range(m), range(m)] = r
    for y in points:
        open_to = (y < U).all(axis=1)
        held, by = U[open_to], Z[open_to]
        parts, holders = [U[~open_to]], [Z[~open_to]]
        for j in range(m):
            others = np.delete(by[:, :, j], j, axis=1)
            is_held = y[j] >= others.max(axis=1, initial=-np.inf)
            bounds, held_by = held[is_held], by[is_held]
            bounds[:, j], held_by[:, j] = y[j], y
            parts.append(bounds)
            holders.append(held_by)
        U, Z = np.concatenate(parts), np.concatenate(holders)
    return U, Z


def _disjoint(U: Array) -> Boxes:
    """The union of the boxes below local upper bounds, without overlaps.

    With all signs flipped, each bound is a point, and the union is the region that these points dominate, without a
    reference. The bounds of that front cut it into boxes. (Lacour et al. 2017, eqs. 1 and 2)
    """
    m = U.shape[1]
    points = -U
    bounds, Z = _bounds(points[np.lexsort(points.T[::-1])], np.full(m, np.inf))
    lower, upper = np.empty_like(bounds), bounds.copy()
    lower[:, 0], upper[:, 0] = Z[:, 0, 0], np.inf
    for j in range(1, m):
        lower[:, j] = Z[:, :j, j].max(axis=1)
    full = (lower < upper).all(axis=1)
    return Boxes(-upper[full], -lower[full])
