"""A forest of randomised regression trees over a mixed cube, with all trees grown and evaluated at once.

X  (n, d)  training rows; NaN where a column is not active      y (n,) their losses
T  trees   C candidate cuts of a node   A open nodes of all trees   S rows in them, those of a node next to each other
E  (n, e)  entries: what is kept of rows, from which all views of them follow, see ``Views``

A node is cut by a view and a threshold: rows whose value is above it go right. A real or grid column has two views, the
coordinate with -1 or with 2 where it is not active. A nominal column has views that put its levels, "not active" being
one more, in random orders, so that thresholds can cut off any subset. A cut separates two rows of its node drawn at
random, in a column in which they differ, at a threshold drawn uniformly between them. Of C such cuts, the one that leaves
the least variance is taken. So no cut leaves a side empty, however many columns are not active, and between two points
the means of different trees vary in proportion to the distance.

Geurts, Ernst, Wehenkel: Extremely Randomized Trees. Machine Learning 63, 2006 (random cuts, the best of a few).
Hutter, Hoos, Leyton-Brown: Sequential Model-Based Optimization for General Algorithm Configuration. LION 2011, sect. 4.1.
Hutter, Xu, Hoos, Leyton-Brown: Algorithm Runtime Prediction. Artificial Intelligence 206, 2014, sect. 4.3.2 and 5.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.axes import Axis, Kind, alike, of_kind

_ORDERS = 32  # random orders of the levels of a nominal column
_WALKED = 2**14  # pairs of a tree and a row that are evaluated at once, so that they stay in a processor's cache
_WIDE = 24  # columns; only in spaces of more does it save time to compute no more of a row than is needed
_LOW, _HIGH = -1.0, 2.0  # what the two views of a coordinate show where it is not active


class Views:
    """The views of the columns: the orders in which trees see their values.

    A row has an entry for each view. In a wide space, all views of a nominal column share one instead: the position of the
    level, 0 where the column is not active, by which a view looks up a rank in its order.

    Args:
        axes: of the columns.

    Attributes:
        axes: (d,) of the columns.
        first: (d,) the first view of each column.
        count: (d,) how many views each column has.
        column: (w,) the column of each view.
        orders: for each nominal column, (count, levels + 1) the ranks of "not active" and of its levels in each view.
        is_wide: whether there are many columns.
        entry: (w,) the entry that each view reads.
        order: (w,) where the ranks begin among which each view looks its entry up; -1 if it does not.
    """

    def __init__(self, axes: Sequence[Axis], rng: np.random.Generator) -> None:
        self.axes = tuple(axes)
        self._on_lines, self._nominal = of_kind(axes, Kind.REAL, Kind.GRID), alike(axes, Kind.NOMINAL)
        self.orders = [rng.random((_ORDERS, axis.size + 1)) if axis.kind is Kind.NOMINAL else None for axis in axes]
        self.count = np.array([2 if orders is None else _ORDERS for orders in self.orders], dtype=np.intp)
        self.first = np.cumsum(self.count) - self.count
        self.column = np.repeat(np.arange(len(axes)), self.count)
        self.is_wide = len(axes) > _WIDE
        shared = [self.is_wide and orders is not None for orders in self.orders]
        kept = np.where(shared, 1, self.count)
        self._first_entry = np.cumsum(kept) - kept
        place = np.arange(len(self.column)) - self.first[self.column]  # of each view among those of its column
        is_shared = np.repeat(shared, self.count)
        self.entry = self._first_entry[self.column] + np.where(is_shared, 0, place)
        sizes = np.array([axis.size + 1 for axis in axes], dtype=np.intp) * shared  # of an order
        begin = np.cumsum(sizes * _ORDERS) - sizes * _ORDERS
        self.order = np.where(is_shared, begin[self.column] + place * sizes[self.column], -1)
        looked_up = [orders.ravel() for orders in self.orders if orders is not None and self.is_wide]
        self._ranks = np.concatenate([np.empty(0), *looked_up])

    def entries(self, X: Array) -> Array:
        """E (n, e) of rows X (n, d)."""
        E, on_lines = np.empty((len(X), int(self.entry.max(initial=-1)) + 1)), self._on_lines
        x = X[:, on_lines]
        is_off = np.isnan(x)
        E[:, self._first_entry[on_lines]] = np.where(is_off, _LOW, x)
        E[:, self._first_entry[on_lines] + 1] = np.where(is_off, _HIGH, x)
        for axis, columns in self._nominal:
            positions = axis.levels(X[:, columns]) + 1  # level -1: not active
            if self.is_wide:
                E[:, self._first_entry[columns]] = positions
                continue
            for j, position in zip(columns.tolist(), positions.T, strict=True):
                i, orders = self._first_entry[j], self.orders[j]
                assert orders is not None, "a nominal column has orders"
                E[:, i : i + _ORDERS] = orders.T[position]
        return E

    def plain(self, E: Array) -> Array:
        """One entry of each column (n, d): two rows differ in a column if these do."""
        return E[:, self._first_entry]

    def values(self, E: Array, row: Array, view: Array) -> Array:
        """What views show of rows, in the shape of ``view``; ``row`` has that shape, or one that is broadcast to it."""
        value: Array = E.ravel().take(row * E.shape[1] + self.entry.take(view))
        self.rank(value, self.order.take(view))
        return value

    def rank(self, entries: Array, order: Array) -> None:
        """Replace entries by their ranks in orders, in place, where these are not -1; both have the same shape."""
        if self.is_wide:
            flat, at = entries.ravel(), np.flatnonzero(order >= 0)
            flat[at] = self._ranks.take(order.ravel().take(at) + flat.take(at).astype(np.intp))


class Nodes(NamedTuple):
    """The nodes of all trees, each (N,); the first T are the roots. A leaf has an infinite threshold and is its own child.

    Attributes:
        view: the view by which it is cut.
        threshold: values above it go right.
        left: the left child; the right one is the next node.
        mean: of the losses in it.
        variance: of the losses in it.
    """

    view: Array
    threshold: Array
    left: Array
    mean: Array
    variance: Array


@dataclass(frozen=True)
class Forest:
    """A fitted forest.

    Attributes:
        views: by which the nodes are cut.
        num_trees: T.
        nodes: of all trees.
    """

    views: Views
    num_trees: int
    nodes: Nodes

    def predict(self, X: Array) -> tuple[Array, Array]:
        """Means and variances (n,) of the losses at rows X (n, d).

        The forest is an even mixture of its trees' normal leaves, with the mean of their means, and the mean of their
        variances plus the variance of their means. (Hutter et al. 2014, eq. 6 f.: the law of total variance)
        """
        return self._mixed(self.leaves(X))

    def predict_near(self, X: Array, starts: Array, of: Array) -> tuple[Array, Array]:
        """As ``predict``, sooner, for rows X (n, d) that differ in few columns from starts (s, d).

        Args:
            of: (n,) the start to which each row is near.
        """
        return self._mixed(self.leaves_near(X, starts, of))

    def leaves(self, X: Array) -> Array:
        """The leaf (T, n) of every tree into which each row falls."""
        step = max(1, _WALKED // self.num_trees)
        parts = [self.views.entries(X[i : i + step]) for i in range(0, len(X), step)]
        roots = np.arange(self.num_trees)
        walked = [
            self._walk(E, np.tile(np.arange(len(E)), self.num_trees), np.repeat(roots, len(E))).reshape(-1, len(E))
            for E in parts
        ]
        return np.concatenate(walked, axis=1) if walked else np.empty((self.num_trees, 0), dtype=np.intp)

    def leaves_near(self, X: Array, starts: Array, of: Array) -> Array:
        """As ``leaves``, for rows near starts.

        In a tree that, on the path of the start, asks for no column in which a row differs, the row has the start's leaf.
        """
        if not self.views.is_wide:
            return self.leaves(X)
        E, E_starts, T = self.views.entries(X), self.views.entries(starts), self.num_trees
        is_asked = np.zeros((T * len(starts), X.shape[1]), dtype=bool)
        row, root = np.tile(np.arange(len(starts)), T), np.repeat(np.arange(T), len(starts))
        reached = self._walk(E_starts, row, root, is_asked)
        leaves = reached.reshape(T, len(starts)).take(of, axis=1)
        row, column = np.nonzero(self.views.plain(E) != self.views.plain(E_starts)[of])
        if len(row):
            first = np.flatnonzero(np.diff(row, prepend=-1))
            by_tree = is_asked.reshape(T, len(starts), -1).transpose(1, 2, 0)[of[row], column]  # (k, T)
            place, tree = np.nonzero(np.logical_or.reduceat(by_tree, first))
            leaves[tree, row[first][place]] = self._walk(E, row[first][place], tree)
        return leaves

    def _mixed(self, leaves: Array) -> tuple[Array, Array]:
        """The means and variances of mixtures of leaves (T, n)."""
        means = self.nodes.mean[leaves]
        return means.mean(axis=0), self.nodes.variance[leaves].mean(axis=0) + means.var(axis=0)

    def _walk(self, E: Array, row: Array, root: Array, is_asked: Array | None = None) -> Array:
        """The leaves (k,) into which rows fall from roots, (k,) each.

        Args:
            is_asked: (k, d), in which the columns of the cuts on the way are marked.
        """
        nodes, views, entries = self.nodes, self.views, E.ravel()
        entry, order = views.entry.take(nodes.view), views.order.take(nodes.view)
        at: Array = root.copy()
        node, going, begin = root, np.arange(len(root)), row * E.shape[1]
        while len(going):
            value = entries.take(begin + entry.take(node))
            if views.is_wide:
                views.rank(value, order.take(node))
            child = nodes.left.take(node) + (value > nodes.threshold.take(node))
            moved = np.flatnonzero(child != node)
            at[going] = child
            if is_asked is not None:
                is_asked[going.take(moved), views.column.take(nodes.view.take(node.take(moved)))] = True
            going, begin, node = going.take(moved), begin.take(moved), child.take(moved)
        return at


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
    views = Views(axes, rng)
    rows = rng.integers(n, size=(num_trees, n)) if bootstrap else np.tile(np.arange(n), (num_trees, 1))
    growth = _Growth(views, views.entries(X), np.asarray(y, dtype=float), num_cuts, min_leaf)
    layers = growth.layers(rows.ravel(), np.full(num_trees, n), rng)
    return Forest(views, num_trees, Nodes(*map(np.concatenate, zip(*layers, strict=True))))


class _Cut(NamedTuple):
    """The cuts of all open nodes: each (A,), or (C, A) for all candidates."""

    view: Array
    threshold: Array


@dataclass(frozen=True)
class _Growth:
    """Grows all trees together, layer by layer."""

    views: Views
    E: Array
    y: Array
    num_cuts: int
    min_leaf: int

    def layers(self, rows: Array, counts: Array, rng: np.random.Generator) -> list[Nodes]:
        """The nodes of each layer.

        Args:
            rows: (S,) the training rows in the roots, those of a root next to each other.
            counts: (A,) how many rows each root has.
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
                layer.view[nodes], layer.threshold[nodes] = cut.view[parted], cut.threshold[parted]
                layer.left[nodes] = made + 2 * np.arange(len(nodes))
                rows, counts = _handed_down(rows, counts, right, parted)
        return layers

    def _leaves(self, rows: Array, counts: Array, number: int) -> Nodes:
        """Nodes that are not cut yet, numbered from ``number`` on."""
        k, starts = len(counts), np.cumsum(counts) - counts
        mean = np.add.reduceat(self.y[rows], starts) / counts
        variance = np.add.reduceat((self.y[rows] - np.repeat(mean, counts)) ** 2, starts) / counts
        itself = number + np.arange(k)
        return Nodes(np.zeros(k, dtype=np.intp), np.full(k, np.inf), itself, mean, variance)

    def _best(self, rows: Array, counts: Array, rng: np.random.Generator) -> tuple[_Cut, Array, Array]:
        """The best of C cuts of each node, whether each row goes right (S,), and whether the node is cut at all (A,)."""
        starts = np.cumsum(counts) - counts
        cuts = self._drawn(rows, counts, starts, rng)
        of = np.repeat(np.arange(len(counts)), counts)
        view, threshold = (field.take(of, axis=1) for field in cuts)
        right = self.views.values(self.E, rows, view) > threshold  # (C, S)
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
        """C cuts (C, A) of each node, each separating two of its rows."""
        shape = (self.num_cuts, len(counts))
        first = (rng.random(shape) * counts).astype(np.intp)
        other = (first + 1 + (rng.random(shape) * (counts - 1)).astype(np.intp)) % counts
        a, b = rows[starts + first], rows[starts + other]
        plain = self.views.plain(self.E)
        differ = np.cumsum(plain[a] != plain[b], axis=2, dtype=np.int32)  # (C, A, d)
        wanted = (rng.random(shape) * differ[:, :, -1]).astype(np.int32)  # the index among the columns that differ
        column = np.minimum((differ <= wanted[:, :, None]).sum(axis=2), plain.shape[1] - 1)
        view = self.views.first[column] + (rng.random(shape) * self.views.count[column]).astype(np.intp)
        at_a, at_b = self.views.values(self.E, a, view), self.views.values(self.E, b, view)
        return _Cut(view, _between(at_a, at_b, rng.random(shape)))


def _handed_down(rows: Array, counts: Array, right: Array, parted: Array) -> tuple[Array, Array]:
    """The rows of the next layer, and how many each node has; nodes that are not cut pass no rows on.

    Args:
        rows: (S,) of this layer's open nodes.
        counts: (A,) how many rows each node has.
        right: (S,) which rows go right.
        parted: (A,) which nodes are cut.
    """
    of = np.repeat(np.arange(len(counts)), counts)
    kept = parted[of]
    place = 2 * (np.cumsum(parted) - 1)[of[kept]] + right[kept]
    return rows[kept][np.argsort(place, kind="stable")], np.bincount(place, minlength=2 * int(parted.sum()))


def _between(a: Array, b: Array, u: Array) -> Array:
    """Thresholds in [min(a, b), max(a, b)), at shares u in [0, 1) of the way, so that they separate a from b."""
    low, high = np.minimum(a, b), np.maximum(a, b)
    return np.asarray(np.minimum(low + u * (high - low), np.nextafter(high, -np.inf)))
