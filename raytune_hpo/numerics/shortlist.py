"""A shortlist: rows found by one search, with a Gaussian process that is updated as trials end and others begin.

The process has learned from n trials. Since then f more have ended, and p run. Given the n, these e = f + p are a small
system, so that one more of them costs O(n (n + m)), and the Cholesky factor of the n is never computed again:

V  (n, m)  L^-1 K, the covariances of the n with m listed rows, in front of their Cholesky factor
C  (e, e)  covariances of the e rows, given the n; M its lower Cholesky factor with noise, M M' = C + t2 I
R  (e, m)  those of the e with the listed rows, given the n; G = M^-1 R
u  (e,)    M^-1 (y - mean), the e observations made white; for running trials, standard normal draws (see ``fantasies``)

Rasmussen, Williams: Gaussian Processes for Machine Learning. MIT Press 2006, section 2.2 (conditioning in two steps).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.gaussian import Posterior, backward, factor, forward, standard_deviation
from raytune_hpo.numerics.kernels import Anchors, matern52, squared_distances


class Outlook(NamedTuple):
    """The predictions for the listed rows after S possible outcomes of the running trials.

    Attributes:
        means: (S, m) of the loss without noise.
        sd: (m,) its standard deviations.
        ended: (f,) means at the trials that have ended since, without the outcomes of running ones.
    """

    means: Array
    sd: Array
    ended: Array


class _Later(NamedTuple):
    """A later row: its column of V (n,), its mean, and its covariances (m,) with the listed rows, given the n."""

    v: Array
    mean: float
    r: Array


class Shortlist:
    """A shortlist of rows under one Gaussian process.

    The values of a later row are kept. They are computed for each row alone, so that they are the same to the last bit
    whichever other rows come with it.

    Args:
        posterior: given the n observations.
        Z: (m, q) features of the listed rows.
    """

    def __init__(self, posterior: Posterior, Z: Array) -> None:
        self._posterior = posterior
        self._s2, self._t2 = np.exp(posterior.theta[-2:]).tolist()
        self._A = Z * posterior.scale
        self._anchors, self._listed = Anchors(posterior.B), Anchors(self._A)
        k = self._s2 * matern52(self._anchors.squared_distances(self._A))
        self._V = forward(posterior.L, k.T)
        self._mean = k @ posterior.a
        self._explained = np.einsum("ij,ij->j", self._V, self._V)
        self._later: dict[bytes, _Later] = {}

    def after(self, ended: Array, y: Array, running: Array, normals: Array) -> Outlook:
        """The predictions once these trials have ended, and others run.

        Args:
            ended: (f, q) features.
            y: (f,) their losses as the process sees them.
            running: (p, q) features.
            normals: (S, p) standard normal variables, S >= 1, for the outcomes of the running trials.
        """
        f, num = len(ended), len(ended) + len(running)
        if not num:
            return Outlook(np.repeat(self._mean[None, :], len(normals), axis=0), self._sd(self._explained), y)
        E = np.concatenate([ended, running]) * self._posterior.scale
        later = [self._row(row) for row in E]
        V = np.stack([row.v for row in later])
        C = self._s2 * matern52(squared_distances(E, E)) - V @ V.T
        C.flat[:: num + 1] += self._t2
        M = factor(C)
        G = forward(M, np.stack([row.r for row in later]))
        white = forward(M[:f, :f], y - [row.mean for row in later[:f]]) if f else y
        means = self._mean + white @ G[:f] + normals @ G[f:]
        at_ended = y - self._t2 * backward(M[:f, :f], white) if f else y
        return Outlook(means, self._sd(self._explained + np.einsum("ij,ij->j", G, G)), at_ended)

    def _sd(self, explained: Array) -> Array:
        return standard_deviation(self._s2, explained)

    def _row(self, row: Array) -> _Later:
        key = row.tobytes()
        if key not in self._later:
            k = self._s2 * matern52(self._anchors.squared_distances(row[None, :]))[0]
            v = forward(self._posterior.L, k)
            r = self._s2 * matern52(self._listed.squared_distances(row[None, :]))[0] - v @ self._V
            self._later[key] = _Later(v, float(k @ self._posterior.a), r)
        return self._later[key]
