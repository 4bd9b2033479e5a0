"""Parzen estimators: densities on the unit cube that are mixtures of kernels around some points.

X  (n, d)  points; NaN where a column is not active
M  (K, d)  centres of the kernels; NaN stands for the prior, which is uniform
w  (K,)    weights of the components, with sum 1
s  (d,)    bandwidths: standard deviations on real axes and grids, probabilities of leaving the value on nominal axes
F  (n, q)  powers of real coordinates, L (q, K) loadings of components: on real axes the logarithm of a component's
           density is F L

A component is a product of kernels, one per column: on a real axis a Gaussian truncated to [0, 1]; on a grid its masses
over the cells; on a nominal axis 1 - s on the value itself and s spread as the prior is, which for equal cells is the
kernel of Aitchison and Aitken. Densities are relative to the prior: within a cell they are constant, mass / width. So
they integrate to 1 over the cube, columns that are not active integrate to 1 and may be left out, and one set of
components serves all branches of a conditional space.

Falkner, Klein, Hutter: BOHB. ICML 2018, section 3.2 (one multivariate kernel instead of a product of estimators).
Watanabe: Tree-Structured Parzen Estimator. arXiv 2304.11127, 2023, section 3.3 (kernels and bandwidths).
Aitchison, Aitken: Multivariate binary discrimination by the kernel method. Biometrika 63, 1976.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.axes import Axes, Axis, Kind
from raytune_hpo.numerics.normal import LOG_SQRT_2PI

_LEAST = 1e-300  # lower bound of masses, so that their logarithms are finite
_AT_ONCE = 2**14  # densities of components
_FEW_CELLS = 64  # for axes of more, only the kernels that are needed are computed
_LOWEST = -700.0  # lower bound of logarithms: the exponential is negligible, and lower ones take many times as long
_LEAST_LEAVE = 0.02  # however often a nominal value was observed, others stay possible


@dataclass(frozen=True)
class Parzen:
    """A mixture of product kernels.

    Attributes:
        axes: of the columns.
        centres: M (K, d); on axes with cells, centres of cells.
        weights: w (K,).
        widths: s (d,), above 0; at most 1 on nominal axes.
    """

    axes: Sequence[Axis]
    centres: Array
    weights: Array
    widths: Array

    def log_density(self, X: Array) -> Array:
        """The logarithms (n,) of the densities relative to the prior, at points X (n, d)."""
        return self._log_density(_Places.of(self.axes, X))

    def log_ratio(self, other: Parzen, X: Array) -> Array:
        """The logarithms (n,) of this density divided by another one over the same axes, at points X (n, d)."""
        places = _Places.of(self.axes, X)
        ratio: Array = self._log_density(places) - other._log_density(places)
        return ratio

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """n points (n, d), active in all columns; on axes with cells their coordinates are centres.

        On every axis the prior is uniform on [0, 1], and a cell is as wide as it is probable. So a point is drawn as if it
        had no cells, and its coordinates then move to the centres of those in which they lie.
        """
        axes, s = Axes.of(self.axes), self.widths
        picked = np.searchsorted(np.cumsum(self.weights)[:-1], rng.random(n), side="right")
        M, X = self.centres[picked], rng.random((n, len(axes)))
        for columns, draw in ((axes.on_lines, _draw), (axes.nominal, _draw_nominal)):
            X[:, columns] = draw(M[:, columns], s[columns], X[:, columns])
        for axis, columns in axes.celled:
            X[:, columns] = axis.settled(X[:, columns])
        return X

    def _log_density(self, places: _Places) -> Array:
        (powers, loadings), K = self._factors(places), len(self.weights)
        tables = list(zip(self._tables(), places.rows, strict=True))
        found, step = np.empty(len(powers)), max(1, _AT_ONCE // K)
        rooms = _ROOMS.of(2 * step * K).reshape(2, step, K)
        for start in range(0, len(found), step):
            part = slice(start, start + step)
            logs, more = rooms[:, : len(found) - start]
            np.matmul(powers[part], loadings, out=logs)
            for table, rows in tables:
                for row in rows[:, part]:
                    logs += np.take(table, row, axis=0, out=more, mode="clip")
            top = logs.max(axis=1)
            logs -= top[:, None]
            np.maximum(logs, _LOWEST, out=logs)
            found[part] = top + np.log(np.exp(logs, out=logs) @ self.weights)
        return found

    def _factors(self, places: _Places) -> tuple[Array, Array]:
        """F (n, q) and L (q, K): x by m / s^2, -x^2 / 2 s^2 by whether m is known, and whether x is by the rest of kernels.

        If all of the real columns are active, or none of them, the last two are one power each, instead of one a column.
        """
        real = Axes.of(self.axes).real
        M, s = self.centres[:, real], self.widths[real]
        known: Array = ~np.isnan(M)
        active, half = places.active, 0.5 / s**2
        m = np.where(known, M - 0.5, 0.0)
        low, high = _ends(M, s)
        rest = np.where(known, -half * m**2 - np.log(high - low) - (np.log(s) + LOG_SQRT_2PI), 0.0)
        squares = -half * places.x**2
        if active.all() and (known == known[:, :1]).all():
            squares, rest = squares.sum(axis=1, keepdims=True), rest.sum(axis=1, keepdims=True)
            known, active = np.all(known, axis=1, keepdims=True), np.all(active, axis=1, keepdims=True)
        loadings = np.concatenate([2 * half * m, known, rest], axis=1)
        return np.concatenate([places.x, squares, active], axis=1), np.ascontiguousarray(loadings.T)

    def _tables(self) -> Iterator[Array]:
        """The logarithms ((k + 1) g, K) of the densities of cells under the components, for each group of g columns.

        The rows of a cell stand together, a row for each column, and the last cell stands for no activity. Components with
        their centres in the same cell share a kernel, and so do columns with the same bandwidth.
        """
        for axis, columns in Axes.of(self.axes).celled:
            levels, widths = axis.levels(self.centres[:, columns].T), self.widths[columns].tolist()
            place = {s: i for i, s in enumerate(dict.fromkeys(widths))}
            if axis.size <= _FEW_CELLS:
                kernels = [_log_kernels_of_all(axis, s) for s in place]
            else:
                around = np.unique(levels[levels >= 0])
                levels = np.where(levels < 0, -1, around.searchsorted(levels))
                kernels = [_log_kernels(axis, s, around) for s in place]
            own = levels % kernels[0].shape[1]  # -1 is the last one, the prior's
            if len(place) > 1:
                own += np.array([[place[s] * kernels[0].shape[1]] for s in widths])
            yield np.concatenate(kernels, axis=1).take(own, axis=1).reshape(-1, len(self.weights))


class _Rooms(threading.local):
    """Memory for densities of components that stays in a processor's cache, a piece for each thread.

    To get as much anew for each estimate takes longer than the arithmetic.
    """

    def of(self, size: int) -> Array:
        """Memory for so many numbers, with anything in it."""
        return self._kept[:size] if size <= len(self._kept) else np.empty(size)

    @cached_property
    def _kept(self) -> Array:
        return np.empty(2 * _AT_ONCE)


_ROOMS = _Rooms()


class _Places(NamedTuple):
    """Points, prepared for mixtures over the same axes.

    Attributes:
        x: (n, r) the real coordinates, relative to the middle; 0 where not active.
        active: (n, r) where the real columns are active.
        rows: for each group of g columns with the same cells, (g, n), the rows of ``Parzen._tables``.
    """

    x: Array
    active: Array
    rows: list[Array]

    @classmethod
    def of(cls, axes: Sequence[Axis], X: Array) -> _Places:
        axes = Axes.of(axes)
        real = X[:, axes.real]
        active = ~np.isnan(real)
        rows = []
        for axis, columns in axes.celled:
            levels = axis.levels(X[:, columns].T)
            rows.append(levels % (axis.size + 1) * len(columns) + np.arange(len(columns))[:, None])
        return cls(np.where(active, real - 0.5, 0.0), active, rows)


@lru_cache(maxsize=64)
def _log_kernels_of_all(axis: Axis, s: float) -> Array:
    """Those around all cells, kept, since bandwidths are often the same from one suggestion to the next."""
    return _log_kernels(axis, s, np.arange(axis.size))


def _log_kernels(axis: Axis, s: float, around: Array) -> Array:
    """The logarithms (k + 1, u + 1) of the densities of cells (rows) under the kernels around cells (columns).

    The last column is the prior's; the last row is for points in which the column is not active.
    """
    logs = np.zeros((axis.size + 1, len(around) + 1))
    logs[:-1, :-1] = (np.log(np.maximum(masses(axis, s, around), _LEAST)) - axis.log_widths).T
    return logs


def masses(axis: Axis, s: float, around: Array | None = None) -> Array:
    """The masses (u, k) of cells (columns) under kernels around the centres of cells (rows); rows have sum 1.

    Args:
        around: (u,) the cells that have kernels; all of them by default.
    """
    from scipy.special import ndtr

    assert axis.centres is not None
    levels = np.arange(axis.size) if around is None else around
    rows = np.arange(len(levels))
    if axis.kind is Kind.NOMINAL:
        table: Array = np.empty((len(levels), axis.size))
        table[:] = s * axis.widths
        table[rows, levels] += 1 - s
        return table
    # Beyond each edge, away from the centre: small masses keep their digits.
    if axis.is_even:  # masses depend on nothing but the distance between two cells
        tails = ndtr(-(np.arange(axis.size) + 0.5) / (axis.size * s))
        by_distance = np.append(1 - 2 * tails[0], -np.diff(tails))
        table = by_distance[np.abs(levels[:, None] - np.arange(axis.size))]
    else:
        tails = ndtr(-np.abs(axis.edges - axis.centres[levels, None]) / s)
        table = np.abs(np.diff(tails, axis=1))
        table[rows, levels] = 1 - tails[rows, levels] - tails[rows, levels + 1]
    table /= table.sum(axis=1, keepdims=True)
    return table


def _draw(M: Array, s: Array, U: Array) -> Array:
    """Normal variables truncated to [0, 1], from uniform ones; where the mean is NaN, the uniform one itself."""
    from scipy.special import ndtri

    low, high = _ends(M, s)
    return np.where(np.isnan(M), U, np.clip(M + s * ndtri(low + U * (high - low)), 0.0, 1.0))


def _draw_nominal(M: Array, s: Array, U: Array) -> Array:
    """From uniform variables: M with probability 1 - s, else uniform; where M is NaN, the uniform one itself."""
    return np.where(np.isnan(M), U, np.where(s > U, U / s, M))


def _ends(M: Array, s: Array) -> tuple[Array, Array]:
    """The probabilities (K, r) that normal variables are below 0, and below 1."""
    from scipy.special import ndtr

    return ndtr(-M / s), ndtr((1 - M) / s)


@dataclass(frozen=True, kw_only=True)
class Bandwidths:
    """The rule for the widths of kernels.

    A column's effective sample size is n = (sum w)^2 / sum w^2 (Kish), over the weights w of the points in which it is
    active; d columns are active on average. On real axes and grids s = spread n^(-1 / (d + 4)): Scott's rule, with a fixed
    spread since few points tell little about theirs. On nominal axes s = leave / sqrt(1 + n).

    Attributes:
        spread: the standard deviation around a single point, in widths of the cube.
        least: the smallest standard deviation; on a grid it is at least half a mean cell.
        leave: the probability of leaving the value of a nominal axis, for n = 0.
    """

    spread: float
    least: float
    leave: float

    def of(self, axes: Sequence[Axis], M: Array, w: Array) -> Array:
        """The bandwidths s (d,) for centres M (K, d) of weights w (K,). (Watanabe 2023, section 3.3)"""
        active = ~np.isnan(M)
        n = np.maximum((w @ active) ** 2 / np.maximum(w**2 @ active, _LEAST), 1.0)
        d = max(active.sum() / max(len(M), 1), 1.0)
        axes = Axes.of(axes)
        s = np.maximum(self.spread * n ** (-1 / (d + 4)), np.maximum(self.least, axes.half_cells))
        widths: Array = np.where(axes.is_nominal, np.maximum(self.leave / np.sqrt(1.0 + n), _LEAST_LEAVE), s)
        return widths


def mixture(axes: Sequence[Axis], M: Array, w: Array, prior_weight: float, bandwidths: Bandwidths) -> Parzen:
    """The estimator from points M (K, d) and the prior.

    Args:
        w: (K,) weights of the points, in any unit.
        prior_weight: the weight of the prior relative to an average point; above 0, so that no point is impossible.
    """
    mean = w.mean() if len(w) else 1.0
    weights = np.append(w, prior_weight * mean)
    centres = np.vstack([M, np.full((1, len(axes)), np.nan)])
    return Parzen(axes, centres, weights / weights.sum(), bandwidths.of(axes, M, w))
