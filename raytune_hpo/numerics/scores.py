"""Acquisition functions that can be climbed: their values, and how these change with the mean and the deviation.

m, s, b, u as in ``acquisition.py``; h(u) = phi(u) + u Phi(u)

Scores (m,) are larger where more is promised. s > 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.acquisition import (
    expected_improvement,
    log_expected_improvement,
    log_h,
    probability_of_improvement,
    upper_confidence_bound,
)
from raytune_hpo.numerics.gaussian import Posterior

_LOG_SQRT_2PI = math.log(2 * math.pi) / 2


class Score(NamedTuple):
    """Scores (m,) and their derivatives by mean and standard deviation (m,)."""

    value: Array
    by_mean: Array
    by_sd: Array


Scored: TypeAlias = Callable[[Array, Array, float], Score]


def log_ei(mean: Array, sd: Array, best: float) -> Score:
    """The logarithm of the expected improvement. (Ament et al. 2023, eq. 8; h' = Phi)"""
    from scipy.special import log_ndtr

    u = (best - mean) / sd
    log = log_h(u)
    return Score(
        np.log(sd) + log,
        -np.exp(log_ndtr(u) - log) / sd,
        np.exp(-(u**2) / 2 - _LOG_SQRT_2PI - log) / sd,  # 1 - u Phi / h = phi / h
    )


def log_pi(mean: Array, sd: Array, best: float) -> Score:
    """The logarithm of the probability of improvement."""
    from scipy.special import log_ndtr

    u = (best - mean) / sd
    log = log_ndtr(u)
    ratio = np.exp(-(u**2) / 2 - _LOG_SQRT_2PI - log)
    return Score(log, -ratio / sd, -ratio * u / sd)


def ucb(mean: Array, sd: Array, best: float) -> Score:
    """The loss of a hopeful person, negated, with kappa = 1."""
    return Score(sd - mean, -np.ones_like(mean), np.ones_like(mean))


def exponential(log: Scored) -> Scored:
    """The score whose logarithm is given."""

    def score(mean: Array, sd: Array, best: float) -> Score:
        value, by_mean, by_sd = log(mean, sd, best)
        value = np.exp(value)
        return Score(value, value * by_mean, value * by_sd)

    return score


SCORES: Mapping[str, Scored] = {
    "log_ei": log_ei,
    "ei": exponential(log_ei),
    "pi": exponential(log_pi),
    "ucb": ucb,
}
# The same without derivatives, which is most of the work where a long list is looked through.
VALUES: Mapping[str, Callable[[Array, Array, float], Array]] = {
    "log_ei": log_expected_improvement,
    "ei": expected_improvement,
    "pi": probability_of_improvement,
    "ucb": upper_confidence_bound,
}


@dataclass(frozen=True)
class Promise:
    """What several beliefs promise together: the mean of their scores, each with a prediction of its own.

    Attributes:
        beliefs: posteriors of equal weight.
        bests: the best loss according to each.
        acquisition: the name of the acquisition function.
    """

    beliefs: Sequence[Posterior]
    bests: Sequence[float]
    acquisition: str

    def height(self, Z: Array) -> Array:
        """Scores (m,) at features (m, q)."""
        return self.of([belief.predict(Z) for belief in self.beliefs])

    def of(self, predictions: Sequence[tuple[Array, Array]]) -> Array:
        """Scores (m,) where each belief says so: means and standard deviations (m,)."""
        value = VALUES[self.acquisition]
        return self._mean(np.stack([value(*p, best) for p, best in zip(predictions, self.bests, strict=True)]))

    def slope(self, Z: Array) -> tuple[Array, Array]:
        """Scores (m,) at features (m, q), and their gradients (m, q)."""
        values, gradients = [], []
        for belief, best in zip(self.beliefs, self.bests, strict=True):
            mean, sd, dmean, dsd = belief.slopes(Z)
            value, by_mean, by_sd = SCORES[self.acquisition](mean, sd, best)
            values.append(value)
            gradients.append(by_mean[:, None] * dmean + by_sd[:, None] * dsd)
        V = np.stack(values)
        together = self._mean(V)
        shares = np.exp(V - together) / len(V) if self._is_log else np.full(V.shape, 1 / len(V))
        return together, np.einsum("sm,smq->mq", shares, np.stack(gradients))

    @property
    def _is_log(self) -> bool:
        """Whether scores are logarithms, so that the mean is taken of what they are logarithms of."""
        return self.acquisition.startswith("log")

    def _mean(self, V: Array) -> Array:
        """Of scores (s, m), (m,)."""
        if not self._is_log:
            return np.asarray(V.mean(axis=0))
        top = V.max(axis=0)
        return np.asarray(top + np.log(np.exp(V - top).mean(axis=0)))


def undominated(V: Array) -> Array:
    """Which rows (n,) no other row surpasses in one column without falling behind in another; V (n, m), larger is better."""
    no_worse = np.all(V[None, :, :] >= V[:, None, :], axis=2)
    better = np.any(V[None, :, :] > V[:, None, :], axis=2)
    return np.asarray(~np.any(no_worse & better, axis=1))
