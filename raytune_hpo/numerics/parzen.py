"""Densities on the unit cube that are mixtures of kernels around some points: Parzen estimators.

X  (n, d)  points; NaN where a column is not active
M  (K, d)  what the kernels stand around; NaN stands for the prior, which is uniform
w  (K,)    weights of the components, with sum 1
s  (d,)    bandwidths: standard deviations on real axes and grids, chances to leave the value on nominal axes
F  (n, q)  features of points, L (q, K) loadings of components: the logarithm of a component's density is F L

A component is a product of one kernel a column: a Gaussian cut off at 0 and 1 on a real axis; its masses over the cells
on a grid; on a nominal axis 1 - s on the value itself and s spread as the prior is, which for equal cells is the kernel
of Aitchison and Aitken. Densities are relative to the prior: within a cell they are constant, mass / width. So they
integrate to 1 over the cube, columns that are not active integrate to 1 and may be left out, and one set of components
serves all branches of a conditional space.

Falkner, Klein, Hutter: BOHB. ICML 2018, section 3.2 (one multivariate kernel instead of a product of estimators).
Watanabe: Tree-Structured Parzen Estimator. arXiv 2304.11127, 2023, section 3.3 (kernels and bandwidths).
Aitchison, Aitken: Multivariate binary discrimination by the kernel method. Biometrika 63, 1976.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from raytune_hpo.numerics.axes import Array, Axis, Kind, of_kind

_LOG_SQRT_2PI = math.log(2 * math.pi) / 2
_LEAST = 1e-300  # smaller masses are as good as none, and this one has a logarithm
_LEAST_LEAVE = 0.02  # however often a nominal value was seen, others stay possible


@dataclass(frozen=True)
class Parzen:
    """A mixture of product kernels.

    Attributes:
        axes: what the columns mean.
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
        logs = self._features(X) @ self._loadings
        top = logs.max(axis=1)
        logs -= top[:, None]  # in place: new pages for so many numbers cost as much as their exponentials
        found: Array = top + np.log(np.exp(logs, out=logs) @ self.weights)
        return found

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """n points (n, d), active in all columns; on axes with cells they stand at centres."""
        picked = np.searchsorted(np.cumsum(self.weights)[:-1], rng.random(n), side="right")
        X, M = rng.random((n, len(self.axes))), self.centres[picked]
        R = self._real
        X[:, R] = _draw(M[:, R], self.widths[R], X[:, R])
        for j, table in self._masses.items():
            axis = self.axes[j]
            assert axis.centres is not None
            ends = np.cumsum(np.vstack([table, np.diff(axis.edges)]), axis=1)[axis.levels(M[:, j])]  # -1: the prior
            X[:, j] = axis.centres[(ends[:, :-1] < X[:, j, None]).sum(axis=1)]
        return X

    def _features(self, X: Array) -> Array:
        """F (n, q): powers of the real coordinates, counted from the middle, then the cells as unit vectors."""
        active = ~np.isnan(X[:, self._real])
        x = np.where(active, X[:, self._real] - 0.5, 0.0)
        cells = [self.axes[j].levels(X[:, j])[:, None] == np.arange(self.axes[j].size) for j in self._masses]
        return np.concatenate([x * x, x, active, *cells], axis=1)

    @cached_property
    def _loadings(self) -> Array:
        """L (q, K): -x^2 / 2 s^2 + x m / s^2 - (m^2 / 2 s^2 + log normaliser), then log(mass / width) of each cell."""
        M, s = self.centres[:, self._real], self.widths[self._real]
        low, high = _ends(M, s)
        m, known = M - 0.5, ~np.isnan(M)
        powers = (-0.5 / s**2 * known, m / s**2, -(m**2) / (2 * s**2) - np.log(s * (high - low)) - _LOG_SQRT_2PI)
        cells = [self._cell_loadings(j, table) for j, table in self._masses.items()]
        return np.concatenate([*(np.where(known, power, 0.0).T for power in powers), *cells])

    def _cell_loadings(self, j: int, table: Array) -> Array:
        levels = self.axes[j].levels(self.centres[:, j])
        logs = np.log(np.maximum(table, _LEAST) / np.diff(self.axes[j].edges))
        loadings: Array = np.vstack([logs, np.zeros(len(logs))])[levels].T  # level -1: the prior
        return loadings

    @cached_property
    def _real(self) -> Array:
        return of_kind(self.axes, Kind.REAL)

    @cached_property
    def _masses(self) -> dict[int, Array]:
        """The table of masses of each axis that has cells, by its column."""
        celled = of_kind(self.axes, Kind.GRID, Kind.NOMINAL).tolist()
        return {j: masses(self.axes[j], float(self.widths[j])) for j in celled}


