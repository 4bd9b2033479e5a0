"""Differential evolution.

Storn, Price: Differential Evolution (J. Global Optimization 11, 1997) has mutation and crossover; Zhang, Sanderson: JADE
(IEEE Trans. Evol. Comput. 13, 2009) has several leaders and the adaptation; equations are JADE's.

X     (k, n)  the population, coordinates in [0, 1]
x     (n,)    a target: the member that the child competes with
F             scale of differences; mu_F the centre of its draws
CR            probability that a coordinate comes from the mutant; mu_CR its centre
"""

from __future__ import annotations

import numpy as np

from raytune_hpo.arrays import Array

_WIDTH = 0.1  # of the draws of F and CR
_LEAST_SCALE = 0.1  # smaller differences only repeat the target


def draw_rates(mu_F: float, mu_CR: float, rng: np.random.Generator) -> tuple[float, float]:
    """F from a Cauchy distribution, cut to [0.1, 1], and CR from a normal one, cut to [0, 1]: eqs. 7, 9."""
    F = mu_F + _WIDTH * rng.standard_cauchy()
    CR = mu_CR + _WIDTH * rng.standard_normal()
    return float(np.clip(F, _LEAST_SCALE, 1.0)), float(np.clip(CR, 0.0, 1.0))


def adapted(mu_F: float, mu_CR: float, F: float, CR: float, rate: float) -> tuple[float, float]:
    """The centres after a child of these rates was better than its target.

    Eqs. 8, 10 to 12, one child at a time; the weights F / mu_F replace the Lehmer mean, which favours large steps.
    """
    share = min(1.0, rate * F / mu_F)
    return mu_F + share * (F - mu_F), mu_CR + rate * (CR - mu_CR)


def mutant(
    X: Array, losses: Array, target: int, nominal: Array, F: float, best: int, rng: np.random.Generator
) -> Array:
    """A mutant (n,): one of the ``best`` lowest members plus a difference of two others (best/1, with JADE's leaders).

    Args:
        nominal: (n,) of bool: unordered columns. There the leader's value replaces the target's with probability F, and
            then, if the two others differ, the first one's replaces it with probability F.
    """
    x, leader = X[target], X[rng.choice(np.argsort(losses, kind="stable")[:best])]
    others = rng.permutation(len(X) - 1)[:2]
    first, second = X[others + (others >= target)]  # two different members, neither of which is the target
    led, varied = rng.random((2, len(x))) < F
    value = np.where(varied & (first != second), first, np.where(led, leader, x))
    v: Array = np.where(nominal, value, leader + F * (first - second))
    return v


def binomial_crossover(x: Array, v: Array, CR: float, rng: np.random.Generator) -> Array:
    """The binomial crossover (n,) of a target and a mutant; at least one coordinate is the mutant's: eq. 5."""
    taken = rng.random(len(x)) < CR
    taken[rng.integers(len(x))] = True
    child: Array = np.where(taken, v, x)
    return child


def moved_inside(v: Array, x: Array) -> Array:
    """A mutant inside [0, 1]: a coordinate outside is moved midway between its target and the bound."""
    inside: Array = np.where(v < 0, x / 2, np.where(v > 1, (1 + x) / 2, v))
    return inside
