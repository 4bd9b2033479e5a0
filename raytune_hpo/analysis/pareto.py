"""The Pareto front.

losses  (n, m)  minimised
u       (k, m)  different rows without NaN, in lexicographic order: whatever dominates a row stands before it
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pareto_front(losses: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows no other row dominates, (n,): none is at least as good everywhere and better somewhere.

    Equal rows are all in the front, or none of them. Rows with NaN are never in it.

    Raises:
        ValueError: losses is not a matrix.
    """
    losses = np.asarray(losses, dtype=np.float64)
    if losses.ndim != 2:
        raise ValueError(f"losses have shape (trials, goals), got {losses.shape}")
    front = np.zeros(len(losses), dtype=bool)
    valid = np.flatnonzero(~np.isnan(losses).any(axis=1))
    if len(valid) == 0:
        return front
    unique, inverse = np.unique(losses[valid], axis=0, return_inverse=True)
    keep = _two_goals(unique) if unique.shape[1] == 2 else _any_goals(unique)
    front[valid] = keep[inverse.reshape(-1)]
    return front


def _two_goals(u: NDArray[np.float64]) -> NDArray[np.bool_]:
    """One pass: a row is in the front if its second loss is lower than all before it."""
    keep = np.ones(len(u), dtype=bool)
    keep[1:] = u[1:, 1] < np.minimum.accumulate(u[:, 1])[:-1]
    return keep


def _any_goals(u: NDArray[np.float64]) -> NDArray[np.bool_]:
    """As many passes as there are rows in the front: the first row left is in it; drop what it dominates."""
    keep = np.zeros(len(u), dtype=bool)
    left = np.arange(len(u))
    while len(left):
        keep[left[0]] = True
        left = left[(u[left] < u[left[0]]).any(axis=1)]
    return keep
