"""Acquisition functions: how much a point is worth trying, given a normal predictive distribution of its loss.

m (n,)  means of the loss            b  the best loss so far; less is better
s (n,)  its standard deviations, >= 0    u = (b - m) / s, the improvement at the mean, in standard deviations
phi, Phi  density and distribution function of the standard normal; h(u) = phi(u) + u Phi(u)

All values are (n,), and larger is better. A point without uncertainty (s = 0) improves by b - m, or not at all. ``VALUES``
has the functions by name, ``ACQUISITIONS`` the same with their derivatives, for s > 0.

Jones, Schonlau, Welch: Efficient Global Optimization of Expensive Black-Box Functions. J. Global Optimization 13, 1998.
Ament, Daulton, Eriksson, Balandat, Bakshy: Unexpected Improvements to Expected Improvement. NeurIPS 2023.
Huang, Allen, Notz, Zeng: Global Optimization of Stochastic Black-Box Systems via Sequential Kriging Meta-Models. J. Global
Optimization 34, 2006.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.fantasies import Fantasies
from raytune_hpo.numerics.kernels import Embedding
from raytune_hpo.numerics.normal import log_density

_LOG_SQRT_HALF_PI = math.log(math.pi / 2) / 2
_LONGEST = 1e150  # its square is a float
_AT_ONCE = 256  # rows
_FAR = -1e6  # below, 1 - erfcx(...) has lost all but a few of its digits, and its first term is exact


def expected_improvement(mean: Array, sd: Array, best: float) -> Array:
    """E[max(b - y, 0)], in units of the loss. (Jones et al. 1998, eq. 15)"""
    from scipy.special import ndtr

    gain, u = _improvement(mean, sd, best)
    certain = sd == 0
    u = np.where(certain, 0.0, u)
    return np.where(certain, np.maximum(gain, 0.0), np.maximum(gain * ndtr(u) + sd * _density(u), 0.0))


def log_expected_improvement(mean: Array, sd: Array, best: float) -> Array:
    """The logarithm of the expected improvement, exact even if the improvement itself is too small for a float.

    -inf if there is no uncertainty and no gain. (Ament et al. 2023, eq. 8: log s + log h(u))
    """
    gain, u = _improvement(mean, sd, best)
    with np.errstate(divide="ignore"):
        certain = np.log(np.maximum(gain, 0.0))
        return np.where(sd == 0, certain, np.log(sd) + log_h(np.where(sd == 0, 0.0, u)))


def probability_of_improvement(mean: Array, sd: Array, best: float) -> Array:
    """P(y < b). (Kushner, J. Basic Engineering 86, 1964)"""
    from scipy.special import ndtr

    gain, u = _improvement(mean, sd, best)
    return np.where(sd == 0, gain > 0, ndtr(u))


def log_probability_of_improvement(mean: Array, sd: Array, best: float) -> Array:
    """log P(y < b), which still distinguishes points if the probability is too small for a float."""
    from scipy.special import log_ndtr

    gain, u = _improvement(mean, sd, best)
    return np.where(sd == 0, np.where(gain > 0, 0.0, -np.inf), log_ndtr(u))


def upper_confidence_bound(mean: Array, sd: Array, best: float = math.nan, *, kappa: float = 1.0) -> Array:
    """-m + kappa s: the lower confidence bound of the loss, negated. ``best`` is not used.

    (Srinivas, Krause, Kakade, Seeger: Gaussian Process Optimization in the Bandit Setting. ICML 2010, eq. 6)
    """
    return kappa * sd - mean


def log_h(u: Array) -> Array:
    """log(phi(u) + u Phi(u)) for any u, without cancellation. (Ament et al. 2023, eq. 9)"""
    from scipy.special import erfcx, ndtr

    u = np.asarray(u, dtype=float)
    log, is_near = np.empty_like(u), u > -1.0
    near = u[is_near]
    log[is_near] = np.log(_density(near) + near * ndtr(near))
    if is_near.all():
        return log
    left = u[~is_near]
    middle = np.maximum(left, _FAR)
    rest = np.log(erfcx(-middle / math.sqrt(2)) * -middle) + _LOG_SQRT_HALF_PI
    falling = log_density(middle) + np.log(-np.expm1(rest))
    if (is_far := left <= _FAR).any():
        far = left[is_far]
        falling[is_far] = log_density(far) - 2 * np.log(-far)
    log[~is_near] = falling
    return log


def _improvement(mean: Array, sd: Array, best: float) -> tuple[Array, Array]:
    """The improvement at the mean, b - m, and u; u is meaningless where s = 0."""
    gain = best - mean
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return gain, np.clip(gain / sd, -_LONGEST, _LONGEST)


def _density(u: Array) -> Array:
    return np.exp(log_density(u))


# ------------------------------------------------------------------------------------------------ with derivatives


class ValueAndSlopes(NamedTuple):
    """Values (n,) of an acquisition function, and their derivatives by mean and standard deviation (n,)."""

    value: Array
    by_mean: Array
    by_sd: Array


Differentiable: TypeAlias = Callable[[Array, Array, float], ValueAndSlopes]


def log_ei(mean: Array, sd: Array, best: float) -> ValueAndSlopes:
    """The logarithm of the expected improvement. (Ament et al. 2023, eq. 8; h' = Phi)"""
    from scipy.special import log_ndtr

    u = (best - mean) / sd
    log = log_h(u)
    return ValueAndSlopes(
        np.log(sd) + log,
        -np.exp(log_ndtr(u) - log) / sd,
        np.exp(log_density(u) - log) / sd,  # 1 - u Phi / h = phi / h
    )


def log_pi(mean: Array, sd: Array, best: float) -> ValueAndSlopes:
    """The logarithm of the probability of improvement."""
    from scipy.special import log_ndtr

    u = (best - mean) / sd
    log = log_ndtr(u)
    ratio = np.exp(log_density(u) - log)
    return ValueAndSlopes(log, -ratio / sd, -ratio * u / sd)


def ucb(mean: Array, sd: Array, best: float) -> ValueAndSlopes:
    """The lower confidence bound of the loss, negated, with kappa = 1."""
    return ValueAndSlopes(sd - mean, -np.ones_like(mean), np.ones_like(mean))


def exponential(log: Differentiable) -> Differentiable:
    """The acquisition function, with derivatives, given its logarithm."""

    def of_log(mean: Array, sd: Array, best: float) -> ValueAndSlopes:
        value, by_mean, by_sd = log(mean, sd, best)
        value = np.exp(value)
        return ValueAndSlopes(value, value * by_mean, value * by_sd)

    return of_log


ACQUISITIONS: Mapping[str, Differentiable] = {
    "log_ei": log_ei,
    "ei": exponential(log_ei),
    "pi": exponential(log_pi),
    "ucb": ucb,
}
# The same without derivatives, which are most of the work when a long list is evaluated.
VALUES: Mapping[str, Callable[[Array, Array, float], Array]] = {
    "log_ei": log_expected_improvement,
    "ei": expected_improvement,
    "pi": probability_of_improvement,
    "ucb": upper_confidence_bound,
}


class Acquisition(Protocol):
    """An acquisition function of features."""

    def values(self, Z: Array) -> Array:
        """Values (n,) at features (n, q)."""
        ...

    def values_and_gradients(self, Z: Array) -> tuple[Array, Array]:
        """Values (n,), and their gradients (n, q)."""
        ...


def values_at(acquisition: Acquisition, embedding: Embedding, X: Array) -> Array:
    """Values (n,) at rows X (n, d), computed in blocks, so that intermediate results need little memory."""
    parts = [X[at : at + _AT_ONCE] for at in range(0, max(len(X), 1), _AT_ONCE)]
    return np.concatenate([acquisition.values(embedding(part)) for part in parts])


class Predictor(Protocol):
    """The interface of posteriors of the loss for acquisition functions. Shapes as in ``Posterior``."""

    @property
    def means(self) -> Array:
        """Means (n,) where the loss was observed."""
        ...

    def predict(self, Z: Array) -> tuple[Array, Array]:
        """Means and standard deviations (m,) at features (m, q)."""
        ...

    def slopes(self, Z: Array) -> tuple[Array, Array, Array, Array]:
        """Means and standard deviations (m,), and the gradients (m, q) of both."""
        ...

    def draw(self, Z: Array, rng: np.random.Generator) -> Array:
        """One joint sample (m,)."""
        ...

    def fantasised(self, Z: Array) -> Predictor:
        """The posterior as if pending rows (p, q) had ended with their expected losses."""
        ...


@dataclass(frozen=True)
class MeanAcquisition:
    """The mean of an acquisition function over several posteriors, each with its own prediction and its own best loss.

    Attributes:
        posteriors: of equal weight.
        bests: the best loss by each posterior.
        name: of the acquisition function.
    """

    posteriors: Sequence[Predictor]
    bests: Sequence[float]
    name: str

    def values(self, Z: Array) -> Array:
        """Values (n,) at features (n, q)."""
        return self.values_of([posterior.predict(Z) for posterior in self.posteriors])

    def values_of(self, predictions: Sequence[tuple[Array, Array]]) -> Array:
        """Values (n,) given the predictions of each posterior: means and standard deviations (n,)."""
        value = VALUES[self.name]
        return _mean(self.name, np.stack([value(*p, best) for p, best in zip(predictions, self.bests, strict=True)]))

    def values_and_gradients(self, Z: Array) -> tuple[Array, Array]:
        """Values (n,) at features (n, q), and their gradients (n, q)."""
        values, gradients = [], []
        for posterior, best in zip(self.posteriors, self.bests, strict=True):
            mean, sd, dmean, dsd = posterior.slopes(Z)
            value, by_mean, by_sd = ACQUISITIONS[self.name](mean, sd, best)
            values.append(value)
            gradients.append(by_mean[:, None] * dmean + by_sd[:, None] * dsd)
        V = np.stack(values)
        value = _mean(self.name, V)
        return value, np.einsum("sm,smq->mq", _shares(self.name, V, value), np.stack(gradients))


@dataclass(frozen=True)
class FantasyAcquisition:
    """The mean of an acquisition function over fantasies of the running trials.

    The best loss is that of trials that have ended: fantasies do not lower it.

    Attributes:
        fantasies: of the loss.
        best: the best posterior mean among the trials that have ended.
        name: of the acquisition function.
        noise: the variance of the noise; values are lower where it is most of the uncertainty, see
            ``log_augmentation``. 0 for no such reduction.
    """

    fantasies: Fantasies
    best: float
    name: str
    noise: float = 0.0

    def values(self, Z: Array) -> Array:
        """Values (n,) at features (n, q)."""
        return averaged(self.name, *self.fantasies.predict(Z), self.best, self.noise)

    def values_and_gradients(self, Z: Array) -> tuple[Array, Array]:
        """Values (n,) at features (n, q), and their gradients (n, q)."""
        means, sd, dmeans, dsd = self.fantasies.slopes(Z)
        V, by_mean, by_sd = ACQUISITIONS[self.name](means, sd, self.best)
        value = _mean(self.name, V)
        shares = _shares(self.name, V, value)
        by_mean, by_sd = shares * by_mean, (shares * by_sd).sum(axis=0)
        if self.noise and self.name == "log_ei":
            log, slope = log_augmentation(sd, self.noise)
            value, by_sd = value + log, by_sd + slope
        return value, np.einsum("sn,snq->nq", by_mean, dmeans) + by_sd[:, None] * dsd


def averaged(name: str, means: Array, sd: Array, best: float, noise: float) -> Array:
    """The mean (n,) of an acquisition function over S predictions that differ only in their means (S, n).

    Args:
        noise: see ``FantasyAcquisition``.
    """
    value = _mean(name, VALUES[name](means, np.broadcast_to(sd, means.shape), best))
    return value + log_augmentation(sd, noise)[0] if noise and name == "log_ei" else value


def log_augmentation(sd: Array, noise: float) -> tuple[Array, Array]:
    """The logarithm (n,) of 1 - t / sqrt(s^2 + t^2), with t^2 the variance of the noise, and its derivative by s.

    The smaller s is relative to the noise, the less another observation tells. (Huang et al. 2006, eq. 12)
    """
    t = math.sqrt(noise)
    r = np.hypot(sd, t)
    return 2 * np.log(sd) - np.log(r) - np.log(r + t), 2 / sd - sd / r**2 - sd / (r * (r + t))


def _mean(name: str, V: Array) -> Array:
    """The mean (n,) of values (s, n); for logarithms, the logarithm of the mean of the exponentials."""
    if not name.startswith("log"):
        return np.asarray(V.mean(axis=0))
    top = V.max(axis=0)
    return np.asarray(top + np.log(np.exp(V - top).mean(axis=0)))


def _shares(name: str, V: Array, mean: Array) -> Array:
    """The weights (s, n) of the gradients of values (s, n) in the gradient of their mean (n,)."""
    return np.exp(V - mean) / len(V) if name.startswith("log") else np.full(V.shape, 1 / len(V))
