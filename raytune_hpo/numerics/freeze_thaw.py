"""Freeze-thaw: one model of many learning curves, those that may be continued and those not yet begun.

N curves of at most T points; Z (N, q) features of their configurations, see ``kernels.py``
t, y   (N, T)   steps in units of the last one, and losses; NaN where a curve has fewer points
f      (N,)     asymptotes of the curves: f ~ GP(m, K_x), and y_n ~ N(f_n 1, K_n), independent given f
K_n    (T, T)   a2 (beta / (t + t' + beta))^alpha + noise on the diagonal: a mixture of exponential decays
lam_n = 1' K_n^-1 1;  g_n = 1' K_n^-1 (y_n - m);  z_n = g_n / lam_n, a sufficient statistic of the curve for f_n - m, with
                 variance 1 / lam_n
theta  (d+5,)   logarithms of d length scales, of the variance of f, a2, alpha, beta and noise

The cost is N^3 + N T^3 instead of (N T)^3.

Swersky, Snoek, Adams: Freeze-Thaw Bayesian Optimization. arXiv 1406.3896, 2014, section 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.gaussian import Prior, forward, scaled_prior
from raytune_hpo.numerics.kernels import matern52, matern52_slope, squared_distances

_LOG_2PI = math.log(2 * math.pi)
_NUM_OF_CURVES = 4  # hyperparameters: a2, alpha, beta, noise
_DIFFERENCE = 1e-4  # step of the finite differences by these
_LEAST = 1e-10  # lower bound of variances, also added to diagonals


class CurveData(NamedTuple):
    """Curves, with the features of their configurations."""

    Z: Array
    owner: Array
    t: Array
    y: Array


class _Decays(NamedTuple):
    """The statistics of the curves alone, given hyperparameters.

    Attributes:
        L: (N, T, T) Cholesky factors of K_n, with ones on the diagonal where there is no point.
        ones, values: (N, T) K_n^-1 1 and K_n^-1 y_n.
        lam: (N,); z: (N,) with m = 0.
        log_density: of all curves under a flat f: the part that does not depend on K_x.
    """

    L: Array
    ones: Array
    values: Array
    lam: Array
    z: Array
    log_density: float


def curve_prior(d: int) -> Prior:
    """The prior of theta: for length scales and the variance of f as for any loss.

    Curves are expected to fall within a tenth of their length, by about as much as their ends differ.
    """
    of_f = scaled_prior(d)
    mean = np.log([1.0, 1.0, 0.1, 1e-3])
    low, high = np.log([1e-3, 0.1, 1e-3, 1e-6]), np.log([1e3, 10.0, 10.0, 1.0])
    sd = np.array([1.0, 0.7, 1.5, 2.0])
    parts = zip((of_f.mean, of_f.sd, of_f.low, of_f.high), (mean, sd, low, high), strict=True)
    return Prior(*[np.concatenate([part[:-1], more]) for part, more in parts])


def decay(theta: Array, s: Array) -> Array:
    """Covariances of the decaying part of curves at sums of two steps, s = t + t'. (Swersky et al. 2014, eq. 6)"""
    a2, alpha, beta, _ = np.exp(theta[-_NUM_OF_CURVES:])
    return np.asarray(a2 * (beta / (s + beta)) ** alpha)


def _decays(theta: Array, data: CurveData) -> _Decays:
    has = ~np.isnan(data.y)
    t, y = np.where(has, data.t, 0.0), np.where(has, data.y, 0.0)
    both = has[:, :, None] & has[:, None, :]
    K = np.where(both, decay(theta, t[:, :, None] + t[:, None, :]), 0.0)
    diagonal = np.arange(K.shape[1])
    K[:, diagonal, diagonal] += np.where(has, math.exp(theta[-1]) + _LEAST, 1.0)
    L = np.linalg.cholesky(K)
    sides = np.stack([has.astype(float), y], axis=2)
    solved = np.linalg.solve(K, sides)
    ones, values = solved[:, :, 0] * has, solved[:, :, 1] * has
    lam = ones.sum(axis=1)
    z = values.sum(axis=1) / lam
    logs = np.log(L[:, diagonal, diagonal]).sum()
    left = (y * values).sum() - (lam * z * z).sum()
    constant = has.sum() * _LOG_2PI - len(y) * _LOG_2PI + np.log(lam).sum()
    return _Decays(L, ones, values, lam, z, float(-left / 2 - logs - constant / 2))


def negative_log_posterior(theta: Array, data: CurveData, prior: Prior) -> tuple[float, Array]:
    """-log p(y | theta) - log p(theta) up to a constant of the prior, and its gradient.

    The last four components of the gradient are finite differences.
    """
    value, gradient = _value_and_gradient(theta, data)
    for j in range(len(theta) - _NUM_OF_CURVES, len(theta)):
        moved = theta.copy()
        moved[j] += _DIFFERENCE
        gradient[j] = (_value_and_gradient(moved, data)[0] - value) / _DIFFERENCE
    u = (theta - prior.mean) / prior.sd
    return value + float(u @ u) / 2, gradient + u / prior.sd


