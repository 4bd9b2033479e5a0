"""A forest of randomised regression trees over a mixed cube, grown and asked all trees at once.

X  (n, d)  training rows; NaN where a column is not active      y (n,) their losses
T  trees   C candidate cuts of a node   A open nodes of all trees   S rows in them, those of a node in a row
V  (n, d)  rows as the trees see them: -1 where a real or grid column is not active; a nominal column holds its
           level + 1, so 0 where it is not active

A node is cut by a column f, a key r and a threshold: rows whose value is above it go right. The value is the coordinate
itself; r = -1 or r = 2 where a real or grid column is not active; and for a nominal column, the number that the forest's
table of random orders gives its level in order r, so that thresholds cut off any subset, "not active" being one more
level. A cut is made to part two rows of its node drawn at random, in a column in which these differ, at a threshold
drawn uniformly between them; of C such cuts the one is taken that leaves least variance. So every cut is a real one,
however many columns are not active, and means between two points differ from tree to tree in proportion to distance.

Geurts, Ernst, Wehenkel: Extremely Randomized Trees. Machine Learning 63, 2006 (random cuts, the best of a few).
Hutter, Hoos, Leyton-Brown: Sequential Model-Based Optimization for General Algorithm Configuration. LION 2011, sect. 4.1.
Hutter, Xu, Hoos, Leyton-Brown: Algorithm Runtime Prediction. Artificial Intelligence 206, 2014, sect. 4.3.2 and 5.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from raytune_hpo.numerics.axes import Array, Axis, Kind, of_kind

_ORDERS = 64  # random orders of the levels of nominal columns
_WALKED = 2**19  # pairs of a tree and a row that are on their way at the same time


class Nodes(NamedTuple):
    """The nodes of all trees, each (N,); the first T are the roots. A leaf has an infinite threshold and is its own child.

    Attributes:
        column: which one cuts it.
        key: r, see above.
        threshold: values above it go right.
        left: the child on the left; the one on the right comes right after it.
        mean: of the losses in it.
        variance: of the losses in it.
    """

    column: Array
    key: Array
    threshold: Array
    left: Array
    mean: Array
    variance: Array


@dataclass(frozen=True)
class Forest:
    """Trees that were grown.

    Attributes:
        axes: (d,) what the columns mean.
        num_trees: T.
        nodes: of all trees.
        orders: (_ORDERS, levels + 1) the random orders of nominal levels.
    """

    axes: tuple[Axis, ...]
    num_trees: int
    nodes: Nodes
    orders: Array

    def predict(self, X: Array) -> tuple[Array, Array]:
        """Means and variances (n,) of the losses at rows X (n, d).

        The forest is an even mixture of its trees' normal leaves, with the mean of their means, and the mean of their
        variances plus the variance of their means. (Hutter et al. 2014, eq. 6 f.: the law of total variance)
        """
        leaves = self.leaves(X)
        means = self.nodes.mean[leaves]
        return means.mean(axis=0), self.nodes.variance[leaves].mean(axis=0) + means.var(axis=0)

    def leaves(self, X: Array) -> Array:
        """The leaf of every tree that each row falls into, (T, n)."""
        V = seen(self.axes, X)
        step = max(1, _WALKED // self.num_trees)
        walked = [self._walk(V[i : i + step]) for i in range(0, len(V), step)]
        return np.concatenate(walked, axis=1) if walked else np.empty((self.num_trees, 0), dtype=np.intp)

    def _walk(self, V: Array) -> Array:
        nodes, entries, is_nominal = self.nodes, V.ravel(), _nominal(self.axes)
        at = np.repeat(np.arange(self.num_trees), len(V))
        going = np.arange(len(at))
        row, node = np.tile(np.arange(len(V)) * V.shape[1], self.num_trees), at
        while len(going):
            column = nodes.column.take(node)
            nominal = None if is_nominal is None else is_nominal.take(column)
            value = values(entries.take(row + column), nodes.key.take(node), nominal, self.orders)
            child = nodes.left.take(node) + (value > nodes.threshold.take(node))
            moved = np.flatnonzero(child != node)
            at[going] = child
            going, row, node = going.take(moved), row.take(moved), child.take(moved)
        return at.reshape(self.num_trees, len(V))


def seen(axes: Sequence[Axis], X: Array) -> Array:
    """Rows as the trees see them: V of the table above."""
    V = np.where(np.isnan(X), -1.0, X)
    for j in of_kind(axes, Kind.NOMINAL):
        V[:, j] = axes[j].levels(X[:, j]) + 1
    return V


def values(v: Array, key: Array, is_nominal: Array | None, orders: Array) -> Array:
    """What is compared to the threshold, given entries of V; all (...,). ``is_nominal`` is None if no column is."""
    value = np.where(v < 0, key, v)
    if is_nominal is None:
        return value
    place = np.where(is_nominal, key * orders.shape[1] + v, 0.0).astype(np.intp)
    return np.where(is_nominal, orders.take(place), value)


def grow(
    axes: Sequence[Axis],
    X: Array,
    y: Array,
    rng: np.random.Generator,
    *,
    num_trees: int = 50,
    num_cuts: int = 10,
    min_leaf: int = 1,
    bootstrap: bool = False,
) -> Forest:
    """A forest of fully grown trees.

    Args:
        X: (n, d), n >= 1.
        y: (n,), finite.
        num_cuts: C.
        min_leaf: no leaf has fewer rows.
        bootstrap: every tree gets n rows drawn with replacement, instead of all.
    """
    n = len(X)
    orders = rng.random((_ORDERS, 1 + max((axis.size for axis in axes if axis.kind is Kind.NOMINAL), default=-1)))
    rows = rng.integers(n, size=(num_trees, n)) if bootstrap else np.tile(np.arange(n), (num_trees, 1))
    growth = _Growth(tuple(axes), seen(axes, X), np.asarray(y, dtype=float), orders, num_cuts, min_leaf)
    layers = growth.layers(rows.ravel(), np.full(num_trees, n), rng)
    return Forest(tuple(axes), num_trees, Nodes(*map(np.concatenate, zip(*layers, strict=True))), orders)


class _Cut(NamedTuple):
    """A cut of every open node: each (A,), or (C, A) while there is a choice."""

    column: Array
    key: Array
    threshold: Array


@dataclass(frozen=True)
class _Growth:
    """Grows all trees by one layer of nodes after the other."""

    axes: tuple[Axis, ...]
    V: Array
    y: Array
    orders: Array
    num_cuts: int
    min_leaf: int

    def layers(self, rows: Array, counts: Array, rng: np.random.Generator) -> list[Nodes]:
        """The nodes of each layer.

        Args:
            rows: (S,) the training rows in the roots, those of a root in a row.
            counts: (A,) how many of them each root has.
        """
        made, layers = 0, []
        while len(counts):
            layer = self._leaves(rows, counts, made)
            layers.append(layer)
            made += len(counts)
            opened = (counts >= 2 * self.min_leaf) & (layer.variance > 0)
            rows, counts = rows[np.repeat(opened, counts)], counts[opened]
            if len(counts):
                cut, right, parted = self._best(rows, counts, rng)
                nodes = np.flatnonzero(opened)[parted]
                layer.column[nodes], layer.key[nodes] = cut.column[parted], cut.key[parted]
                layer.threshold[nodes], layer.left[nodes] = cut.threshold[parted], made + 2 * np.arange(len(nodes))
                rows, counts = _handed_down(rows, counts, right, parted)
        return layers

    def _leaves(self, rows: Array, counts: Array, number: int) -> Nodes:
        """Nodes that are not cut yet, numbered from ``number`` on."""
        k, starts = len(counts), np.cumsum(counts) - counts
        mean = np.add.reduceat(self.y[rows], starts) / counts
        variance = np.add.reduceat((self.y[rows] - np.repeat(mean, counts)) ** 2, starts) / counts
        itself = number + np.arange(k)
        return Nodes(np.zeros(k, dtype=np.intp), np.zeros(k), np.full(k, np.inf), itself, mean, variance)

    def _best(self, rows: Array, counts: Array, rng: np.random.Generator) -> tuple[_Cut, Array, Array]:
        """The best of C cuts of each node, where each row goes (S,), and whether the node is parted at all (A,)."""
        starts = np.cumsum(counts) - counts
        cuts = self._drawn(rows, counts, starts, rng)
        of = np.repeat(np.arange(len(counts)), counts)
        right = self._goes_right(rows, _Cut(*(field.take(of, axis=1) for field in cuts)))  # (C, S)
        y = self.y[rows] - np.repeat(np.add.reduceat(self.y[rows], starts) / counts, counts)  # so that its sum is 0
        n_right = np.add.reduceat(right, starts, axis=1, dtype=float)
        sum_right = np.add.reduceat(right * y, starts, axis=1)
        n_left = counts - n_right
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = sum_right**2 * (1 / n_left + 1 / n_right)  # by how much the sum of squares falls
        gain[np.minimum(n_left, n_right) < self.min_leaf] = -1.0
        best, nodes = gain.argmax(axis=0), np.arange(len(counts))
        cut = _Cut(*(field[best, nodes] for field in cuts))
        return cut, right[best[of], np.arange(len(rows))], gain[best, nodes] >= 0

    def _drawn(self, rows: Array, counts: Array, starts: Array, rng: np.random.Generator) -> _Cut:
        """C cuts (C, A) of each node, each parting two of its rows."""
        shape = (self.num_cuts, len(counts))
        first = (rng.random(shape) * counts).astype(np.intp)
        other = (first + 1 + (rng.random(shape) * (counts - 1)).astype(np.intp)) % counts
        a, b = self.V[rows[starts + first]], self.V[rows[starts + other]]  # (C, A, d)
        differ = np.cumsum(a != b, axis=2, dtype=np.int32)
        wanted = (rng.random(shape) * differ[:, :, -1]).astype(np.int32)  # the how-manieth column that differs
        column = np.minimum((differ <= wanted[:, :, None]).sum(axis=2), self.V.shape[1] - 1)
        key = np.where(rng.random(shape) < 0.5, -1.0, 2.0)
        is_nominal = _nominal(self.axes)
        if is_nominal is not None:
            is_nominal = is_nominal.take(column)
            key = np.where(is_nominal, rng.integers(_ORDERS, size=shape), key)
        low, high = (
            values(np.take_along_axis(v, column[:, :, None], axis=2)[:, :, 0], key, is_nominal, self.orders)
            for v in (a, b)
        )
        return _Cut(column, key, _between(low, high, rng.random(shape)))

    def _goes_right(self, rows: Array, cut: _Cut) -> Array:
        is_nominal = _nominal(self.axes)
        nominal = None if is_nominal is None else is_nominal.take(cut.column)
        v = self.V.ravel().take(rows * self.V.shape[1] + cut.column)
        return np.asarray(values(v, cut.key, nominal, self.orders) > cut.threshold)


def _handed_down(rows: Array, counts: Array, right: Array, parted: Array) -> tuple[Array, Array]:
    """The rows of the next layer and how many each node has; nodes that are not parted hand nothing down.

    Args:
        rows: (S,) of this layer's open nodes, of which each has ``counts`` (A,).
        right: (S,) where they go.
        parted: (A,) which nodes are.
    """
    of = np.repeat(np.arange(len(counts)), counts)
    kept = parted[of]
    place = 2 * (np.cumsum(parted) - 1)[of[kept]] + right[kept]
    return rows[kept][np.argsort(place, kind="stable")], np.bincount(place, minlength=2 * int(parted.sum()))


def _between(a: Array, b: Array, u: Array) -> Array:
    """Thresholds in [min(a, b), max(a, b)), at shares u in [0, 1) of the way, so that "above" parts a from b."""
    low, high = np.minimum(a, b), np.maximum(a, b)
    return np.asarray(np.minimum(low + u * (high - low), np.nextafter(high, -np.inf)))


def _nominal(axes: Sequence[Axis]) -> Array | None:
    """Which axes are nominal, (d,) of bool; None if none is."""
    which = np.array([axis.kind is Kind.NOMINAL for axis in axes], dtype=bool)
    return which if which.any() else None
