"""Predictions of Gaussian processes for fixed rows, updated as observations arrive one by one.

A  (m, q)  the rows, in units of the length scales of one theta
V  (n, m)  L^-1 K, with K (n, m) the covariances of n observations with the rows
e  (m,)    the variance that the observations explain, the sum of squares of each column of V

Forward substitution goes from the first observation to the last, so two posteriors that begin with the same observations
share the results for these: the next observation costs one column of the kernel and one row of V, O(n m), while a
prediction from scratch costs O(n^2 m). (Rasmussen, Williams: Gaussian Processes for Machine Learning, alg. 2.1)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.gaussian import Posterior, forward, standard_deviation
from raytune_hpo.numerics.kernels import matern52, squared_distances

_AT_ONCE = 2**15  # covariances that are computed at the same time: they stay in a processor's cache
_MOST_KEPT = 2**26  # numbers in all V together, half a GiB
_SPARE = 32  # observations for which V has room before it is copied


class CachedPredictions:
    """Predictions of Gaussian processes for rows that are the same in every call."""

    def __init__(self) -> None:
        self._kept: dict[bytes, _Substituted] = {}

    def predict(self, posteriors: Sequence[Posterior], Z: Array) -> list[tuple[Array, Array]]:
        """The prediction of each posterior for the rows: means and standard deviations (m,), as ``Posterior.predict``.

        Unless they are too large, the V of these posteriors are kept for the next call.

        Args:
            Z: (m, q) the features of the rows.
        """
        before, self._kept = self._kept, {}
        if sum(len(posterior.y) for posterior in posteriors) * len(Z) > _MOST_KEPT:
            return [_Substituted(Z, posterior).predict(posterior) for posterior in posteriors]
        for posterior in posteriors:
            key = posterior.theta.tobytes()
            self._kept[key] = before.get(key) or _Substituted(Z, posterior)
        return [self._kept[posterior.theta.tobytes()].predict(posterior) for posterior in posteriors]


class _Substituted:
    """V and e of one theta, for the observations of the newest posterior."""

    def __init__(self, Z: Array, posterior: Posterior) -> None:
        self._A = Z * posterior.scale
        self._s2 = math.exp(posterior.theta[-2])
        self._B, self._diagonal = posterior.B[:0], posterior.a[:0]
        self._V = np.empty((0, len(Z)))
        self._explained = np.zeros(len(Z))

    def predict(self, posterior: Posterior) -> tuple[Array, Array]:
        self._keep(self._num_known(posterior))
        if len(self._B) < len(posterior.y):
            self._extend(posterior)
        mean = forward(posterior.L, posterior.y) @ self._V[: len(posterior.y)]
        return mean, standard_deviation(self._s2, self._explained)

    def _num_known(self, posterior: Posterior) -> int:
        """How many first observations this posterior and the last one share, with equal Cholesky factors."""
        n = min(len(self._B), len(posterior.B))
        same = (self._B[:n] == posterior.B[:n]).all(axis=1)
        same &= np.isclose(self._diagonal[:n], np.diagonal(posterior.L)[:n], rtol=1e-9)  # up to rounding
        return n if same.all() else int(same.argmin())

    def _keep(self, n: int) -> None:
        """Drop all but the first n observations."""
        if n < len(self._B):
            self._B = self._B[:n]
            self._explained = np.einsum("ij,ij->j", self._V[:n], self._V[:n])

    def _extend(self, posterior: Posterior) -> None:
        """Add the new observations."""
        n, L, V = len(self._B), posterior.L, self._roomy(len(posterior.y))
        new = slice(n, len(posterior.y))
        step = max(1, _AT_ONCE // max(1, len(posterior.y) - n))
        for start in range(0, len(self._A), step):
            part = slice(start, start + step)
            K = self._s2 * matern52(squared_distances(posterior.B[new], self._A[part]))
            V[new, part] = forward(L[new, new], K - L[new, :n] @ V[:n, part])
            self._explained[part] += np.einsum("ij,ij->j", V[new, part], V[new, part])
        self._B, self._diagonal = posterior.B, np.diagonal(posterior.L)

    def _roomy(self, n: int) -> Array:
        """V with room for n observations."""
        if len(self._V) < n:
            grown = np.empty((n + _SPARE, len(self._A)))
            grown[: len(self._B)] = self._V[: len(self._B)]
            self._V = grown
        return self._V
