"""NSGA-III for workers that do not wait for each other: for three goals and more.

Deb, Jain: An Evolutionary Many-Objective Optimization Algorithm Using Reference-Point-Based Nondominated Sorting
Approach, Part I. IEEE Trans. Evol. Comput. 18, 2014. As in ``nsga2`` a child enters as soon as it was told, and the worst
member leaves.
"""

from __future__ import annotations

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.pareto import fronts
from raytune_hpo.numerics.reference_directions import nearest_directions, normalised, simplex_lattice
from raytune_hpo.options import integer_option
from raytune_hpo.samplers.nsga2 import NSGA2

_LEAST = 16  # members


class NSGA3(NSGA2):
    """NSGA-III: a genetic algorithm that spreads its population along directions, which keeps many goals apart.

    Within a front, where NSGA-II asks how much room there is around a member, it asks how many share a member's direction:
    of many goals almost no trial beats another in all, and rooms say little. Else it does as ``nsga2`` does.

    Args:
        population: how many members there are; None: as many as there are directions, the smallest even set of at least 16.
        eta_crossover: the larger it is, the nearer children stay to one of their parents.
        eta_mutation: the larger it is, the smaller mutations are.

    Raises:
        SpecError: population < 4, or one of the etas < 0.
    """

    def __init__(self, *, population: int | None = None, eta_crossover: float = 1.0, eta_mutation: float = 1.0) -> None:
        size = _LEAST if population is None else integer_option("nsga3", "population", population, least=4)
        super().__init__(population=size, eta_crossover=eta_crossover, eta_mutation=eta_mutation)

    def _worst_first(self, Y: Array) -> Array:
        """The rows (n,), later fronts first; of a front those of the most crowded direction, the farthest from it first."""
        front = fronts(Y)
        finite = np.isfinite(Y).all(axis=1)
        crowd, distance = np.zeros(len(Y)), np.zeros(len(Y))
        if (first := finite & (front == front[finite].min(initial=0))).any():
            W = simplex_lattice(Y.shape[1], self.population)
            nearest, distance[finite] = nearest_directions(normalised(Y[finite], Y[first]), W)
            crowd[finite] = _place_in_crowd(front[finite], nearest, distance[finite])
        order: Array = np.lexsort((-distance, -crowd, -front))
        return order


def _place_in_crowd(front: Array, nearest: Array, distance: Array) -> Array:
    """How many rows (n,) of a direction come before each: those of earlier fronts, then those nearer to it."""
    order = np.lexsort((distance, front, nearest))
    starts = np.searchsorted(nearest[order], nearest[order])
    place = np.empty(len(order))
    place[order] = np.arange(len(order)) - starts
    return place
