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

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.axes import Axes, Axis, Kind

_LOG_SQRT_2PI = math.log(2 * math.pi) / 2
_LEAST = 1e-300  # lower bound of masses, so that their logarithms are finite
_AT_ONCE = 2**13  # densities of components
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
        """n points (n, d), active in all columns; on axes with cells their coordinates are centres."""
        picked = np.searchsorted(np.cumsum(self.weights)[:-1], rng.random(n), side="right")
        X, R = rng.random((n, len(self.axes))), Axes.of(self.axes).real
        low, high = self._ends
        X[:, R] = _draw(self.centres[picked[:, None], R], self.widths[R], low[picked], high[picked], X[:, R])
        for j, kernels in self._kernels.items():
            axis = self.axes[j]
            assert axis.centres is not None
            table = np.vstack([kernels.table, axis.widths])  # the last one: the prior
            ends = np.cumsum(table, axis=1)[kernels.own[picked]]
            X[:, j] = axis.centres[(ends[:, :-1] < X[:, j, None]).sum(axis=1)]
        return X

    def _log_density(self, places: _Places) -> Array:
        loadings, K = self._loadings(), len(self.weights)
        tables = [(kernels.of_components(self.axes[j]), places.levels[j]) for j, kernels in self._kernels.items()]
        found, step = np.empty(len(places.powers)), max(1, _AT_ONCE // K)
        # In a buffer that stays in a processor's cache: allocating memory for all of it takes longer than the arithmetic.
        room = np.empty((step, K))
        for start in range(0, len(found), step):
            part = slice(start, start + step)
            logs = np.matmul(places.powers[part], loadings, out=room[: len(found) - start])
            for table, levels in tables:
                logs += table[levels[part]]
            top = logs.max(axis=1)
            logs -= top[:, None]
            np.maximum(logs, _LOWEST, out=logs)
            found[part] = top + np.log(np.exp(logs, out=logs) @ self.weights)
        return found

    def _loadings(self) -> Array:
        """L (q, K): -x^2 / 2 s^2 + x m / s^2 - (m^2 / 2 s^2 + log normaliser)."""
        real = Axes.of(self.axes).real
        M, s = self.centres[:, real], self.widths[real]
        low, high = self._ends
        m, known = M - 0.5, ~np.isnan(M)
        powers = (-0.5 / s**2 * known, m / s**2, -(m**2) / (2 * s**2) - np.log(s * (high - low)) - _LOG_SQRT_2PI)
        return np.concatenate([np.where(known, power, 0.0).T for power in powers])

    @cached_property
    def _ends(self) -> tuple[Array, Array]:
        """The probabilities (K, r) that each component's normal distribution is below 0, and below 1, on real axes."""
        from scipy.special import ndtr

        real = Axes.of(self.axes).real
        M, s = self.centres[:, real], self.widths[real]
        return ndtr(-M / s), ndtr((1 - M) / s)

    @cached_property
    def _kernels(self) -> dict[int, _Kernels]:
        """The kernels of each axis that has cells, by its column."""
        celled = Axes.of(self.axes).celled.tolist()
        return {j: _Kernels.of(self.axes[j], self.centres[:, j], float(self.widths[j])) for j in celled}


class _Places(NamedTuple):
    """Points, prepared for mixtures over the same axes.

    Attributes:
        powers: F (n, q): the squares of the real coordinates, relative to the middle, the coordinates, and whether active.
        levels: (n,) the cell of each point on each axis that has cells, by its column; -1 where not active.
    """

    powers: Array
    levels: dict[int, Array]

    @classmethod
    def of(cls, axes: Sequence[Axis], X: Array) -> _Places:
        axes = Axes.of(axes)
        real = X[:, axes.real]
        active = ~np.isnan(real)
        x = np.where(active, real - 0.5, 0.0)
        levels = {j: axes[j].levels(X[:, j]) for j in axes.celled.tolist()}
        return cls(np.concatenate([x * x, x, active], axis=1), levels)


class _Kernels(NamedTuple):
    """The kernels on one axis that has cells. Components with their centres in the same cell share a kernel.

    Attributes:
        table: (u, k) the masses of all cells under u different kernels.
        own: (K,) the kernel of each component; -1 for the prior.
    """

    table: Array
    own: Array

    @classmethod
    def of(cls, axis: Axis, centres: Array, s: float) -> _Kernels:
        levels = axis.levels(centres)
        if axis.size <= len(centres):  # a kernel for every cell: finding the different ones would take longer
            return cls(masses(axis, s), levels)
        stood_in = np.bincount(levels[levels >= 0], minlength=axis.size) > 0
        own = np.append(np.cumsum(stood_in) - 1, -1)[levels]
        return cls(masses(axis, s, np.flatnonzero(stood_in)), own)

    def of_components(self, axis: Axis) -> Array:
        """The logarithms (k + 1, K) of the densities of cells under the components; the last row: not active."""
        logs = np.zeros((axis.size + 1, len(self.table) + 1))
        logs[:-1, :-1] = (np.log(np.maximum(self.table, _LEAST)) - axis.log_widths).T  # the last column is the prior's
        return logs[:, self.own]


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
    tails = ndtr(-np.abs(axis.edges - axis.centres[levels, None]) / s)
    table = np.abs(np.diff(tails, axis=1))
    table[rows, levels] = 1 - tails[rows, levels] - tails[rows, levels + 1]
    table /= table.sum(axis=1, keepdims=True)
    return table


def _draw(M: Array, s: Array, low: Array, high: Array, U: Array) -> Array:
    """Normal variables truncated to [0, 1], from uniform ones; where the mean is NaN, the uniform one itself.

    Args:
        low, high: the probabilities below 0, and below 1.
    """
    from scipy.special import ndtri

    return np.where(np.isnan(M), U, np.clip(M + s * ndtri(low + U * (high - low)), 0.0, 1.0))


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
