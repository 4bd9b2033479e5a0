"""Neighbours in a mixed cube: rows one step away, and rows too close to distinguish.

X  (n, d)  the starts; NaN where a column is not active
N  (k, d)  the neighbours of all of them: each differs from its start in one column that is active there

A step in one column may make others active, which is not known here. So every column that is not active at the start
gets a drawn coordinate in the neighbour, and the caller, who knows the space, removes those that still are not.

Hutter, Hoos, Leyton-Brown: Sequential Model-Based Optimization for General Algorithm Configuration. LION 2011,
section 4.3: one exchange, four normal steps of standard deviation 0.2 for a number, all other values of a category.
Here two of the four steps are shorter, so that a search can also settle within the cell of a forest where it began.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.axes import Axis, Kind

_SDS = (0.2, 0.2, 0.05, 0.0125)  # of the steps on a real axis
_OTHERS = 4  # values of a nominal axis that are tried, at most
CLOSE = 0.01  # of the range of a real axis: closer rows give a model hardly any new information
REPEATED = 1e-4  # the same: closer rows differ only in where a search happened to end
_EQUAL = np.finfo(float).tiny  # closer numbers are the same
_COLUMNS_AT_ONCE = 16  # of the pairs that are close in all columns before


def neighbours(
    axes: Sequence[Axis],
    X: Array,
    rng: np.random.Generator,
    *,
    sds: Sequence[float] = _SDS,
    most: int | None = None,
) -> tuple[Array, Array]:
    """The neighbours N of all rows X, and the starts (k,) to which they belong, ordered by column, not by start.

    Args:
        sds: standard deviations of the steps on a real axis, one for each; steps out of the cube are reflected.
        most: in how many columns there are steps; if there are more, they are drawn. None for all of them.
    """
    drawn = range(len(axes)) if most is None or most >= len(axes) else rng.choice(len(axes), most, replace=False)
    starts, columns = [np.empty(0, dtype=np.intp)], [np.empty(0, dtype=np.intp)]
    coordinates = [np.empty(0)]
    for j in drawn:
        active = np.flatnonzero(~np.isnan(X[:, j]))
        moved = _moved(axes[j], X[active, j], rng, sds)  # (active, steps), NaN where there is no such step
        starts.append(np.repeat(active, moved.shape[1]))
        columns.append(np.full(moved.size, j))
        coordinates.append(moved.ravel())
    start, column, coordinate = np.concatenate(starts), np.concatenate(columns), np.concatenate(coordinates)
    there = ~np.isnan(coordinate)
    start, column, coordinate = start[there], column[there], coordinate[there]
    N = X[start]
    N[np.arange(len(N)), column] = coordinate
    hidden = np.isnan(N)
    N[hidden] = rng.random(int(hidden.sum()))
    return N, start


class Neighbourhoods(NamedTuple):
    """The surroundings of rows (p, d): the same cells, and on real axes up to a distance, as a share of the range."""

    rows: Array
    distance: float = CLOSE


def crowded(axes: Sequence[Axis], X: Array, neighbourhoods: Neighbourhoods) -> Array:
    """Which rows X (n, d) are in one of the neighbourhoods, (n,) of bool."""
    if not len(neighbourhoods.rows):  # with one worker, at every step of a search
        return np.zeros(len(X), dtype=bool)
    return np.asarray(_are_close(axes, X, neighbourhoods.rows, neighbourhoods.distance).any(axis=1))


def first_of_close(axes: Sequence[Axis], X: Array, distance: float) -> Array:
    """Which rows X (n, d) are not close to any row before them, (n,) of bool."""
    return np.asarray(~np.tril(_are_close(axes, X, X, distance), -1).any(axis=1))


def _are_close(axes: Sequence[Axis], X: Array, P: Array, within: float) -> Array:
    """Whether rows X (n, d) and P (p, d) share their cells, and lie within a share of each real axis, (n, p)."""
    if not axes:
        return np.ones((len(X), len(P)), dtype=bool)
    A, B = np.nan_to_num(X.T, nan=-1.0), np.nan_to_num(P.T, nan=-1.0)
    width = np.array([within if axis.kind is Kind.REAL else _EQUAL for axis in axes])[:, None]
    # The first column excludes most pairs. An array of all pairs and columns would take longer for its memory alone.
    close = np.abs(np.subtract.outer(A[0], B[0])) < width[0]
    for start in range(1, len(axes), _COLUMNS_AT_ONCE):
        i, j = np.nonzero(close)
        then = slice(start, start + _COLUMNS_AT_ONCE)
        close[i, j] = (np.abs(A[then, i] - B[then, j]) < width[then]).all(axis=0)
    return np.asarray(close)


def _moved(axis: Axis, x: Array, rng: np.random.Generator, sds: Sequence[float]) -> Array:
    """The coordinates one step from x (n,), with a column for each step; NaN where there is no such step."""
    if axis.kind is Kind.REAL:
        far = np.abs(x[:, None] + np.asarray(sds) * rng.standard_normal((len(x), len(sds))))
        return np.asarray(1 - np.abs(1 - far % 2))  # a triangle wave: reflected at 0 and at 1
    assert axis.centres is not None
    level = axis.levels(x)[:, None]
    if axis.kind is Kind.GRID:
        level = level + np.array([-1, 1])
        there = (level >= 0) & (level < axis.size)
        return np.where(there, axis.centres[np.clip(level, 0, axis.size - 1)], np.nan)
    away = rng.random((len(x), axis.size - 1)).argsort(axis=1)[:, :_OTHERS] + 1
    return axis.centres[(level + away) % axis.size]
