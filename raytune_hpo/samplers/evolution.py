"""Regularised (aging) evolution: the oldest member is removed, however good it is.

Real, Aggarwal, Huang, Le: Regularized Evolution for Image Classifier Architecture Search. AAAI 2019, algorithm 1.
White, Nolen, Savani: Exploring the Loss Landscape in Neural Architecture Search. UAI 2021 (searches of architectures do
well with one change at a time).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.errors import SpecError
from raytune_hpo.numerics.neighbours import neighbours
from raytune_hpo.options import integer_option
from raytune_hpo.samplers.population import Evolutionary


class Evolution(Evolutionary):
    """Regularised evolution: the newest trials are the population, and each child is a good one of them with one change.

    The initial population is an even design. A child's parent is the best of a few members, drawn anew each time. One
    parameter that is active in the parent gets another value: for a choice any option, for ordered values the next one up
    or down, for a number one nearby. The child enters when it is told, and the oldest member is removed, so that a lucky
    one does not stay, and no worker waits for another. Made for architectures and other spaces of many choices, branches
    included.

    Args:
        population: how many of the newest trials are members.
        tournament: how many members are drawn for each child; the best of them is its parent.

    Raises:
        SpecError: population < 2, tournament < 1 or above population.
    """

    def __init__(self, *, population: int = 20, tournament: int = 10) -> None:
        self.population = integer_option("evolution", "population", population, least=2)
        self.tournament = integer_option("evolution", "tournament", tournament, least=1)
        if self.tournament > self.population:
            raise SpecError(
                f"the tournament of evolution is held among its population, got tournament={tournament} of "
                f"{population}; use a smaller one"
            )

    def found(self, X: Array, Y: Array) -> None:
        """The first members."""
        self._members, self._losses = X, Y[:, 0]

    def child(self, number: int, rng: np.random.Generator) -> tuple[Array, dict[str, Any]]:
        """The best of some members, with one change."""
        drawn = rng.choice(len(self._members), size=self.tournament, replace=False)
        parent = self._members[drawn[np.argmin(self._losses[drawn])]]
        active = self._cube.proper(parent[None, :])
        near, _ = neighbours(self._cube.axes, active, rng)
        changed = (near != active) & ~np.isnan(active)  # one column of each row
        child = parent.copy()
        if len(near):
            column = rng.choice(np.flatnonzero(changed.any(axis=0)))
            child[column] = near[rng.choice(np.flatnonzero(changed[:, column])), column]
        return child, {}

    def enter(self, x: Array, losses: Array, meta: dict[str, Any]) -> None:
        """Add a trial, and remove the oldest member."""
        self._members = np.concatenate([self._members[1:], x[None, :]])
        self._losses = np.append(self._losses[1:], losses[0])
