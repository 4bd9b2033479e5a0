"""Genetic operators in the unit cube: crossover of two parents, and mutation.

Deb, Agrawal: Simulated Binary Crossover for Continuous Search Space (Complex Systems 9, 1995); the mutation is the
polynomial one of Deb, Goyal (Computer Science and Informatics 26, 1996), scaled to the distance from the bounds.

x, y     (n,)  parents, coordinates in [0, 1]
nominal  (n,)  of bool: which columns are unordered
eta            the larger it is, the nearer children stay to their parents
"""

from __future__ import annotations

import numpy as np

from raytune_hpo.arrays import Array


def simulated_binary_crossover(x: Array, y: Array, nominal: Array, eta: float, rng: np.random.Generator) -> Array:
    """A child (n,) of two parents; each coordinate is the first one's with probability 1/2.

    Otherwise it is the second one's in an unordered column, and near the first one's in others, at distances in
    proportion to that of the parents: eqs. 8 to 10.
    """
    taken, u = rng.random((2, len(x)))
    spread = np.where(u < 0.5, 2 * u, 1 / (2 * (1 - u))) ** (1 / (eta + 1))
    near = np.clip(((1 + spread) * x + (1 - spread) * y) / 2, 0.0, 1.0)
    child: Array = np.where(taken < 0.5, x, np.where(nominal, y, near))
    return child


def polynomial_mutation(x: Array, nominal: Array, eta: float, rng: np.random.Generator) -> Array:
    """A point (n,) with each coordinate changed with probability 1/n, and at least one; unordered ones are drawn anew."""
    changed = rng.random(len(x)) < 1 / len(x)
    changed[rng.integers(len(x))] = True
    u, anew = rng.random((2, len(x)))
    down = (2 * u) ** (1 / (eta + 1)) - 1  # in [-1, 0] where u < 1/2
    up = 1 - (2 * (1 - u)) ** (1 / (eta + 1))
    moved = x + np.where(u < 0.5, down * x, up * (1 - x))
    child: Array = np.where(changed, np.where(nominal, anew, moved), x)
    return child
