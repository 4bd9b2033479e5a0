"""Axes: what the columns of an array of unit coordinates mean.

X  (n, d)  coordinates in [0, 1]; NaN where a column is not active

A real axis is a continuum, or has so many values that it may count as one. A grid has few ordered values, a nominal axis
has unordered ones; both are cut into cells, and their coordinates are the cells' centres.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import NamedTuple

import numpy as np

from raytune_hpo.arrays import Array

_NARROWEST = 1e-300  # width of cells, so that its logarithm is finite
_ROUNDING = 1e-12  # of edges


class Kind(Enum):
    """How the values of a column are related."""

    REAL = "real"
    GRID = "grid"
    NOMINAL = "nominal"


@dataclass(frozen=True, eq=False)
class Axis:
    """The axis of one column. Equal only to itself, so that what is computed for it can be kept.

    Attributes:
        kind: how its values are related.
        centres: (k,) coordinates of its values, rising; None for a real axis.
    """

    kind: Kind
    centres: Array | None = None

    @property
    def size(self) -> int:
        """The number of values; 0 for a continuum."""
        return 0 if self.centres is None else len(self.centres)

    @cached_property
    def edges(self) -> Array:
        """The edges (k + 1,) of the cells, from 0 to 1: every centre lies midway between two. Not for real axes."""
        assert self.centres is not None
        signs = np.where(np.arange(self.size) % 2, -1.0, 1.0)
        ends = 2 * signs * np.cumsum(signs * self.centres)  # end = 2 centre - beginning
        return np.concatenate([[0.0], ends[:-1], [1.0]])

    @cached_property
    def widths(self) -> Array:
        """The widths (k,) of the cells: the prior probabilities of their values. Not for real axes."""
        widths: Array = np.diff(self.edges)
        return widths

    @cached_property
    def is_even(self) -> bool:
        """Whether all cells are equally wide, up to rounding. Not for real axes."""
        return bool(np.allclose(self.edges, np.linspace(0.0, 1.0, self.size + 1), rtol=0.0, atol=_ROUNDING))

    @cached_property
    def log_widths(self) -> Array:
        """The logarithms (k,) of the widths; a width of 0, far out, counts as 1e-300. Not for real axes."""
        logs: Array = np.log(np.maximum(self.widths, _NARROWEST))
        return logs

    def levels(self, x: Array) -> Array:
        """The positions of the values whose centres are nearest, in the shape of x; -1 where x is NaN. Not for real axes."""
        return np.where(np.isnan(x), -1, self._middles.searchsorted(x))

    def settled(self, x: Array) -> Array:
        """The centres of the cells in which coordinates lie, in the shape of x. Not for real axes."""
        assert self.centres is not None
        settled: Array = self.centres[self.edges[1:-1].searchsorted(x, side="right")]
        return settled

    @cached_property
    def _middles(self) -> Array:
        """The midpoints (k - 1,) between neighbouring centres."""
        assert self.centres is not None
        middles: Array = (self.centres[1:] + self.centres[:-1]) / 2
        return middles


class Axes(tuple[Axis, ...]):
    """The axes of all columns, with cached properties of them."""

    @classmethod
    def of(cls, axes: Iterable[Axis]) -> Axes:
        """These axes as ``Axes``; the same object, with its cache, if it is one already."""
        return axes if isinstance(axes, Axes) else cls(axes)

    @cached_property
    def real(self) -> Array:
        """The numbers of the real axes."""
        return of_kind(self, Kind.REAL)

    @cached_property
    def on_lines(self) -> Array:
        """The numbers of the real axes and of the grids."""
        return of_kind(self, Kind.REAL, Kind.GRID)

    @cached_property
    def nominal(self) -> Array:
        """The numbers of the nominal axes."""
        return of_kind(self, Kind.NOMINAL)

    @cached_property
    def celled(self) -> tuple[Alike, ...]:
        """The axes that have cells, in groups of those with the same ones."""
        return alike(self, Kind.GRID, Kind.NOMINAL)

    @cached_property
    def is_nominal(self) -> Array:
        """Which axes are nominal, (d,) of bool."""
        return np.array([axis.kind is Kind.NOMINAL for axis in self], dtype=bool)

    @cached_property
    def half_cells(self) -> Array:
        """Half of a mean cell of each grid (d,), 0 of others."""
        return np.array([0.5 / axis.size if axis.kind is Kind.GRID else 0.0 for axis in self])


def of_kind(axes: Sequence[Axis], *kinds: Kind) -> Array:
    """The numbers of the axes of these kinds."""
    return np.array([j for j, axis in enumerate(axes) if axis.kind in kinds], dtype=np.intp)


class Alike(NamedTuple):
    """Columns whose axes have the same kind and the same cells, so that they can be computed together.

    Attributes:
        axis: the axis that they share.
        columns: (g,) their numbers, rising.
    """

    axis: Axis
    columns: Array


def alike(axes: Sequence[Axis], *kinds: Kind) -> tuple[Alike, ...]:
    """The columns of these kinds, other than real, in groups: even many columns have few groups."""
    groups: dict[tuple[Kind, bytes], list[int]] = {}
    for j in of_kind(axes, *kinds).tolist():
        centres = axes[j].centres
        assert centres is not None
        groups.setdefault((axes[j].kind, centres.tobytes()), []).append(j)
    return tuple(Alike(axes[columns[0]], np.array(columns, dtype=np.intp)) for columns in groups.values())


def row_keys(X: Array) -> list[bytes]:
    """A key for each row (n, d) of coordinates: equal for equal rows, NaN being equal to NaN."""
    rows = np.ascontiguousarray(np.where(np.isnan(X), -1.0, X))
    return [row.tobytes() for row in rows]


class KnownRows:
    """A set of rows (n, d) of coordinates, for membership tests of many others; NaN equals NaN.

    Rows are compared in full only if their sums are equal, since keys of thousands of wide rows take long.
    """

    def __init__(self, rows: Array) -> None:
        self._keys, self._sums = set(row_keys(rows)), np.append(np.sort(self._summed(rows)), np.inf)

    def among(self, X: Array) -> Array:
        """Which rows X (k, d) are known, (k,) of bool."""
        sums = self._summed(X)
        known: Array = self._sums[self._sums.searchsorted(sums)] == sums
        likely = np.flatnonzero(known)
        known[likely] = [key in self._keys for key in row_keys(X[likely])]
        return known

    @staticmethod
    def _summed(X: Array) -> Array:
        """The sum of each row, the same to the last bit for equal rows, whatever the other rows are."""
        weights = np.sqrt(np.arange(2.0, X.shape[1] + 2))
        return np.asarray((np.ascontiguousarray(np.where(np.isnan(X), -1.0, X)) * weights).sum(axis=1))


def is_among(x: Array, rows: Array) -> bool:
    """Whether the row x (d,) is one of the rows (n, d); NaN equals NaN."""
    same = rows == x
    inactive = np.flatnonzero(np.isnan(x))
    same[:, inactive] = np.isnan(rows[:, inactive])
    return bool(same.all(axis=1).any())
