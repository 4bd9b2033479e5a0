"""Maximisation of a function on a mixed cube: many candidates, then local search from the best of them.

F  (k, d)  full rows: a coordinate in every column, active or not, so that a branch that is entered has coordinates
X  (k, d)  proper rows: full rows converted by ``proper``, NaN where not active

Local search alternates between the real columns, where it follows the gradient, and the others, where it tries every
value nearby, one column at a time, and then the best of these changes together. Of many such columns, it goes on with
those that look promising where it starts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.axes import Alike, Axis, Kind, alike, of_kind

_WIDEST = 8  # a grid of at most this many values is tried as a whole, a longer one near the current value
_STEPS = (-8, -4, -2, -1, 1, 2, 4, 8)
_SCALES = (0.3, 0.1, 0.03, 0.01)  # of steps along a real column
_ROUNDS = 3  # of a search along gradients, and then among neighbours
_MAX_STEPS = 20  # of L-BFGS in a round
_LEAST_GAIN = 1e-6
_FEW = 16  # columns without gradient that are all searched; of more than these, the most promising quarter is


class Objective(NamedTuple):
    """A function to be maximised.

    Attributes:
        axes: of the d columns.
        proper: converts full rows into proper ones.
        values: returns the values (k,) of proper rows (k, d); -inf where a row is not allowed.
        values_and_gradients: returns the values (k,) and gradients (k, d) of proper rows; a gradient is 0 where a column is
            not active.
    """

    axes: Sequence[Axis]
    proper: Callable[[Array], Array]
    values: Callable[[Array], Array]
    values_and_gradients: Callable[[Array], tuple[Array, Array]]


def filled(X: Array, rng: np.random.Generator) -> Array:
    """Proper rows as full ones: columns that are not active get any coordinate."""
    return np.where(np.isnan(X), rng.random(X.shape), X)


def perturbed(F: Array, num: int, axes: Sequence[Axis], rng: np.random.Generator, *, most: float = np.inf) -> Array:
    """``num`` full rows, each one of F (k, d) with some columns changed: from a single one to half of them.

    Real columns move by normal steps of very different sizes, the others to any of their values. Changing few columns
    at a time is what finds improvements in many dimensions (Regis, Shoemaker: Combining Radial Basis Function Surrogates
    and Dynamic Coordinate Search. Engineering Optimization 45, 2013).

    Args:
        most: an upper bound of the average number of columns that change.
    """
    k, d = F.shape
    rows = F[np.arange(num) % k]
    share = rng.choice([1 / d, 2 / d, min(0.5, most / d)], size=(num, 1))
    changed = rng.random((num, d)) < share
    changed[np.arange(num), rng.integers(d, size=num)] = True
    steps = rng.standard_normal((num, d)) * rng.choice(_SCALES, size=(num, 1))
    anywhere = rng.random((num, d))
    u = rows + steps
    inside = np.clip(np.where(u < 0, -u, np.where(u > 1, 2 - u, u)), 0.0, 1.0)  # reflected at the ends, at most once
    is_real = np.array([axis.kind is Kind.REAL for axis in axes])
    return np.where(changed, np.where(is_real, inside, anywhere), rows)


def maximised(objective: Objective, F: Array) -> tuple[Array, Array]:
    """Full rows (k, d) found by local search from F, and their values (k,): never lower than before."""
    best, celled = objective.values(objective.proper(F)), alike(objective.axes, Kind.GRID, Kind.NOMINAL)
    searched = None
    for _ in range(_ROUNDS):
        F, best = _along_gradients(objective, F, best)
        if searched is None:
            searched = _promising(objective, celled, F, best)
        F, best, moved = _to_neighbours(objective, celled, F, best, searched)
        if not moved:
            break
    return F, best


def _along_gradients(objective: Objective, F: Array, best: Array) -> tuple[Array, Array]:
    """All rows improved at once by L-BFGS on the real columns: the sum of their values is maximal when each is."""
    from scipy.optimize import fmin_l_bfgs_b

    real = of_kind(objective.axes, Kind.REAL)
    if not len(real) or not np.isfinite(best).any():
        return F, best
    X = objective.proper(F)
    hidden = np.where(np.isnan(X[:, real]), np.nan, 0.0)

    def negated(moved: Array) -> tuple[float, Array]:
        at = X.copy()
        at[:, real] = moved.reshape(len(F), -1) + hidden
        value, gradient = objective.values_and_gradients(at)
        return -float(value.sum()), -gradient[:, real].ravel()

    bounds = [(0.0, 1.0)] * (len(F) * len(real))
    found = fmin_l_bfgs_b(negated, F[:, real].ravel(), bounds=bounds, maxiter=_MAX_STEPS, maxfun=2 * _MAX_STEPS)[0]
    moved = F.copy()
    moved[:, real] = found.reshape(len(F), -1)
    reached = objective.values(objective.proper(moved))
    up = reached > best
    return np.where(up[:, None], moved, F), np.where(up, reached, best)


def _promising(objective: Objective, celled: Sequence[Alike], F: Array, best: Array) -> Array:
    """Which columns to search from which rows, (k, d): all of few, and of many those of the highest gain or least loss."""
    everywhere = np.ones(F.shape, dtype=bool)
    num = sum(len(together) for _, together in celled)
    if num <= _FEW:
        return everywhere
    neighbours, owner, column = _neighbours(celled, F, everywhere)
    with np.errstate(invalid="ignore"):
        gain = objective.values(objective.proper(neighbours)) - best[owner]
    highest = np.full(F.shape, -np.inf)
    np.fmax.at(highest, (owner, column), gain)
    kept = max(_FEW, num // 4)
    return np.asarray(highest >= np.partition(highest, -kept, axis=1)[:, [-kept]])


def _to_neighbours(
    objective: Objective, celled: Sequence[Alike], F: Array, best: Array, searched: Array
) -> tuple[Array, Array, bool]:
    """Every row moved to the best of its neighbours in the searched columns and their mixtures, until none is better."""
    ever, moving = False, np.arange(len(F))
    for _ in range(len(objective.axes)):
        neighbours, owner, column = _neighbours(celled, F[moving], searched[moving])
        if not len(neighbours):
            break
        reached = objective.values(objective.proper(neighbours))
        with np.errstate(invalid="ignore"):  # -inf minus -inf, between two rows that are not allowed, is no gain
            gain = reached - best[moving][owner]
        mixed, of = _mixtures(F[moving], neighbours, owner, column, gain)
        if len(mixed):
            neighbours, owner = np.concatenate([neighbours, mixed]), np.concatenate([owner, of])
            reached = np.concatenate([reached, objective.values(objective.proper(mixed))])
        order = np.lexsort((reached, owner))
        last = np.append(np.flatnonzero(np.diff(owner[order])), len(order) - 1)
        winners = order[last]  # the highest neighbour of each row
        at = moving[owner[winners]]
        up = reached[winners] > best[at] + _LEAST_GAIN
        if not up.any():
            break
        F, best, ever = F.copy(), best.copy(), True
        moving = at[up]  # a row that did not move would have no better neighbours the next time either
        F[moving], best[moving] = neighbours[winners[up]], reached[winners[up]]
    return F, best, ever


def _mixtures(F: Array, neighbours: Array, owner: Array, column: Array, gain: Array) -> tuple[Array, Array]:
    """Rows (m, d) with the best 2, 4, 8, ... changes, at most one per column, made together, and their owners (m,).

    With many columns a search takes many steps, and a change's own gain is rarely lost when it is combined with another.
    """
    rows, owners = [np.empty((0, F.shape[1]))], []
    for i, row in enumerate(F):
        own = np.flatnonzero((owner == i) & (gain > _LEAST_GAIN))
        own = own[np.argsort(-gain[own], kind="stable")]
        own = own[np.sort(np.unique(column[own], return_index=True)[1])]  # the best change of each column
        size = 2
        while size // 2 < len(own):
            mixed = row.copy()
            mixed[column[own[:size]]] = neighbours[own[:size], column[own[:size]]]
            rows.append(mixed[None, :])
            owners.append(i)
            if size >= len(own):
                break
            size *= 2
    return np.concatenate(rows), np.array(owners, dtype=np.intp)


def _neighbours(celled: Sequence[Alike], F: Array, searched: Array) -> tuple[Array, Array, Array]:
    """Rows (m, d) that differ from one of F in one searched column that is not real, with its number and the column (m,)."""
    owners, columns, coordinates = [np.empty(0, dtype=np.intp)], [np.empty(0, dtype=np.intp)], [np.empty(0)]
    for axis, together in celled:
        assert axis.centres is not None
        levels = _levels_nearby(axis, axis.levels(F[:, together].T))  # (columns, rows, steps)
        which, owner, step = np.nonzero((levels >= 0) & searched[:, together].T[..., None])
        owners.append(owner)
        columns.append(together[which])
        coordinates.append(axis.centres[levels[which, owner, step]])
    column = np.concatenate(columns)
    by_column = np.argsort(column, kind="stable")
    owner, column = np.concatenate(owners)[by_column], column[by_column]
    rows = F[owner]
    rows[np.arange(len(rows)), column] = np.concatenate(coordinates)[by_column]
    return rows, owner, column


def _levels_nearby(axis: Axis, levels: Array) -> Array:
    """Other values to try instead of these levels, along one more dimension; -1 where there is none."""
    if axis.kind is Kind.NOMINAL or axis.size <= _WIDEST:
        return np.asarray((levels[..., None] + np.arange(1, axis.size)) % axis.size)
    near = levels[..., None] + np.array(_STEPS)
    return np.where((near >= 0) & (near < axis.size), near, -1)
