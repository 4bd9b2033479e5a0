"""Gaussian process regression.

Z      (n, q)  features of the rows, see ``kernels.py``
y      (n,)    losses, warped to zero mean and unit variance
theta  (d+2,)  logarithms of d length scales, of the signal's variance s2 and of the noise's variance t2
K      (n, n)  s2 k + t2 I; L its lower Cholesky factor; a = K^-1 y
B      (n, q)  features in units of the length scales

Rasmussen, Williams: Gaussian Processes for Machine Learning. MIT Press 2006 ("RW").
Hvarfner, Hellsten, Nardi: Vanilla Bayesian Optimization Performs Great in High Dimensions. ICML 2024.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.kernels import Anchors, matern52, matern52_slope, squared_distances

_LOG_2PI = math.log(2 * math.pi)
_MANY = 256  # observations
_BAND = 32  # rows
_LEAST_VARIANCE = 1e-12  # of a prediction, in units of the signal's: the size of rounding errors


class Prior(NamedTuple):
    """Independent normal priors of theta, and the box in which it is optimised.

    Attributes:
        mean, sd: (d+2,) of theta itself, that is, of the logarithms.
        low, high: (d+2,) the box.
    """

    mean: Array
    sd: Array
    low: Array
    high: Array

    def with_noise(self, t2: float) -> Prior:
        """The same prior with the noise's variance fixed."""
        parts = [part.copy() for part in self]
        for part in (parts[0], parts[2], parts[3]):
            part[-1] = math.log(t2)
        return Prior(*parts)


def scaled_prior(d: int) -> Prior:
    """A prior whose length scales grow with the root of the dimension, so that distances in their units stay the same.

    The length scales' prior is that of Hvarfner et al. (2024, section 5), narrower: they take a log-normal with mode
    0.2 sqrt(d) and deviation sqrt(3), here it is a normal of the logarithm around 1.8 times that mode, with deviation 1.
    """
    length, signal, noise = math.log(0.2 * math.sqrt(max(d, 1))) + 0.6, 0.0, math.log(1e-3)
    return Prior(
        mean=np.array([length] * d + [signal, noise]),
        sd=np.array([1.0] * d + [0.7, 2.0]),
        low=np.log([0.02] * d + [0.05, 1e-6]),
        high=np.log([100.0] * d + [50.0, 1.0]),
    )


def negative_log_posterior(
    theta: Array, Z: Array, owner: Array, y: Array, prior: Prior, rooms: Array | None = None
) -> tuple[float, Array]:
    """-log p(y | theta) - log p(theta) up to a constant of the prior, and its gradient (d+2,).

    RW eqs. 5.8 and 5.9. The sum over pairs in the derivative by a length scale is taken feature by feature, as
    sum_ab S_ab (z_a - z_b)^2 = 2 (z^2 . S 1 - z . S z), so no tensor of distances is made.

    Args:
        rooms: (4, n, n) memory for intermediate results, for many calls: to get it takes as long as the arithmetic.
    """
    from scipy.linalg import lapack

    n, d = len(y), len(theta) - 2
    slope, k, W, spare = np.empty((4, n, n)) if rooms is None else rooms
    s2, t2 = np.exp(theta[d:])
    B = Z * np.exp(-theta[:d])[owner]
    matern52_slope(squared_distances(B, B, out=slope), out=(k, slope))
    k *= s2
    K = spare.T  # in LAPACK's memory order, so that it works in place
    K[:] = k
    spare.reshape(-1)[:: n + 1] += t2
    L, failed = lapack.dpotrf(K, lower=1, overwrite_a=1)
    if failed:  # rounding made it indefinite: the worst possible density
        return math.inf, np.zeros(d + 2)
    a, _ = lapack.dpotrs(L, y, lower=1)
    fit = y @ a / 2 + np.log(np.diagonal(L)).sum() + n * _LOG_2PI / 2
    inverse, _ = lapack.dpotri(L, lower=1, overwrite_c=1)
    np.add(inverse, inverse.T, out=W)  # the inverse, like the factor, is 0 above its diagonal
    W.reshape(-1)[:: n + 1] /= 2
    W -= np.multiply.outer(a, a, out=spare)  # dfit/dK = W / 2
    gradient = np.empty(d + 2)
    gradient[d] = np.vdot(W, k) / 2
    gradient[d + 1] = t2 * np.trace(W) / 2
    slope *= W
    slope *= s2
    pairs = (B * B * slope.sum(axis=1)[:, None]).sum(axis=0) - (B * (slope @ B)).sum(axis=0)
    gradient[:d] = -2 * np.bincount(owner, pairs, minlength=d)
    u = (theta - prior.mean) / prior.sd
    return float(fit + u @ u / 2), gradient + u / prior.sd


