"""Pareto dominance: sorting by several losses at once.

Deb, Pratap, Agarwal, Meyarivan: A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II (IEEE Trans. Evol. Comput.
6, 2002), section III. A row dominates another if it is no worse anywhere and better somewhere.

Y  (n, m)  losses, minimised; infinite where a row failed
u  (k, m)  distinct rows without NaN, in lexicographic order: any row that dominates another comes before it
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from raytune_hpo.arrays import Array

_HUGE, _SHRINK = 1e300, 2.0**-40  # a power of two, which changes no digits


def pareto_front(losses: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
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


def first_of_front(losses: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which rows the front owes its extent to, (n,): those in it that equal no row before them."""
    front = np.flatnonzero(pareto_front(losses))
    owed = np.zeros(len(losses), dtype=bool)
    owed[front[np.unique(losses[front], axis=0, return_index=True)[1]]] = True
    return owed


def _two_goals(u: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """One pass: a row is in the front if its second loss is lower than all before it."""
    keep = np.ones(len(u), dtype=bool)
    keep[1:] = u[1:, 1] < np.minimum.accumulate(u[:, 1])[:-1]
    return keep


def _any_goals(u: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """One pass for each row of the front: the first row left is in it; the rows that it dominates are dropped."""
    keep = np.zeros(len(u), dtype=bool)
    left = np.arange(len(u))
    while len(left):
        keep[left[0]] = True
        left = left[(u[left] < u[left[0]]).any(axis=1)]
    return keep


def fronts(Y: Array) -> Array:
    """The number (n,) of each row's front: 0 if no row dominates it, k if only rows of fronts before k do."""
    no_worse = (Y[:, None, :] <= Y[None, :, :]).all(axis=2)
    dominates = no_worse & ~no_worse.T
    front, num_above = np.full(len(Y), -1), dominates.sum(axis=0)
    k, now = 0, np.flatnonzero(num_above == 0)
    while len(now):
        front[now], num_above[now] = k, -1
        num_above = num_above - dominates[now].sum(axis=0)  # each row is removed once: O(n^2) in all
        k, now = k + 1, np.flatnonzero(num_above == 0)
    return front


def shrunk(Y: Array) -> Array:
    """Losses of which only ratios of differences count: smaller where their differences would leave the range of floats."""
    largest = np.abs(Y[np.isfinite(Y)]).max(initial=0.0)
    return Y * _SHRINK if largest > _HUGE else Y


def crowding(Y: Array, front: Array) -> Array:
    """The crowding distance (n,) of each row in its front: the sum of the sides of the box between its neighbours, in
    units of the front's extent; infinite for the rows at its ends."""
    Y, room = shrunk(Y), np.zeros(len(Y))
    for k in np.unique(front):
        rows = np.flatnonzero(front == k)
        for losses in Y[rows].T:
            order = np.argsort(losses, kind="stable")
            ordered = losses[order]
            if np.isfinite(ordered[[0, -1]]).all() and ordered[0] < ordered[-1]:
                extent = ordered[-1] - ordered[0]
                sides = np.concatenate([[np.inf], (ordered[2:] - ordered[:-2]) / extent, [np.inf]])
                room[rows[order]] += sides
    return room


def worst_first(Y: Array) -> Array:
    """The rows (n,) in the order of NSGA-II's crowded comparison, worst first: later fronts, then smaller distances."""
    front = fronts(Y)
    order: Array = np.lexsort((crowding(Y, front), -front))
    return order


def first_fronts(Y: Array, num: int) -> list[Array]:
    """The positions of the rows in each of the first fronts: as many fronts as contain ``num`` rows, or all.

    Only the needed fronts are computed, so a long history costs little. Rows with NaN are in none.
    """
    left, fronts_found, found = np.flatnonzero(~np.isnan(Y).any(axis=1)), [], 0
    while len(left) and found < num:
        is_front = pareto_front(Y[left])
        fronts_found.append(left[is_front])
        found, left = found + int(is_front.sum()), left[~is_front]
    return fronts_found
