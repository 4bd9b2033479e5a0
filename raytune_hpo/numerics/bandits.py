"""Multi-armed bandits: choose among arms by their rewards.

k  arms      t  trials that were told, each of one arm
r  (t,)      rewards, larger is better           a (t,)  the arm of each trial
g  (k,)      gains: sums of rewards              p (k,)  probabilities of the arms, with sum 1

Cho et al.: Basic Enhancement Strategies When Using Bayesian Optimization for Hyperparameter Tuning of Deep Neural
Networks. IEEE Access 8, 2020 (the strategies). Hoffman, Brochu, de Freitas: Portfolio Allocation for Bayesian
Optimization. UAI 2011 (GP-Hedge).
"""

from __future__ import annotations

import math

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.transforms import error_rate, may_be_errors

_LEAST_ERROR = 1e-5
_LEAST_EPSILON = 0.1


def softmax(g: Array, eta: float) -> Array:
    """p proportional to exp(eta g). (Hoffman et al. 2011, section 3)"""
    weights = np.exp(eta * (g - g.max()))
    return np.asarray(weights / weights.sum())


def greedy(means: Array, epsilon: float) -> Array:
    """p of epsilon-greedy: the best mean with probability 1 - epsilon, any arm with epsilon.

    Arms without a mean (NaN) count as best. Arms with equal means share the probability.
    """
    means = np.where(np.isnan(means), np.inf, means)
    best = means == means.max()
    return np.asarray((1 - epsilon) * best / best.sum() + epsilon / len(means))


def falling_epsilon(t: int, k: int) -> float:
    """max(0.1, 1 - 0.1 floor(t / 5k)): 1 at first, and 0.1 less for every 5 k turns."""
    return max(_LEAST_EPSILON, 1 - 0.1 * (t // (5 * k)))


def epsilon_of_hours(hours: float) -> float:
    """max(0.1, 1 / sqrt(h + 1)), with h the hours spent in trials."""
    return max(_LEAST_EPSILON, 1 / math.sqrt(hours + 1))


def sums(r: Array, a: Array, k: int) -> Array:
    """g (k,): the sum of each arm's rewards."""
    return np.bincount(a, weights=r, minlength=k)


def means(r: Array, a: Array, k: int) -> Array:
    """The mean reward of each arm (k,); NaN for an arm without rewards."""
    counts = np.bincount(a, minlength=k)
    return np.where(counts > 0, sums(r, a, k) / np.maximum(counts, 1), np.nan)


def survivors(r: Array, a: Array, k: int) -> Array:
    """The arms (s,) that sequential knock-out has left: after each round of 10 trials an arm, the worst is eliminated.

    The worst has the lowest mean reward in the round. At least two arms stay.
    """
    alive, start = np.arange(k), 0
    while len(alive) > 2 and start + 10 * len(alive) <= len(r):
        end = start + 10 * len(alive)
        brought = means(r[start:end], a[start:end], k)[alive]
        alive = np.delete(alive, int(np.nanargmin(np.where(np.isnan(brought), np.inf, brought))))
        start = end
    return alive


def goodness(y: Array, told: Array) -> Array:
    """Losses y (n,) as rewards in [0, 1], given the losses (m,) that were told, m >= 1.

    If the told ones are error rates, rewards are accuracies, 1 - y, with predictions outside the range of rates clipped.
    For losses in other units a reward is the share of the told ones that are worse, with half of the equal ones. A loss
    that is NaN, of a trial that would fail, has the reward 0.
    """
    scale = error_rate(told)
    if may_be_errors(scale) and (scale <= 1).all():
        shift = float((scale - told)[0])  # 1 for an accuracy that is maximised
        return np.nan_to_num(1 - np.clip(y + shift, 0.0, 1.0))
    ordered = np.sort(told)
    better, upto = np.searchsorted(ordered, y, side="left"), np.searchsorted(ordered, y, side="right")
    return np.where(np.isnan(y), 0.0, 1 - (better + upto) / (2 * len(told)))


def log_goodness(r: Array) -> Array:
    """|log10(1 - r)|, which separates good rewards."""
    return np.asarray(np.abs(np.log10(np.clip(1 - r, _LEAST_ERROR, 1 - _LEAST_ERROR))))