def fit(Z: Array, owner: Array, y: Array, prior: Prior, *, max_steps: int = 40) -> Array:
    """The most probable theta (d+2,), by L-BFGS from the prior's mean and from a start with shorter scales and more noise.

    The noisier start leads to the optimum that explains the data by noise, the other to the one that explains it by
    the signal; the better of the two is returned.
    """
    from scipy.optimize import minimize

    d = len(prior.mean) - 2
    noisy = prior.mean + np.array([-0.7] * d + [0.0, 4.0])
    rooms = np.empty((4, len(y), len(y)))
    best, least = np.clip(prior.mean, prior.low, prior.high), math.inf
    for start in (prior.mean, noisy):
        found = minimize(
            negative_log_posterior,
            np.clip(start, prior.low, prior.high),
            (Z, owner, y, prior, rooms),
            method="L-BFGS-B",
            jac=True,
            bounds=np.column_stack([prior.low, prior.high]),
            options={"maxiter": max_steps, "ftol": 1e-5, "gtol": 1e-3},
        )
        if found.fun < least:
            best, least = found.x, found.fun
    return np.asarray(best)


def log_density(Z: Array, owner: Array, y: Array, prior: Prior) -> Callable[[Array], float]:
    """The logarithm of the posterior density of theta up to a constant, -inf outside the box: for slice sampling.

    It is evaluated at hundreds of thetas for the same rows, so the squared differences of all pairs are computed once.
    """
    from scipy.linalg import lapack

    n, d = len(y), len(prior.mean) - 2
    above = np.triu_indices(n, 1)
    squares = np.zeros((d, len(above[0])))
    for feature, column in zip(Z.T, owner, strict=True):
        squares[column] += (feature[above[0]] - feature[above[1]]) ** 2

    def density(theta: Array) -> float:
        if (theta < prior.low).any() or (theta > prior.high).any():
            return -math.inf
        s2, t2 = np.exp(theta[d:])
        K = np.empty((n, n))
        K[above] = s2 * matern52(np.exp(-2 * theta[:d]) @ squares)
        K.flat[:: n + 1] = s2 + t2
        U, failed = lapack.dpotrf(K, lower=0, clean=0)
        if failed:
            return -math.inf
        v, u = lapack.dtrtrs(U, y, lower=0, trans=1)[0], (theta - prior.mean) / prior.sd
        return -float(v @ v / 2 + np.log(np.diagonal(U)).sum() + n * _LOG_2PI / 2 + u @ u / 2)

    return density


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """The posterior of the loss after n observations.

    Attributes:
        theta: (d+2,).
        scale: (q,) inverse length scale of each feature.
        B: (n, q).
        L: (n, n).
        a: (n,).
        y: (n,).
    """

    theta: Array
    scale: Array
    B: Array
    L: Array
    a: Array
    y: Array

    @staticmethod
    def of(theta: Array, Z: Array, owner: Array, y: Array) -> Posterior:
        """The posterior given observations. (RW algorithm 2.1) If rounding makes K indefinite, the noise is raised."""
        scale = np.exp(-theta[:-2])[owner]
        B = Z * scale
        s2, t2 = np.exp(theta[-2:])
        L = factor(_covariance(B, s2, t2))
        return Posterior(theta=theta, scale=scale, B=B, L=L, a=backward(L, forward(L, y)), y=y)

    @cached_property
    def _anchors(self) -> Anchors:
        return Anchors(self.B)

    def mean(self, Z: Array) -> Array:
        """Means (m,) of the loss at features (m, q). (RW eq. 2.25)"""
        k = math.exp(self.theta[-2]) * matern52(self._anchors.squared_distances(Z * self.scale))
        return np.asarray(k @ self.a)

    def mean_slopes(self, Z: Array) -> tuple[Array, Array]:
        """Means (m,) of the loss, and their gradients (m, q) by the features."""
        s2, A = math.exp(self.theta[-2]), Z * self.scale
        k, slope = matern52_slope(self._anchors.squared_distances(A))
        return s2 * k @ self.a, 2 * s2 * self._pulled(A, slope * self.a)

    def predict(self, Z: Array) -> tuple[Array, Array]:
        """Means and standard deviations (m,) of the loss without noise at features (m, q). (RW eqs. 2.25, 2.26)"""
        return self.predict_of(Z, self.a)

    def slopes(self, Z: Array) -> tuple[Array, Array, Array, Array]:
        """Means (m,), standard deviations (m,), and the gradients (m, q) of both by the features."""
        s2 = math.exp(self.theta[-2])
        A = Z * self.scale
        k, slope = matern52_slope(self._anchors.squared_distances(A))
        k *= s2
        slope *= s2
        v = forward(self.L, k.T)
        sd = standard_deviation(s2, np.einsum("ij,ij->j", v, v))
        # d k(z, z_i) / dz = 2 slope (z - z_i) in units of the length scales; var = s2 - k K^-1 k
        dmean = 2 * self._pulled(A, slope * self.a)
        dsd = -2 * self._pulled(A, slope * backward(self.L, v).T) / sd[:, None]
        return k @ self.a, sd, dmean, dsd

    def predict_of(self, Z: Array, weights: Array) -> tuple[Array, Array]:
        """As ``predict``, for several weights of the observations (n, S): means (m, S), standard deviations (m,)."""
        s2 = math.exp(self.theta[-2])
        r2 = self._anchors.squared_distances(Z * self.scale)
        k = matern52(r2, out=r2)
        k *= s2
        means = np.asarray(k @ weights)
        v = forward(self.L, k.T, overwrite=True)
        return means, standard_deviation(s2, np.einsum("ij,ij->j", v, v))

    def weighted(self, weights: Array) -> Array:
        """B times several weights (n, S) of the observations, (n, S q), as ``slopes_of`` needs it."""
        return np.asarray((weights[:, :, None] * self.B[:, None, :]).reshape(len(weights), -1))

    def slopes_of(self, Z: Array, weights: Array, weighted: Array) -> tuple[Array, Array, Array, Array]:
        """As ``slopes``, for several weights of the observations (n, S); see ``weighted``.

        Means (S, m), standard deviations (m,), and the gradients (S, m, q), (m, q) of both by the features.
        """
        s2 = math.exp(self.theta[-2])
        A = Z * self.scale
        k, slope = matern52_slope(self._anchors.squared_distances(A))
        k *= s2
        slope *= s2
        v = forward(self.L, k.T)
        sd = standard_deviation(s2, np.einsum("ij,ij->j", v, v))
        # All at once: many small products would take longer.
        drawn = (slope @ weighted).reshape(len(A), weights.shape[1], -1)
        towards = (slope @ weights)[:, :, None] * A[:, None, :] - drawn
        dmean = 2 * (towards * self.scale).transpose(1, 0, 2)
        dsd = -2 * self._pulled(A, slope * backward(self.L, v).T) / sd[:, None]
        return (k @ weights).T, sd, dmean, dsd

    def _pulled(self, A: Array, weights: Array) -> Array:
        """sum_i weights_mi (a_m - b_i), (m, q), in units of the features themselves."""
        return np.asarray((A * weights.sum(axis=1)[:, None] - weights @ self.B) * self.scale)

    @property
    def means(self) -> Array:
        """Means (n,) of the loss without noise at the observed rows: K a without the noise's part is y - t2 a."""
        return self.y - math.exp(self.theta[-1]) * self.a

    def covariance(self, Z: Array) -> Array:
        """The covariance (m, m) of the loss without noise at features (m, q). (RW eq. 2.24)"""
        s2 = math.exp(self.theta[-2])
        A = Z * self.scale
        v = forward(self.L, s2 * matern52(squared_distances(self.B, A)))
        return np.asarray(s2 * matern52(squared_distances(A, A)) - v.T @ v)

    def draw(self, Z: Array, rng: np.random.Generator) -> Array:
        """One joint sample (m,) of the loss without noise at features (m, q)."""
        C = self.covariance(Z)
        C.flat[:: len(C) + 1] += 1e-8 * math.exp(self.theta[-2])
        mean, _ = self.predict(Z)
        return np.asarray(mean + factor(C) @ rng.standard_normal(len(Z)))

    def extended(self, Z: Array, y: Array) -> Posterior:
        """The posterior after p more observations (p, q), (p,): the factor grows by p rows, in O(n^2 p)."""
        s2, t2 = np.exp(self.theta[-2:])
        A = Z * self.scale
        v = forward(self.L, s2 * matern52(squared_distances(self.B, A)))
        corner = s2 * matern52(squared_distances(A, A)) - v.T @ v
        corner.flat[:: len(y) + 1] += t2
        n, p = len(self.y), len(y)
        L = np.zeros((n + p, n + p), order="F")  # as LAPACK reads it: each solve would copy any other
        L[:n, :n], L[n:, :n], L[n:, n:] = self.L, v.T, factor(corner)
        y = np.concatenate([self.y, y])
        B = np.concatenate([self.B, A])
        return Posterior(theta=self.theta, scale=self.scale, B=B, L=L, a=backward(L, forward(L, y)), y=y)

    def fantasised(self, Z: Array) -> Posterior:
        """The posterior as if pending rows (p, q) had ended as expected: the uncertainty shrinks there, the means stay."""
        return self.extended(Z, self.predict(Z)[0]) if len(Z) else self


