"""NSGA-III for asynchronous workers, for three or more goals.

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
    """NSGA-III: a genetic algorithm for many goals, which spreads its population along reference directions.

    Within a front, NSGA-II compares crowding distances; NSGA-III compares how many members share a reference direction.
    With many goals almost no trial dominates another, and crowding distances say little. All else is as in ``nsga2``.

    Args:
        population: how many members there are; None for 16. There are at least as many directions, evenly spread.
        eta_crossover: the larger it is, the nearer children stay to one of their parents.
        eta_mutation: the larger it is, the smaller mutations are.

    Raises:
        SpecError: population < 4, or one of the etas < 0.
    """

    def __init__(self, *, population: int | None = None, eta_crossover: float = 1.0, eta_mutation: float = 1.0) -> None:
        size = _LEAST if population is None else integer_option("nsga3", "population", population, least=4)
        super().__init__(population=size, eta_crossover=eta_crossover, eta_mutation=eta_mutation)

    def _worst_first(self, Y: Array) -> Array:
        """The rows (n,), worst first: later fronts, then more crowded directions, then larger distances from these."""
        front = fronts(Y)
        finite = np.isfinite(Y).all(axis=1)
        crowd, distance = np.zeros(len(Y)), np.zeros(len(Y))
        if (first := finite & (front == 0)).any():  # no other row dominates a finite one
            W = simplex_lattice(Y.shape[1], self.population)
            nearest, distance[finite] = nearest_directions(normalised(Y[finite], Y[first]), W)
            crowd[finite] = _place_in_crowd(front[finite], nearest, distance[finite])
        order: Array = np.lexsort((-distance, -crowd, -front))
        return order


def _place_in_crowd(front: Array, nearest: Array, distance: Array) -> Array:
    """How many rows of the same direction come before each row (n,): by front, then by distance from the direction."""
    order = np.lexsort((distance, front, nearest))
    starts = np.searchsorted(nearest[order], nearest[order])
    place = np.empty(len(order))
    place[order] = np.arange(len(order)) - starts
    return place
