"""Beliefs: priors over where good points lie in the unit cube, as densities of single columns.

x  (n,)    coordinates in [0, 1] of one column
X  (n, d)  points; NaN where a column is not active, which counts as neutral

A density is a table: its logarithm at the middles of many narrow bins, linear in between. It is mixed with a uniform
density, so a belief makes nothing impossible.

Hvarfner, Stoll, Souza, Lindauer, Hutter, Nardi: piBO: Augmenting Acquisition Functions with User Beliefs for Bayesian
Optimization. ICLR 2022.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from raytune_hpo.arrays import Array

_NUM_BINS = 4096
_MOST = 10.0  # bound of the sum of all columns' log densities: many mild beliefs must not become a certainty
MIDDLES = (np.arange(_NUM_BINS) + 0.5) / _NUM_BINS


@dataclass(frozen=True, eq=False)
class Belief:
    """The belief about one column.

    Attributes:
        masses: (4096,) the probabilities of equal bins, with sum 1.
    """

    masses: Array

    @staticmethod
    def of(log_density: Array, share: float) -> Belief:
        """A belief with this density, mixed with a uniform one.

        Args:
            log_density: (4096,) at ``MIDDLES``, up to a constant.
            share: the weight of this density in the mixture, in [0, 1].
        """
        density = np.exp(log_density - log_density.max())
        return Belief(share * density / density.sum() + (1 - share) / _NUM_BINS)

    def quantiles(self, u: Array) -> Array:
        """Even coordinates u (n,) as coordinates drawn from the belief, in the same order."""
        return np.interp(u, self._cumulated, np.linspace(0.0, 1.0, _NUM_BINS + 1))

    @cached_property
    def peak(self) -> float:
        """The coordinate where the density is highest; the middle one of several that are alike."""
        highest = np.flatnonzero(np.isclose(self.masses, self.masses.max(), rtol=1e-9, atol=0.0))
        return float(MIDDLES[highest[len(highest) // 2]])

    def log_density(self, x: Array) -> tuple[Array, Array]:
        """The log density (n,), and its derivative (n,); both 0 where x is NaN."""
        at = np.clip(np.nan_to_num(x, nan=0.5) * _NUM_BINS - 0.5, 0.0, _NUM_BINS - 1.0)
        left = np.minimum(at.astype(np.intp), _NUM_BINS - 2)
        step = self._logs[left + 1] - self._logs[left]
        known = ~np.isnan(x)
        return np.where(known, self._logs[left] + (at - left) * step, 0.0), np.where(known, step * _NUM_BINS, 0.0)

    @cached_property
    def _logs(self) -> Array:
        logs: Array = np.log(self.masses * _NUM_BINS)
        return logs

    @cached_property
    def _cumulated(self) -> Array:
        return np.concatenate([[0.0], np.cumsum(self.masses)])


@dataclass(frozen=True, eq=False)
class Beliefs:
    """The beliefs about the columns of a space, independent of each other.

    Attributes:
        by_column: by the number of the column.
        of_options: the same for columns whose coordinates already follow the belief: even draws need no change there.
        weight: the weight of all beliefs; 1 is the usual, 0 none.
    """

    by_column: Mapping[int, Belief]
    of_options: Mapping[int, Belief]
    weight: float

    def __bool__(self) -> bool:
        return bool(self.by_column or self.of_options)

    def drawn(self, U: Array) -> Array:
        """Even points U (n, d) as points drawn from the beliefs; the same array if there are none."""
        if not self.by_column:
            return U
        X = np.array(U)
        for j, belief in self.by_column.items():
            X[:, j] = belief.quantiles(X[:, j])
        return X

    def peaked(self, U: Array) -> Array:
        """Points U (n, d) moved to where each belief is highest; columns without a belief stay."""
        X = np.array(U)
        for j, belief in (*self.by_column.items(), *self.of_options.items()):
            X[:, j] = belief.peak
        return X

    def log_density(self, X: Array) -> Array:
        """The logarithm (n,) of the density of draws from the beliefs, relative to even draws."""
        return sum((belief.log_density(X[:, j])[0] for j, belief in self.by_column.items()), np.zeros(len(X)))

    def log_preference(self, X: Array) -> tuple[Array, Array]:
        """The log density (n,) of the believed preferences, clipped to [-10, 10], and its gradients (n, d)."""
        total, gradient = np.zeros(len(X)), np.zeros(X.shape)
        for j, belief in (*self.by_column.items(), *self.of_options.items()):
            log, gradient[:, j] = belief.log_density(X[:, j])
            total += log
        within = np.abs(total) <= _MOST
        return np.clip(total, -_MOST, _MOST), np.where(within[:, None], gradient, 0.0)

    def lead(self, X: Array, Y: Array) -> bool:
        """Whether the best of the points X (n, d), by losses Y (n, m), are preferred to the others, or as much.

        Points with a missing loss do not count; without any others, nothing speaks against the beliefs.
        """
        told = ~np.isnan(Y).any(axis=1)
        if not told.any():
            return True
        preferred = self.log_preference(X[told])[0]
        return bool(preferred[Y[told].argmin(axis=0)].mean() >= preferred.mean())

    def credibility(self, X: Array, losses: Array) -> float:
        """How credible the beliefs are after losses (n,) at points X (n, d): from 1 to 0 if preferred points are the worse.

        If losses and preferences were independent, the rank correlation of n of them would be nearly normal with variance
        1 / (n - 1). The result is twice the probability that it is then more contrary to the beliefs than the observed
        one, and at most 1.
        """
        from scipy.special import ndtr
        from scipy.stats import spearmanr

        preferred = self.log_preference(X)[0]
        if not np.ptp(preferred) or not np.ptp(losses):
            return 1.0
        agreeing = float(spearmanr(preferred, -losses).statistic)
        return min(1.0, 2 * float(ndtr(agreeing * math.sqrt(len(losses) - 1))))
