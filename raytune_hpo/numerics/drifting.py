"""Gaussian process regression of a function that drifts with time.

t      (n,)    times
Z      (n, q)  features of the rows, see ``kernels.py``
y      (n,)    observations, with zero mean and unit variance
theta  (d+3,)  logarithms of d length scales, of the signal's variance s2, of the noise's variance t2, and of the rate of
               forgetting r
K      (n, n)  s2 exp(-|z - z'|^2 / 2) (1 - e)^(|t - t'| / 2) + t2 I, in units of the length scales; (1 - e)^(1/2) = exp(-r)
L, a           the lower Cholesky factor of K, and K^-1 y
B      (n, q)  features in units of the length scales

Bogunovic, Scarlett, Cevher: Time-Varying Gaussian Process Bandit Optimization. AISTATS 2016 (the kernel in time).
Rasmussen, Williams: Gaussian Processes for Machine Learning. MIT Press 2006 ("RW").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics import gaussian
from raytune_hpo.numerics.gaussian import Prior, backward, factor, forward, standard_deviation
from raytune_hpo.numerics.kernels import squared_distances

_LOG_2PI = math.log(2 * math.pi)


class Rows(NamedTuple):
    """The times and features at which the function was observed, or is to be predicted."""

    t: Array
    Z: Array

    def and_also(self, other: Rows) -> Rows:
        return Rows(np.concatenate([self.t, other.t]), np.concatenate([self.Z, other.Z]))


def prior_of(d: int) -> Prior:
    """The prior of ``gaussian.scaled_prior`` for length scales and signal, with more noise, and a slow drift.

    The data are differences between two noisy scores, so most of their variance may be noise. The rate's mode is e = 0.1:
    the correlation over ten segments is a little more than half.
    """
    scaled = gaussian.scaled_prior(d)
    mean, sd = scaled.mean.copy(), scaled.sd.copy()
    mean[-1], sd[-1] = math.log(0.05), 1.5
    rate = math.log(-math.log(1 - 0.1) / 2)
    return Prior(
        mean=np.append(mean, rate),
        sd=np.append(sd, 1.0),
        low=np.append(scaled.low, math.log(1e-4)),
        high=np.append(scaled.high, math.log(2.0)),
    )


def _correlations(theta: Array, owner: Array, rows: Rows, others: Rows) -> tuple[Array, Array]:
    """K without variances and noise, (n, m), and |t - t'|."""
    scale = np.exp(-theta[:-3])[owner]
    apart = np.abs(rows.t[:, None] - others.t[None, :])
    distances = squared_distances(rows.Z * scale, others.Z * scale)
    return np.exp(-distances / 2 - math.exp(theta[-1]) * apart), apart


def negative_log_posterior(theta: Array, rows: Rows, owner: Array, y: Array, prior: Prior) -> tuple[float, Array]:
    """-log p(y | theta) - log p(theta) up to a constant of the prior, and its gradient (d+3,). (RW eqs. 5.8 and 5.9)"""
    n, d = len(y), len(theta) - 3
    s2, t2, rate = np.exp(theta[-3:])
    k, apart = _correlations(theta, owner, rows, rows)
    k *= s2
    K = k.copy()
    K.flat[:: n + 1] += t2
    L = factor(K)
    a = backward(L, forward(L, y))
    fit = y @ a / 2 + np.log(np.diagonal(L)).sum() + n * _LOG_2PI / 2
    W = backward(L, forward(L, np.eye(n))) - np.outer(a, a)  # dfit/dK = W / 2
    S = W * k
    B = rows.Z * np.exp(-theta[:d])[owner]
    # sum_ab S_ab (b_a - b_b)^2 / 2, feature by feature
    pairs = (B * B * S.sum(axis=1)[:, None]).sum(axis=0) - (B * (S @ B)).sum(axis=0)
    gradient = np.empty(d + 3)
    gradient[:d] = np.bincount(owner, pairs, minlength=d)
    gradient[d] = S.sum() / 2
    gradient[d + 1] = t2 * np.trace(W) / 2
    gradient[d + 2] = -rate * (S * apart).sum() / 2
    u = (theta - prior.mean) / prior.sd
    return float(fit + u @ u / 2), gradient + u / prior.sd


def fit(rows: Rows, owner: Array, y: Array, prior: Prior, *, max_steps: int = 30) -> Array:
    """The most probable theta (d+3,), by L-BFGS from the prior's mean."""
    from scipy.optimize import minimize

    found = minimize(
        negative_log_posterior,
        prior.mean,
        (rows, owner, y, prior),
        method="L-BFGS-B",
        jac=True,
        bounds=np.column_stack([prior.low, prior.high]),
        options={"maxiter": max_steps, "ftol": 1e-5, "gtol": 1e-3},
    )
    return np.asarray(found.x)


@dataclass(frozen=True, kw_only=True)
class DriftingPosterior:
    """The posterior of the function after n observations.

    Attributes:
        theta: (d+3,).
        owner: (q,) the length scale of each feature.
        y: (n,).
        L: (n, n).
        a: (n,).
    """

    theta: Array
    owner: Array
    rows: Rows
    y: Array
    L: Array
    a: Array

    @staticmethod
    def of(theta: Array, owner: Array, rows: Rows, y: Array) -> DriftingPosterior:
        """The posterior given observations. (RW algorithm 2.1)"""
        k, _ = _correlations(theta, owner, rows, rows)
        K = math.exp(theta[-3]) * k
        K.flat[:: len(y) + 1] += math.exp(theta[-2])
        L = factor(K)
        return DriftingPosterior(theta=theta, owner=owner, rows=rows, y=y, L=L, a=backward(L, forward(L, y)))

    def predict(self, rows: Rows) -> tuple[Array, Array]:
        """Means and standard deviations (m,) without noise. (RW eqs. 2.25, 2.26)"""
        s2 = math.exp(self.theta[-3])
        k = s2 * _correlations(self.theta, self.owner, rows, self.rows)[0]
        v = forward(self.L, k.T)
        return np.asarray(k @ self.a), standard_deviation(s2, np.einsum("ij,ij->j", v, v))

    def contrast(self, rows: Rows, base: Rows, weight: float = 1.0) -> tuple[Array, Array]:
        """Means and standard deviations (m,) of f(row) - weight f(base), without noise. (RW eqs. 2.25, 2.26)

        Args:
            base: a single row.
        """
        s2 = math.exp(self.theta[-3])
        k = s2 * _correlations(self.theta, self.owner, rows, self.rows)[0]
        k -= weight * s2 * _correlations(self.theta, self.owner, base, self.rows)[0]
        v = forward(self.L, k.T)
        between = _correlations(self.theta, self.owner, rows, base)[0][:, 0]
        prior = s2 * (1.0 + weight**2 - 2.0 * weight * between)
        variance = np.maximum(prior - np.einsum("ij,ij->j", v, v), 1e-12 * s2)
        return np.asarray(k @ self.a), np.sqrt(variance)

    def fantasised(self, rows: Rows) -> DriftingPosterior:
        """The posterior as if pending rows had ended as expected: the uncertainty shrinks there, the means stay."""
        if not len(rows.t):
            return self
        y = np.concatenate([self.y, self.predict(rows)[0]])
        return DriftingPosterior.of(self.theta, self.owner, self.rows.and_also(rows), y)