def standard_deviation(s2: float, explained: Array) -> Array:
    """The standard deviation of the loss without noise, if observations explain ``explained`` of its variance s2."""
    return np.sqrt(np.maximum(s2 - explained, _LEAST_VARIANCE * s2))


def _covariance(B: Array, s2: float, t2: float) -> Array:
    """K (n, n). With many observations only its lower triangle, in half the time.

    It is computed in bands of rows of the transpose, in LAPACK's memory order.
    """
    n = len(B)
    if n < _MANY:
        K = s2 * matern52(squared_distances(B, B))
    else:
        transposed = np.zeros((n, n))
        for at in range(0, n, _BAND):
            transposed[at : at + _BAND, at:] = s2 * matern52(squared_distances(B[at : at + _BAND], B[at:]))
        K = transposed.T
    diagonal = np.arange(n)
    K[diagonal, diagonal] += t2
    return K


def factor(K: Array) -> Array:
    """The lower Cholesky factor of K (n, n), or of K with as much added to its diagonal as it takes.

    Only the lower triangle of K is read.
    """
    from scipy.linalg import lapack

    jitter = 0.0
    while True:
        L, failed = lapack.dpotrf(K, lower=1, clean=1)
        if not failed:
            return np.asarray(L)
        more = max(10 * jitter, 1e-10 * float(np.trace(K)) / len(K))
        K = K + (more - jitter) * np.eye(len(K))
        jitter = more


def forward(L: Array, b: Array, *, overwrite: bool = False) -> Any:
    """L^-1 b for a lower triangular L. By LAPACK directly, since scipy's wrapper costs more than a small system.

    Args:
        overwrite: whether the result may take the memory of b, if that is in LAPACK's order.
    """
    from scipy.linalg import lapack

    if not len(L):  # LAPACK prints a complaint
        return b
    return lapack.dtrtrs(L, b, lower=1, overwrite_b=overwrite)[0]


def backward(L: Array, b: Array) -> Any:
    """L^-T b."""
    from scipy.linalg import lapack

    if not len(L):
        return b
    return lapack.dtrtrs(L, b, lower=1, trans=1)[0]
