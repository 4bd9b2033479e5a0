"""Paired tests: which of several candidates, measured on the same inputs, are behind the best.

Conover: Practical Nonparametric Statistics, 3rd edition, 1999, section 5.8: the Friedman test and the comparisons after it,
as in Birattari, Stuetzle, Paquete, Varrentrapp: A Racing Algorithm for Configuring Metaheuristics. GECCO 2002.

V  (k, n)  the loss of each candidate on each input
"""

from __future__ import annotations

import math

import numpy as np

from raytune_hpo.arrays import Array


def behind_best(V: Array, alpha: float) -> Array:
    """Which candidates (k,) are significantly worse than the best of them.

    Three or more are ranked on each input: if a Friedman test finds a difference, candidates whose sum of ranks is too
    far above the lowest are behind. Two are compared by a paired t-test. In both tests the difficulty of an input, which
    all share, cancels out. With fewer than two inputs no candidate is behind.

    Args:
        alpha: the significance level: how often a test may find a difference if there is none.
    """
    if len(V) < 2 or V.shape[1] < 2:
        return np.zeros(len(V), dtype=bool)
    return _by_t_test(V, alpha) if len(V) == 2 else _by_ranks(V, alpha)


def _by_t_test(V: Array, alpha: float) -> Array:
    from scipy.stats import t

    num_inputs = V.shape[1]
    difference = V[0] / 2 - V[1] / 2  # that of two of 1e308 is infinite
    # Divided by a power of two, which changes no digits: squares of 1e200, and of 1e-200, are no floats.
    difference = np.ldexp(difference, -np.frexp(np.abs(difference).max())[1])
    mean, error = float(difference.mean()), float(difference.std(ddof=1)) / math.sqrt(num_inputs)
    limit = error * float(t.isf(alpha / 2, num_inputs - 1))
    return np.array([mean > limit, -mean > limit])


def _by_ranks(V: Array, alpha: float) -> Array:
    from scipy.stats import chi2, rankdata, t

    k, n = V.shape
    ranks = rankdata(V, axis=0)
    sums, squares = ranks.sum(axis=1), float((ranks**2).sum())
    spread = squares - n * k * (k + 1) ** 2 / 4  # 0 where all are equal on every input
    if spread <= 0:
        return np.zeros(k, dtype=bool)
    friedman = (k - 1) * float(((sums - n * (k + 1) / 2) ** 2).sum()) / spread
    if chi2.sf(friedman, k - 1) >= alpha:
        return np.zeros(k, dtype=bool)
    freedom = (n - 1) * (k - 1)
    left = max(0.0, n * squares - float((sums**2).sum()))  # the variation that the candidates do not explain
    limit = float(t.isf(alpha / 2, freedom)) * math.sqrt(2 * left / freedom)
    behind: Array = sums - sums.min() > limit
    return behind
