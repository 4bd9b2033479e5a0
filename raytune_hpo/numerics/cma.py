"""Covariance matrix adaptation (CMA-ES).

Hansen: The CMA Evolution Strategy: A Tutorial (arXiv:1604.00772, 2016); equation numbers are his. Points that were not
drawn from the newest distribution are injected as in Hansen: Injecting External Solutions Into CMA-ES (arXiv:1110.4181,
2011).

X        (k, n)  points
losses   (k,)    minimised; infinite where a point failed
m        (n,)    mean of the search distribution
sigma            step size
a        (n,)    factors by which margins stretch the axes (``numerics/margin.py``); ones otherwise
C        (n, n)  covariance; B its eigenvectors in columns, D (n,) the roots of its eigenvalues
Y        (k, n)  steps: X = m + sigma a Y, with Y of covariance C
w        (k,)    weights by rank, the best first; the negative ones make C smaller
p_sigma  (n,)    evolution path that steers the step size, p_c (n,) the one that shapes C
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from raytune_hpo.arrays import Array

_MOST_UNEVEN = 1e14  # condition number of C above which it is numerically useless
_LARGEST_STEP = 1.0  # of log sigma in one generation, Hansen 2011, delta_sigma^max


class Constants(NamedTuple):
    """The strategy parameters of n dimensions and k points a generation: table 1, eqs. 49 to 58."""

    w: Array
    mu_eff: float
    c_sigma: float
    d_sigma: float
    c_c: float
    c_1: float
    c_mu: float
    expected_length: float  # of a normal vector


@dataclass(frozen=True, eq=False)
class Gaussian:
    """The search distribution and its evolution paths."""

    m: Array
    sigma: float
    a: Array
    C: Array
    B: Array
    D: Array
    p_sigma: Array
    p_c: Array
    generation: int = 0

    @property
    def deviations(self) -> Array:
        """The standard deviation along each axis, (n,)."""
        deviations: Array = self.sigma * self.a * np.sqrt(np.diag(self.C))
        return deviations


def default_size(n: int) -> int:
    """The default number of points in a generation: eq. 48."""
    return 4 + int(3 * np.log(max(n, 1)))


def begin(mean: Array, sigma: float) -> Gaussian:
    """The initial distribution: standard deviation sigma along all axes, around a mean (n,)."""
    n = len(mean)
    one, zero = np.ones(n), np.zeros(n)
    return Gaussian(np.array(mean), sigma, one, np.eye(n), np.eye(n), one, zero, zero)


def sample(g: Gaussian, k: int, rng: np.random.Generator) -> Array:
    """k points (k, n): eqs. 38 to 40."""
    X: Array = g.m + g.sigma * g.a * ((rng.standard_normal((k, len(g.m))) * g.D) @ g.B.T)
    return X


def update(g: Gaussian, X: Array, losses: Array, foreign: Array) -> Gaussian:
    """The distribution of the next generation.

    Args:
        X: (k, n), k >= 2, as they were drawn or as they were repaired.
        foreign: (k,) of bool: which points were not drawn from ``g``. Their steps are shortened if improbably long.
    """
    n = len(g.m)
    s = constants(n, len(X))
    Y = _shortened(g, (X - g.m) / (g.sigma * g.a), foreign)
    pull = by_rank(np.maximum(s.w, 0.0), losses)
    step = pull @ Y  # eq. 41
    if foreign.any():
        step = step * _clip(np.sqrt(2 * n) + 2, np.sqrt(s.mu_eff) * _length(g, step))
    whitened = (step @ g.B / g.D) @ g.B.T  # C^(-1/2) times the step
    p_sigma = (1 - s.c_sigma) * g.p_sigma + np.sqrt(s.c_sigma * (2 - s.c_sigma) * s.mu_eff) * whitened  # 43
    length = float(np.linalg.norm(p_sigma))
    grow = s.c_sigma / s.d_sigma * (length / s.expected_length - 1)  # eq. 44
    settled = 1 - (1 - s.c_sigma) ** (2 * (g.generation + 1))
    h = float(length < (1.4 + 2 / (n + 1)) * s.expected_length * np.sqrt(settled))
    p_c = (1 - s.c_c) * g.p_c + h * np.sqrt(s.c_c * (2 - s.c_c) * s.mu_eff) * step  # eq. 45
    w = by_rank(s.w, losses)
    lengths = np.maximum(_length(g, Y), 1e-12)
    w_kept = np.where(w >= 0, w, w * n / np.maximum(lengths**2, 1e-12))  # eq. 46
    old = 1 + s.c_1 * (1 - h) * s.c_c * (2 - s.c_c) - s.c_1 - s.c_mu * w.sum()
    C = old * g.C + s.c_1 * np.outer(p_c, p_c) + s.c_mu * (Y.T * w_kept) @ Y  # eq. 47
    new = replace(g, m=g.m + g.sigma * g.a * step, p_sigma=p_sigma, p_c=p_c, generation=g.generation + 1)
    return _decomposed(new, C, g.sigma * float(np.exp(min(_LARGEST_STEP, grow))))


def is_degenerate(g: Gaussian, tolerance: float) -> bool:
    """Whether the search has converged: all deviations, without margins, are below the tolerance, or C is numerically
    singular."""
    if len(g.m) == 0:
        return False
    return bool(g.sigma * g.D.max() < tolerance or g.D.max() ** 2 > _MOST_UNEVEN * g.D.min() ** 2)


def by_rank(w: Array, losses: Array) -> Array:
    """The weights (k,) for losses (k,) in any order; equal losses share theirs."""
    _, rank, counts = np.unique(losses, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    sums = np.add.reduceat(w, ends - counts)
    shared: Array = (sums / counts)[rank]
    return shared


@lru_cache(maxsize=256)
def constants(n: int, k: int) -> Constants:
    """The strategy parameters, see ``Constants``."""
    n = max(n, 1)
    raw = np.log((k + 1) / 2) - np.log(np.arange(1, k + 1))  # eq. 49
    good, bad = raw[raw > 0], raw[raw <= 0]
    mu_eff = float(good.sum() ** 2 / (good**2).sum())
    mu_eff_bad = float(bad.sum() ** 2 / max((bad**2).sum(), 1e-12))
    c_sigma = (mu_eff + 2) / (n + mu_eff + 5)  # eq. 55
    c_c = (4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n)  # eq. 56
    c_1 = 2 / ((n + 1.3) ** 2 + mu_eff)  # eq. 57
    c_mu = min(1 - c_1, 2 * (0.25 + mu_eff + 1 / mu_eff - 2) / ((n + 2) ** 2 + mu_eff))  # eq. 58
    most = min(1 + c_1 / c_mu, 1 + 2 * mu_eff_bad / (mu_eff + 2), (1 - c_1 - c_mu) / (n * c_mu))  # eqs. 50 to 52
    w = np.concatenate([good / good.sum(), bad * most / max(-bad.sum(), 1e-12)])  # eq. 53
    w.flags.writeable = False
    return Constants(
        w=w,
        mu_eff=mu_eff,
        c_sigma=c_sigma,
        d_sigma=1 + 2 * max(0.0, float(np.sqrt((mu_eff - 1) / (n + 1))) - 1) + c_sigma,
        c_c=c_c,
        c_1=c_1,
        c_mu=c_mu,
        expected_length=float(np.sqrt(n)) * (1 - 1 / (4 * n) + 1 / (21 * n**2)),
    )


def _length(g: Gaussian, Y: Array) -> Array:
    """The Mahalanobis lengths of steps, by C."""
    length: Array = np.linalg.norm(Y @ g.B / g.D, axis=-1)
    return length


def _clip(longest: float, length: Array | float) -> Any:
    """The factor that makes a length at most ``longest``: alpha_clip of Hansen 2011."""
    return np.minimum(1.0, longest / np.maximum(length, 1e-300))


def _shortened(g: Gaussian, Y: Array, foreign: Array) -> Array:
    """The steps, with improbably long foreign ones shortened: Hansen 2011, eq. 4."""
    n = len(g.m)
    factor = _clip(np.sqrt(n) + 2 * n / (n + 2), _length(g, Y))
    shortened: Array = Y * np.where(foreign, factor, 1.0)[:, None]
    return shortened


def _decomposed(g: Gaussian, C: Array, sigma: float) -> Gaussian:
    """The distribution with another covariance and step size."""
    C = (C + C.T) / 2
    values, B = np.linalg.eigh(C)
    if len(values) and values[0] <= 0:  # rounding: lift what is not positive
        values = np.maximum(values, 1e-2 / _MOST_UNEVEN * values[-1])
        C = (B * values) @ B.T
    return replace(g, sigma=sigma, C=C, B=B, D=np.sqrt(values))
