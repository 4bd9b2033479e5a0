"""Independent categorical distributions, learned by the natural gradient.

Hamano, Saito, Nomura, Uchida, Shirakawa: CatCMA: Stochastic Optimization for Mixed-Category Problems (GECCO 2024,
arXiv:2405.09962), sections 2.3 and 3.2: the update and the margin are theirs, the learning rate is constant.

q       (c,)  probability of each value of one axis
levels  (k,)  the values that k points have; -1 where a point has none
w       (k,)  weights of the points, not negative; they sum to 1
"""

from __future__ import annotations

import numpy as np

from raytune_hpo.arrays import Array

_ALL_AT_THEIR_BEST = 0.73  # the least probability that all axes draw their most likely values: section 3.2


def least(c: int, num_axes: int) -> float:
    """The margin of an axis with c values: eq. 19."""
    return float(1 - _ALL_AT_THEIR_BEST ** (1 / num_axes)) / max(c - 1, 1)


def updated_shares(q: Array, levels: Array, w: Array, rate: float, margin: float) -> Array:
    """The probabilities after a generation: q + rate sum_i w_i (onehot(level_i) - q), with the margin kept."""
    known = levels >= 0
    mass = np.bincount(levels[known], weights=w[known], minlength=len(q))
    return kept(q + rate * (mass - w[known].sum() * q), min(margin, 1 / len(q)))


def kept(q: Array, margin: float) -> Array:
    """The probabilities with none below the margin; the others are lowered in proportion to their excess over it."""
    raised = np.maximum(q, margin)
    spare = raised - margin
    if spare.sum() <= 0:
        return np.full(len(q), 1 / len(q))
    kept: Array = margin + spare * (1 - margin * len(q)) / spare.sum()
    return kept


def draw_levels(q: Array, k: int, rng: np.random.Generator) -> Array:
    """The levels (k,) of k points."""
    levels: Array = np.minimum(np.searchsorted(np.cumsum(q), rng.random(k), side="right"), len(q) - 1)
    return levels
