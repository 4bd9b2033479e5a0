"""Covariance between two rows of a mixed space: a Matern kernel over points of a Euclidean space.

X   (n, d)  coordinates in [0, 1]; NaN where a column is not active
Z   (n, q)  features: the rows as points of a Euclidean space, q >= d
r2  (n, m)  squared distances in units of the length scales
k   (n, m)  correlations

Every column has its own subspace of the Euclidean space: a real or ordered one has its coordinate on a line, a nominal
one with k values the k corners of a simplex. The simplex is scaled so that the mean squared distance of two random values
is that of two random coordinates, 1/6. So one prior of length scales serves all kinds of columns. A column that is not
active is in the middle, equally far from both ends. The squared distance is the sum over the columns, each in units of
its own length scale. Since all rows are points of one Euclidean space, every kernel matrix is positive semidefinite,
whichever branches the rows are in.

Rasmussen, Williams: Gaussian Processes for Machine Learning. MIT Press 2006, chapters 4 and 5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.axes import Axis, Kind, alike, of_kind

_SQRT5 = math.sqrt(5)
_MEAN_SQUARE = 1 / 6  # of the difference of two random coordinates
_AT_ONCE = 2**12  # numbers: memory for a few of them is at hand, that for large arrays takes longer than the arithmetic


class Embedding:
    """The embedding of a mixed space in a Euclidean one.

    Attributes:
        owner: (q,) the number of the column to which each feature belongs.
        slots: (d,) the feature of each real or ordered column, which is its coordinate; for a nominal one, its first.
    """

    def __init__(self, axes: Sequence[Axis]) -> None:
        widths = [axis.size if axis.kind is Kind.NOMINAL else 1 for axis in axes]
        self.owner = np.repeat(np.arange(len(axes)), widths)
        self.slots = np.cumsum([0, *widths[:-1]]) if widths else np.empty(0, dtype=np.intp)
        self._on_lines = of_kind(axes, Kind.REAL, Kind.GRID)
        self._nominal = alike(axes, Kind.NOMINAL)

    def __call__(self, X: Array) -> Array:
        """The features (n, q) of rows (n, d)."""
        Z, lines = np.zeros((len(X), len(self.owner))), X[:, self._on_lines]
        Z[:, self.slots[self._on_lines]] = np.where(np.isnan(lines), 0.5, lines)
        for axis, columns in self._nominal:
            levels = axis.levels(X[:, columns])
            k = axis.size  # corners are root of two times as far from each other as from the origin
            distance = math.sqrt(_MEAN_SQUARE / 2 / (1 - 1 / k)) if k > 1 else 0.0
            # If not active, it stays at the origin, from which all corners are equally far.
            corners = levels + self.slots[columns] + np.arange(0, Z.size, Z.shape[1])[:, None]
            Z.reshape(-1)[corners[levels >= 0]] = distance
        return Z

    def by_column(self, X: Array, gradient: Array) -> Array:
        """Gradients (n, d) by the columns of rows (n, d), given those by the features (n, q).

        A column that is not active has no coordinate, so its gradient is 0.
        """
        return np.where(np.isnan(X), 0.0, gradient[:, self.slots])


class Anchors:
    """Rows B (m, q) to which the squared distances of many others are computed."""

    def __init__(self, B: Array) -> None:
        self._B = B

    def squared_distances(self, A: Array, out: Array | None = None) -> Array:
        """|a - b|^2 for all rows of A (n, q) and B, (n, m), never below 0."""
        few = len(A) < len(self._B)
        r2: Array = np.matmul(-2 * A, self._B.T, out=out) if few else np.matmul(A, self._doubled, out=out)
        r2 += np.einsum("ij,ij->i", A, A)[:, None]
        r2 += self._squares
        np.maximum(r2, 0.0, out=r2)
        return r2

    @cached_property
    def _doubled(self) -> Array:
        return np.asarray(-2 * self._B.T)

    @cached_property
    def _squares(self) -> Array:
        return np.asarray(np.einsum("ij,ij->i", self._B, self._B))


def squared_distances(A: Array, B: Array, out: Array | None = None) -> Array:
    """|a - b|^2 for all rows of A (n, q) and B (m, q), (n, m), never below 0."""
    return Anchors(B).squared_distances(A, out)


def matern52(r2: Array, out: Array | None = None) -> Array:
    """Matern correlations of smoothness 5/2. (Rasmussen and Williams 2006, eq. 4.17)

    Args:
        out: a contiguous array for them; it may be the squared distances themselves.
    """
    k = np.empty(np.shape(r2)) if out is None else out
    into, out_of = k.reshape(-1), np.reshape(r2, -1)
    for start in range(0, len(into), _AT_ONCE):
        r = np.sqrt(out_of[start : start + _AT_ONCE])
        r *= _SQRT5
        falling = np.exp(-r)
        square = r * r
        square /= 3
        r += 1
        r += square
        np.multiply(r, falling, out=into[start : start + _AT_ONCE])
    return k


def matern52_slope(r2: Array, out: tuple[Array, Array] | None = None) -> tuple[Array, Array]:
    """Matern correlations, and their derivatives by the squared distance: -5/6 (1 + sqrt(5) r) exp(-sqrt(5) r).

    Args:
        out: contiguous arrays for both; the second may be the squared distances themselves.
    """
    k, slope = out or (np.empty(np.shape(r2)), np.empty(np.shape(r2)))
    into, sloped, out_of = k.reshape(-1), slope.reshape(-1), np.reshape(r2, -1)
    for start in range(0, len(into), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        r = np.sqrt(out_of[part])
        r *= _SQRT5
        falling = np.exp(-r)
        r += 1
        r *= falling  # (1 + r) exp(-r)
        falling *= out_of[part]
        falling *= 5 / 3
        np.add(falling, r, out=into[part])
        np.multiply(r, -5 / 6, out=sloped[part])
    return k, slope