def _value_and_gradient(theta: Array, data: CurveData) -> tuple[float, Array]:
    """-log p(y | theta), and its gradient without the last four components.

    Given the curves' hyperparameters, the curves are equivalent to observations z of f, with noise of variance 1 / lam:
    log p(y) = log p(z) + ``log_density``. So the gradient is that of a regression. (Rasmussen, Williams 2006, eq. 5.9)
    """
    from scipy.linalg import lapack

    d = len(theta) - 1 - _NUM_OF_CURVES
    decays = _decays(theta, data)
    B = data.Z * np.exp(-theta[:d])[data.owner]
    k, slope = matern52_slope(squared_distances(B, B))
    s2 = math.exp(theta[d])
    S = s2 * k
    n = len(S)
    S.flat[:: n + 1] += 1 / decays.lam + _LEAST
    L, failed = lapack.dpotrf(S, lower=1, clean=1)
    if failed:  # rounding made it indefinite: the worst possible density
        return math.inf, np.zeros(len(theta))
    inverse, _ = lapack.dpotri(L, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    z = decays.z - _mean(inverse, decays.z)
    a = inverse @ z
    value = float(z @ a / 2 + np.log(np.diagonal(L)).sum() + n * _LOG_2PI / 2 - decays.log_density)
    W = inverse - np.outer(a, a)
    gradient = np.zeros(len(theta))
    gradient[d] = s2 * np.vdot(W, k) / 2
    slope *= s2 * W
    pairs = (B * B * slope.sum(axis=1)[:, None]).sum(axis=0) - (B * (slope @ B)).sum(axis=0)
    gradient[:d] = -2 * np.bincount(data.owner, pairs, minlength=d)
    return value, gradient


def _mean(inverse: Array, z: Array) -> float:
    """The m that makes observations z with this inverse covariance most likely: generalised least squares."""
    weights = inverse.sum(axis=0)
    return float(weights @ z / weights.sum())


def fit(data: CurveData, prior: Prior, *, max_steps: int = 30) -> Array:
    """The most probable theta, by L-BFGS from the prior's mean."""
    from scipy.optimize import minimize

    found = minimize(
        negative_log_posterior,
        prior.mean,
        (data, prior),
        method="L-BFGS-B",
        jac=True,
        bounds=np.column_stack([prior.low, prior.high]),
        options={"maxiter": max_steps, "ftol": 1e-4, "gtol": 1e-2},
    )
    return np.asarray(found.x)


@dataclass(frozen=True, kw_only=True)
class FreezeThaw:
    """The posterior of curves.

    Attributes:
        theta: (d+5,).
        data: the observed curves.
        decays: the statistics of the curves alone.
        mean: m.
        factor: (N, N) the Cholesky factor of K_x + diag(1 / lam).
        weights: (N,) of the observed curves in the mean of a new one.
        ends, variances: (N,) means and variances of f.
    """

    theta: Array
    data: CurveData
    decays: _Decays
    mean: float
    factor: Array
    weights: Array
    ends: Array
    variances: Array

    @classmethod
    def of(cls, theta: Array, data: CurveData) -> FreezeThaw:
        """The posterior. (Swersky et al. 2014, eqs. 15 to 18, with C = K_x - K_x (K_x + diag(1 / lam))^-1 K_x)"""
        from scipy.linalg import cho_solve

        decays = _decays(theta, data)
        K = _of_places(theta, data.owner, data.Z, data.Z)
        S = K.copy()
        S.flat[:: len(S) + 1] += 1 / decays.lam + _LEAST
        L = np.linalg.cholesky(S)
        mean = _mean(cho_solve((L, True), np.eye(len(S))), decays.z)
        weights = cho_solve((L, True), decays.z - mean)
        v = forward(L, K)
        variances = np.maximum(np.diagonal(K) - np.einsum("ij,ij->j", v, v), _LEAST)
        return cls(
            theta=theta,
            data=data,
            decays=decays,
            mean=mean,
            factor=L,
            weights=weights,
            ends=mean + K @ weights,
            variances=variances,
        )

    def continued(self, rows: Array, t: Array) -> tuple[Array, Array]:
        """Means and standard deviations (k,) of some curves without noise at later steps t (k,). (eq. 19)"""
        has = ~np.isnan(self.data.y[rows])
        k = np.where(has, decay(self.theta, np.where(has, self.data.t[rows], 0.0) + t[:, None]), 0.0)
        w = 1 - (k * self.decays.ones[rows]).sum(axis=1)
        mean = (k * self.decays.values[rows]).sum(axis=1) + w * self.ends[rows]
        v = np.linalg.solve(self.decays.L[rows], k[:, :, None])[:, :, 0]
        variance = decay(self.theta, 2 * t) - (v * v).sum(axis=1) + w * w * self.variances[rows]
        return mean, np.sqrt(np.maximum(variance, _LEAST))

    def begun(self, Z: Array, t: Array) -> tuple[Array, Array]:
        """Means and standard deviations (k,) of new curves with features Z (k, q) at steps t (k,). (eq. 21)"""
        k = _of_places(self.theta, self.data.owner, Z, self.data.Z)
        v = forward(self.factor, k.T)
        s2 = math.exp(self.theta[-1 - _NUM_OF_CURVES])
        variance = s2 - np.einsum("ij,ij->j", v, v) + decay(self.theta, 2 * t)
        return self.mean + k @ self.weights, np.sqrt(np.maximum(variance, _LEAST))


def _of_places(theta: Array, owner: Array, A: Array, B: Array) -> Array:
    """Covariances of f at features A (n, q) and B (m, q)."""
    d = len(theta) - 1 - _NUM_OF_CURVES
    scale = np.exp(-theta[:d])[owner]
    return np.asarray(math.exp(theta[d]) * matern52(squared_distances(A * scale, B * scale)))
