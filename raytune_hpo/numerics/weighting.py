"""Weights of an acquisition function: by beliefs about where good points lie, and by the probability of success.

a(x) pi(x)^e P(x), with beliefs pi (Hvarfner et al.: piBO. ICLR 2022, eq. 6) and the probability P that a trial does not
fail (Gardner et al.: Bayesian Optimization with Inequality Constraints. ICML 2014, eq. 4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.acquisition import values_at
from raytune_hpo.numerics.beliefs import Beliefs
from raytune_hpo.numerics.front_acquisition import FrontAcquisition
from raytune_hpo.numerics.kernels import Embedding


@dataclass(frozen=True)
class Success:
    """The probability that trials succeed.

    Attributes:
        embedding: of rows.
        acquisition: with a bound on a model of failures, and no goals.
    """

    embedding: Embedding
    acquisition: FrontAcquisition

    def log(self, X: Array) -> Array:
        """log P (n,) at rows X (n, d)."""
        return values_at(self.acquisition, self.embedding, X)

    def log_and_gradients(self, X: Array) -> tuple[Array, Array]:
        """log P (n,), and its gradients (n, d)."""
        log, gradient = self.acquisition.values_and_gradients(self.embedding(X))
        return log, self.embedding.by_column(X, gradient)


@dataclass(frozen=True)
class Weighting:
    """The weighting of an acquisition function.

    Attributes:
        beliefs: pi.
        exponent: e, which falls with the number of trials.
        is_log: whether the function is a logarithm, or in units of a loss: then the logarithm of the weight is added to it.
        success: P; None if no trial has failed.
    """

    beliefs: Beliefs
    exponent: float
    is_log: bool
    success: Success | None = None

    def __call__(self, value: Array, X: Array) -> Array:
        """Values (n,) at points X (n, d), given those of the function itself."""
        log = np.zeros(len(X))
        if self.beliefs:
            log = log + self.exponent * self.beliefs.log_preference(X)[0]
        if self.success is not None:
            log = log + self.success.log(X)
        return value + log if self.is_log else value * np.exp(log)

    def sloped(self, value: Array, gradient: Array, X: Array) -> tuple[Array, Array]:
        """Weighted values (n,) and gradients (n, d), given those of the function itself."""
        log, slope = np.zeros(len(X)), np.zeros(X.shape)
        if self.beliefs:
            preference, by_column = self.beliefs.log_preference(X)
            log, slope = log + self.exponent * preference, slope + self.exponent * by_column
        if self.success is not None:
            of_success, by_column = self.success.log_and_gradients(X)
            log, slope = log + of_success, slope + by_column
        if self.is_log:
            return value + log, gradient + slope
        factor = np.exp(log)
        return value * factor, (gradient + value[:, None] * slope) * factor[:, None]
