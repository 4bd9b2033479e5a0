"""Marginals of a forest: exact predictions given one or two columns only, and the variance that these explain.

X  (n, d)  rows without NaN        c (L,)  means of the L leaves of one tree
w  (k,)    masses of a column's k cells, with sum 1; within a cell no tree distinguishes two values
M  (L, k)  whether a leaf admits a cell         S (L, d)  shares: the mass of each column that a leaf admits, M w

A leaf is a box, so under a product measure its mass is the product of its shares, and the mean of the tree over all
columns but j is sum_l c_l M_l prod_(i != j) S_li. Variances of such means, as shares of the tree's own, are averaged
over the trees. The measure is uniform on the part of the unit cube that was tried: a forest knows nothing of the rest.

Hutter, Hoos, Leyton-Brown: An Efficient Approach for Assessing Hyperparameter Importance. ICML 2014, algorithms 1 and 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.axes import Axis, Kind
from raytune_hpo.numerics.forest import Forest


class Shares(NamedTuple):
    """Shares of variance, each at least 0 and all together at most 1.

    Attributes:
        single: (d,) the share that each column explains by itself.
        pairs: (p,) the share that each requested pair explains beyond its columns.
    """

    single: Array
    pairs: Array


class Measure(NamedTuple):
    """The probability measure of a column.

    Attributes:
        low, high: the ends of a continuum, between which it is uniform.
        centres, masses: (k,) of the cells of a column that has cells; both empty otherwise.
    """

    low: float
    high: float
    centres: Array
    masses: Array


def measure(axis: Axis, x: Array) -> Measure:
    """The uniform measure on an axis, cut to the range or to the cells in which the coordinates x (n,) lie."""
    if axis.kind is Kind.REAL or axis.centres is None:
        low, high = float(x.min()), float(x.max())
        return Measure(low, high if high > low else low + 1e-9, np.empty(0), np.empty(0))
    seen = np.bincount(axis.levels(x), minlength=axis.size) > 0
    masses = axis.widths * seen
    return Measure(0.0, 1.0, axis.centres, masses / masses.sum())


@dataclass(frozen=True)
class Marginals:
    """The marginal means of a forest.

    Args:
        forest: grown on X without NaN.
        measures: (d,) of the columns.
    """

    forest: Forest
    measures: Sequence[Measure]

    def shares(self, pairs: Sequence[tuple[int, int]] = ()) -> Shares:
        """The shares of variance that single columns and pairs of columns explain; 0 if nothing varies."""
        d = len(self.measures)
        found = np.zeros((0, d + len(pairs)))
        for tree in self._trees:
            total = tree.variance()
            if total > 0:
                single = [tree.variance(j) for j in range(d)]
                joint = [max(tree.variance(j, k) - single[j] - single[k], 0.0) for j, k in pairs]
                found = np.vstack([found, np.array([*single, *joint]) / total])
        mean = found.mean(axis=0) if len(found) else np.zeros(d + len(pairs))
        return Shares(mean[:d], mean[d:])

    def surface(self, j: int, k: int, xs: Array, ys: Array) -> Array:
        """The mean (len(ys), len(xs)) at coordinates xs of column j and ys of column k, over all other columns."""
        means = [tree.means((j, tree.admits(j, xs)), (k, tree.admits(k, ys))).T for tree in self._trees]
        return np.asarray(np.mean(means, axis=0))

    @cached_property
    def _trees(self) -> list[_Tree]:
        return [_Tree(box, self.measures, self.forest.views.axes) for box in _boxes(self.forest, self.measures)]


class _Box(NamedTuple):
    """The leaves of one tree.

    Attributes:
        mean: c (L,).
        low, high: (L, d) the values of real and grid columns in a leaf lie in (low, high].
        admitted: by nominal column, (L, k) the levels in a leaf.
    """

    mean: Array
    low: Array
    high: Array
    admitted: dict[int, Array]


def _boxes(forest: Forest, measures: Sequence[Measure]) -> Iterator[_Box]:
    """The leaves of every tree, found by descending all trees layer by layer."""
    nodes, views, (num, d) = forest.nodes, forest.views, (len(forest.nodes.mean), len(measures))
    orders = {j: order for j, order in enumerate(views.orders) if order is not None}
    low, high = np.empty((num, d)), np.empty((num, d))
    admitted = {j: np.ones((num, order.shape[1] - 1), dtype=bool) for j, order in orders.items()}
    layer, tree = np.arange(forest.num_trees), np.arange(num)
    low[layer], high[layer] = -np.inf, np.inf
    while len(layer):
        cut = layer[nodes.left[layer] != layer]
        view, threshold = nodes.view[cut], nodes.threshold[cut]
        column = views.column[view]
        for side, child in enumerate((nodes.left[cut], nodes.left[cut] + 1)):
            tree[child], low[child], high[child] = tree[cut], low[cut], high[cut]
            (low if side else high)[child, column] = threshold  # for a nominal column it is meaningless, and not read
            for j, levels in admitted.items():
                levels[child] = levels[cut]
                own = column == j
                order = orders[j][view[own] - views.first[j], 1:]
                levels[child[own]] &= (order > threshold[own, None]) == bool(side)
        layer = np.concatenate([nodes.left[cut], nodes.left[cut] + 1])
    leaves = np.flatnonzero(nodes.left == np.arange(num))
    for number in range(forest.num_trees):
        own = leaves[tree[leaves] == number]
        yield _Box(nodes.mean[own], low[own], high[own], {j: levels[own] for j, levels in admitted.items()})


class _Tree:
    """One tree of a forest under the measures of its columns."""

    def __init__(self, box: _Box, measures: Sequence[Measure], axes: Sequence[Axis]) -> None:
        self._box, self._axes = box, axes
        cells = [self._cells(j, measure) for j, measure in enumerate(measures)]
        self._masses = [masses for masses, _ in cells]
        self._admits = [admits for _, admits in cells]
        self._shares = np.stack([admits @ masses for masses, admits in cells], axis=1)  # S

    def admits(self, j: int, x: Array) -> Array:
        """M at coordinates x (k,) of a column."""
        if j in self._box.admitted:
            return self._box.admitted[j][:, self._axes[j].levels(x)]
        return np.asarray((self._box.low[:, j, None] < x) & (x <= self._box.high[:, j, None]))

    def means(self, *known: tuple[int, Array]) -> Array:
        """The mean over all columns but the known ones, each given with its M; the result has an axis for each."""
        columns = [j for j, _ in known]
        weights = self._box.mean * np.delete(self._shares, columns, axis=1).prod(axis=1)
        if not known:
            return np.asarray(weights.sum())
        if len(known) == 1:
            return np.asarray(weights @ known[0][1])
        return np.asarray((weights[:, None] * known[0][1]).T @ known[1][1])

    def variance(self, *columns: int) -> float:
        """The variance of the mean given these columns; without columns, that of the tree itself."""
        mean = float(self.means())
        if not columns:
            return float(self._shares.prod(axis=1) @ (self._box.mean - mean) ** 2)
        spread = (self.means(*((j, self._admits[j]) for j in columns)) - mean) ** 2
        for j in reversed(columns):
            spread = spread @ self._masses[j]
        return float(spread)

    def _cells(self, j: int, measure: Measure) -> tuple[Array, Array]:
        """Masses w of a column's cells, and M."""
        if len(measure.centres):
            return measure.masses, self.admits(j, measure.centres)
        ends = np.clip(np.concatenate([self._box.low[:, j], self._box.high[:, j]]), measure.low, measure.high)
        edges = np.unique(np.append(ends, [measure.low, measure.high]))
        return np.diff(edges) / (measure.high - measure.low), self.admits(j, (edges[1:] + edges[:-1]) / 2)
