"""Fantasies: what a Gaussian process would believe if running trials ended this way or that.

S  draws of how p running trials may end; without running trials there is one, the process itself
U  (n, S)  L^-1 Y, the observations made white: independent standard normals, if the process is right

What is drawn changes the means alone: doubt depends on where trials are, not on how they end, so the Cholesky factor is
common to all draws. (Snoek, Larochelle, Adams, NeurIPS 2012, section 3.2) And since what is yet to be observed is white
given what has been, a draw of how all running trials end together is a row of standard normals under the known part of U.
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
    """A Gaussian process after each of S ways in which running trials may end.

    Attributes:
        base: after one of them; the others share its factor.
        A: (n, S) the weights of the observations after each.
        Y: (n, S) the observations.
    """

    base: Posterior
    A: Array
    Y: Array

    @staticmethod
    def of(posterior: Posterior, Z: Array, normals: Array) -> Fantasies:
        """Jointly drawn at running rows, with the noise that their observations will have.

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
        """Means (S, n) of the loss without noise where it was observed or drawn."""
        return np.asarray((self.Y - math.exp(self.base.theta[-1]) * self.A).T)

    def predict(self, Z: Array) -> tuple[Array, Array]:
        """Means (S, m) and standard deviations (m,) at features (m, q)."""
        k, sd = self.base.covariances(Z)
        return (k @ self.A).T, sd

    def slopes(self, Z: Array) -> tuple[Array, Array, Array, Array]:
        """As ``predict``, and the gradients (S, m, q) and (m, q) of both."""
        return self.base.slopes_of(Z, self.A, self._weighted)

    @cached_property
    def _weighted(self) -> Array:
        return self.base.weighted(self.A)