def masses(axis: Axis, s: float) -> Array:
    """The masses (k, k) of cells (columns) under kernels around the centres of cells (rows); rows have sum 1."""
    from scipy.special import ndtr

    assert axis.centres is not None
    if axis.kind is Kind.NOMINAL:
        return (1 - s) * np.eye(axis.size) + s * np.diff(axis.edges)
    z = (axis.edges - axis.centres[:, None]) / s
    # Beyond the centre from the other tail, so that small masses keep their digits.
    spans = np.where(z[:, :-1] > 0, ndtr(-z[:, :-1]) - ndtr(-z[:, 1:]), ndtr(z[:, 1:]) - ndtr(z[:, :-1]))
    table: Array = spans / spans.sum(axis=1, keepdims=True)
    return table


def _ends(M: Array, s: Array) -> tuple[Array, Array]:
    """How much of a normal distribution lies below 0, and how much below 1."""
    from scipy.special import ndtr

    return ndtr(-M / s), ndtr((1 - M) / s)


def _draw(M: Array, s: Array, U: Array) -> Array:
    """Normal variables cut off at 0 and 1, from uniform ones; where the mean is NaN, the uniform one itself."""
    from scipy.special import ndtri

    low, high = _ends(M, s)
    return np.where(np.isnan(M), U, np.clip(M + s * ndtri(low + U * (high - low)), 0.0, 1.0))


@dataclass(frozen=True, kw_only=True)
class Bandwidths:
    """How wide kernels are, given what they stand around.

    With weights w, n = (sum w)^2 / sum w^2 points speak for a column (Kish), those in which it is active; d columns are
    active on average. On real axes and grids s = spread n^(-1 / (d + 4)): Scott's rule, with a fixed spread since few
    points tell little about theirs. On nominal axes s = leave / sqrt(1 + n).

    Attributes:
        spread: the standard deviation around a single point, in widths of the cube.
        least: the smallest standard deviation; on a grid it is at least half a mean cell.
        leave: the chance to leave the value of a nominal axis, were there no points.
    """

    spread: float
    least: float
    leave: float

    def of(self, axes: Sequence[Axis], M: Array, w: Array) -> Array:
        """The bandwidths s (d,) for centres M (K, d) of weights w (K,). (Watanabe 2023, section 3.3)"""
        active = ~np.isnan(M)
        n = np.maximum((w @ active) ** 2 / np.maximum(w**2 @ active, _LEAST), 1.0)
        d = max(active.sum() / max(len(M), 1), 1.0)
        half_cell = np.array([0.5 / axis.size if axis.kind is Kind.GRID else 0.0 for axis in axes])
        s = np.maximum(self.spread * n ** (-1 / (d + 4)), np.maximum(self.least, half_cell))
        nominal = np.array([axis.kind is Kind.NOMINAL for axis in axes])
        widths: Array = np.where(nominal, np.maximum(self.leave / np.sqrt(1.0 + n), _LEAST_LEAVE), s)
        return widths


def mixture(axes: Sequence[Axis], M: Array, w: Array, prior_weight: float, bandwidths: Bandwidths) -> Parzen:
    """The estimator around points M (K, d), and the prior.

    Args:
        w: (K,) weights of the points, in any unit.
        prior_weight: of the prior against a mean point, above 0: no place is thought impossible.
    """
    mean = w.mean() if len(w) else 1.0
    weights = np.append(w, prior_weight * mean)
    centres = np.vstack([M, np.full((1, len(axes)), np.nan)])
    return Parzen(axes, centres, weights / weights.sum(), bandwidths.of(axes, M, w))
