"""Slice sampling.

theta  (d,)  the current state of the chain

Neal: Slice Sampling. Annals of Statistics 31(3), 2003.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from raytune_hpo.arrays import Array

_MOST_STEPS = 8  # the most steps by which an interval grows to either side


def slice_samples(
    log_density: Callable[[Array], float],
    start: Array,
    widths: Array,
    num: int,
    rng: np.random.Generator,
    *,
    burn_in: int = 5,
    thin: int = 1,
) -> Array:
    """``num`` samples (num, d) of a density known up to a constant, one coordinate after the other.

    Args:
        log_density: the logarithm of the density, -inf where it is zero.
        start: (d,) a point where the density is not zero.
        widths: (d,) guesses of the density's widths; wrong ones only cost time.
        burn_in: sweeps over all coordinates before the first sample.
        thin: sweeps from one sample to the next.
    """
    theta, samples = start.astype(float), np.empty((num, len(start)))
    height = log_density(theta)
    for sweep in range(burn_in + num * thin):
        for j in rng.permutation(len(theta)):
            theta, height = _along(log_density, theta, height, j, float(widths[j]), rng)
        taken, rest = divmod(sweep - burn_in + 1, thin)
        if taken > 0 and rest == 0:
            samples[taken - 1] = theta
    return samples


def _along(
    log_density: Callable[[Array], float], theta: Array, height: float, j: int, width: float, rng: np.random.Generator
) -> tuple[Array, float]:
    """One update of coordinate j: stepping out and shrinking (Neal 2003, figures 3 and 5)."""

    def at(value: float) -> float:
        moved = theta.copy()
        moved[j] = value
        return log_density(moved)

    level = height + math.log(1 - rng.random())
    low = theta[j] - width * rng.random()
    high = low + width
    for _ in range(_MOST_STEPS):
        if at(low) <= level:
            break
        low -= width
    for _ in range(_MOST_STEPS):
        if at(high) <= level:
            break
        high += width
    while True:
        value = float(rng.uniform(low, high))
        found = at(value)
        if found > level or high - low < 1e-12:  # an interval of no width holds nothing but theta itself
            break
        if value < theta[j]:
            low = value
        else:
            high = value
    moved = theta.copy()
    moved[j] = value
    return moved, found
