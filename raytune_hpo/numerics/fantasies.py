"""Fantasies: posteriors of a Gaussian process for possible outcomes of the running trials.

S  draws of the outcomes of p running trials; without running trials there is one, the process itself
U  (n, S)  L^-1 Y, the observations made white: independent standard normals, if the process is right

The draws change only the means: the variance depends on where trials are, not on how they end, so all draws share the
Cholesky factor. (Snoek, Larochelle, Adams, NeurIPS 2012, section 3.2) And since future observations, made white, are
independent of the past ones, a joint draw of all outcomes is a column of standard normals below the known part of U.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.gaussian import Posterior, backward, forward


@dataclass(frozen=True)
class Fantasies:
    """The posteriors of a Gaussian process after each of S possible outcomes of the running trials.

    Attributes:
        base: the posterior after one of them; the others share its Cholesky factor.
        A: (n, S) the weights of the observations after each outcome.
        Y: (n, S) the observations.
    """

    base: Posterior
    A: Array
    Y: Array

    @staticmethod
    def of(posterior: Posterior, Z: Array, normals: Array) -> Fantasies:
        """Fantasies drawn jointly at the running rows, with the noise of their observations.

        Args:
            Z: (p, q) features of the rows.
            normals: (S, p) standard normal variables.
        """
        if not len(Z):
            return Fantasies(posterior, posterior.a[:, None], posterior.y[:, None])
        base, n = posterior.fantasised(Z), len(posterior.y)
        known = np.repeat(forward(posterior.L, posterior.y)[:, None], len(normals), axis=1)
        U = np.vstack([known, normals.T])
        Y = np.vstack([np.repeat(posterior.y[:, None], len(normals), axis=1), base.L[n:] @ U])
        return Fantasies(base, backward(base.L, U), Y)

    @property
    def means(self) -> Array:
        """Means (S, n) of the loss without noise at the rows that were observed or drawn."""
        return np.asarray((self.Y - math.exp(self.base.theta[-1]) * self.A).T)

    def predict(self, Z: Array) -> tuple[Array, Array]:
        """Means (S, m) and standard deviations (m,) at features (m, q)."""
        means, sd = self.base.predict_of(Z, self.A)
        return means.T, sd

    def slopes(self, Z: Array) -> tuple[Array, Array, Array, Array]:
        """As ``predict``, and the gradients (S, m, q) and (m, q) of both."""
        return self.base.slopes_of(Z, self.A, self._weighted)

    @cached_property
    def _weighted(self) -> Array:
        return self.base.weighted(self.A)
