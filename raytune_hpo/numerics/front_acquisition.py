"""The acquisition function of several goals and constraints: expected improvement times the probability of feasibility.

log a(x) = log mean_s I_s(x) + sum_c log P(c holds at x)

I_s is the expected improvement after fantasy s, and P the probability that a metric, with a normal predictive
distribution, keeps its bound. (Gardner et al.: Bayesian Optimization with Inequality Constraints. ICML 2014) While
nothing feasible is known there is nothing to improve on, and only the probabilities count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.acquisition import Predictor
from raytune_hpo.numerics.boxes import Boxes
from raytune_hpo.numerics.fantasies import Fantasies
from raytune_hpo.numerics.hypervolume_improvement import (
    ImprovementAndSlopes,
    log_improvement,
    log_improvement_and_slopes,
)
from raytune_hpo.numerics.normal import log_density
from raytune_hpo.numerics.scalarisation import log_chebyshev_improvement, log_chebyshev_improvement_and_slopes


class Improvement(Protocol):
    """The expected improvement at points whose losses (n, m) have independent normal predictive distributions."""

    def log(self, mean: Array, sd: Array) -> Array:
        """Its logarithm (n,)."""
        ...

    def log_and_slopes(self, mean: Array, sd: Array) -> ImprovementAndSlopes:
        """The same with its derivatives (n, m)."""
        ...


class HypervolumeImprovement(NamedTuple):
    """The expected hypervolume improvement, by the boxes that a front leaves open."""

    boxes: Boxes

    def log(self, mean: Array, sd: Array) -> Array:
        """Its logarithm (n,)."""
        return log_improvement(mean, sd, self.boxes)

    def log_and_slopes(self, mean: Array, sd: Array) -> ImprovementAndSlopes:
        """The same with its derivatives (n, m)."""
        return log_improvement_and_slopes(mean, sd, self.boxes)


class ChebyshevImprovement(NamedTuple):
    """The expected improvement of a weighted Chebyshev function of the losses.

    Attributes:
        low, extent: (m,) losses are scaled by (y - low) / extent.
        weights, best, normals: see ``log_chebyshev_improvement_and_slopes``.
    """

    low: Array
    extent: Array
    weights: Array
    best: float
    normals: Array

    def log(self, mean: Array, sd: Array) -> Array:
        """Its logarithm (n,)."""
        return log_chebyshev_improvement(
            (mean - self.low) / self.extent, sd / self.extent, self.weights, self.best, self.normals
        )

    def log_and_slopes(self, mean: Array, sd: Array) -> ImprovementAndSlopes:
        """The same with its derivatives (n, m)."""
        value, by_mean, by_sd = log_chebyshev_improvement_and_slopes(
            (mean - self.low) / self.extent, sd / self.extent, self.weights, self.best, self.normals
        )
        return ImprovementAndSlopes(value, by_mean / self.extent, by_sd / self.extent)


class Bound(NamedTuple):
    """A metric that must be at most ``limit``.

    Attributes:
        predictor: the posterior of the metric.
        least: the lowest probability of keeping the bound, even if the model is sure that it is broken: above 0 if a
            bound may be broken by accident.
    """

    predictor: Predictor
    limit: float
    least: float = 0.0

    def log(self, Z: Array) -> Array:
        """log P (n,) at features (n, q)."""
        from scipy.special import log_ndtr, ndtr

        mean, sd = self.predictor.predict(Z)
        u = (self.limit - mean) / sd
        return np.asarray(np.log(self.least + (1 - self.least) * ndtr(u)) if self.least else log_ndtr(u))

    def log_and_gradients(self, Z: Array) -> tuple[Array, Array]:
        """log P (n,), and its gradients (n, q)."""
        from scipy.special import log_ndtr

        mean, sd, dmean, dsd = self.predictor.slopes(Z)
        u = (self.limit - mean) / sd
        log = log_ndtr(u)
        value = np.logaddexp(math.log(self.least), math.log1p(-self.least) + log) if self.least else log
        steepness = (1 - self.least) * np.exp(log_density(u) - value) / sd
        return value, -steepness[:, None] * (dmean + u[:, None] * dsd)


@dataclass(frozen=True)
class FrontAcquisition:
    """The logarithm of the acquisition function.

    Attributes:
        goals: the fantasies of the m losses; each has the same S draws.
        improvements: (S) the improvement after each fantasy; empty while nothing feasible is known.
        bounds: the bounds that have to be kept.
    """

    goals: Sequence[Fantasies]
    improvements: Sequence[Improvement]
    bounds: Sequence[Bound]

    def values(self, Z: Array) -> Array:
        """Values (n,) at features (n, q)."""
        value = np.zeros(len(Z))
        for bound in self.bounds:
            value = value + bound.log(Z)
        if not self.improvements:
            return value
        predictions = [goal.predict(Z) for goal in self.goals]
        sd = np.column_stack([sd for _, sd in predictions])
        means = np.stack([mean for mean, _ in predictions], axis=2)  # (S, n, m)
        return np.asarray(value + _log_mean(np.stack([one.log(m, sd) for one, m in self._each(means)])))

    def values_and_gradients(self, Z: Array) -> tuple[Array, Array]:
        """Values (n,), and their gradients (n, q)."""
        value, gradient = np.zeros(len(Z)), np.zeros(Z.shape)
        for bound in self.bounds:
            log, of_bound = bound.log_and_gradients(Z)
            value, gradient = value + log, gradient + of_bound
        if not self.improvements:
            return value, gradient
        slopes = [goal.slopes(Z) for goal in self.goals]
        sd = np.column_stack([sd for _, sd, _, _ in slopes])
        means = np.stack([mean for mean, _, _, _ in slopes], axis=2)
        found = [one.log_and_slopes(mean, sd) for one, mean in self._each(means)]
        logs = np.stack([one.value for one in found])
        mean_log = _log_mean(logs)
        with np.errstate(invalid="ignore"):
            shares = np.nan_to_num(np.exp(logs - mean_log)) / len(logs)
        by_mean = shares[:, :, None] * np.stack([one.by_mean for one in found])
        by_sd = (shares[:, :, None] * np.stack([one.by_sd for one in found])).sum(axis=0)
        for j, (_, _, dmean, dsd) in enumerate(slopes):
            gradient = gradient + np.einsum("sn,snq->nq", by_mean[:, :, j], dmean) + by_sd[:, j, None] * dsd
        return value + mean_log, gradient

    def _each(self, means: Array) -> list[tuple[Improvement, Array]]:
        return list(zip(self.improvements, means, strict=True))


def _log_mean(logs: Array) -> Array:
    """The log of the mean over S of the exponentials of logs (S, n); -inf where all are."""
    top = logs.max(axis=0)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(top + np.log(np.exp(logs - top).mean(axis=0)))
