"""Grid search over some axes, several times, with all other parameters drawn: Ray Tune's ``num_samples``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from raytune_hpo.errors import SpaceError, SpecError
from raytune_hpo.protocols import Signal, Suggestion, Traits
from raytune_hpo.rng import derive
from raytune_hpo.samplers.sequence import INDEX, IndexCounter, newest_indexed
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial

_DRAWS = 100  # for one point of the grid, until the constraints are met


class GridSamples:
    """Traverses the axes made by ``grid_search``, ``samples`` times, and draws the other parameters for each point.

    A point for which no draw meets the constraints is skipped.

    Raises:
        SpecError: the space has no such axis.
    """

    traits: ClassVar[Traits] = Traits(history_free=True, reads_rng=False, multi_goal=True)

    def __init__(self, space: Space, samples: int, seed: int) -> None:
        domains = [column.domain for column in space.columns]
        self._axes = [j for j, domain in enumerate(domains) if getattr(domain, "is_grid_axis", False)]
        if not self._axes:
            raise SpecError(
                "Grid(samples=) walks axes made by hpo.grid_search([...]), the space has none; use 'random'"
            )
        self._space, self._seed = space, seed
        self._sizes = [domains[j].size or 1 for j in self._axes]
        self._end = samples * math.prod(self._sizes)
        self._indices = IndexCounter()

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion | Signal:
        """The next point of the grid, with the other parameters drawn; EXHAUSTED after the last traversal.

        Raises:
            SpaceError: no draw for any point meets the constraints; names the one that refuses most.
        """
        newest, _ = newest_indexed(pending)
        first = self._indices.next_index(newest)
        for index in range(first, self._end):
            configs = self._draws(index)
            fits = np.flatnonzero(self._space.is_feasible(configs))
            if len(fits):
                return Suggestion(configs[fits[0]], {INDEX: index})
        if not first:
            refusals = self._space.refusals(self._draws(self._end - 1))
            raise SpaceError(f"no draw for any point of the grid meets the constraints; {refusals}")
        return Signal.EXHAUSTED

    def tell(self, trial: Trial) -> None:
        """Note the position of the traversal."""
        self._indices.tell(trial.meta)

    def _draws(self, index: int) -> list[dict[str, Any]]:
        """Configurations of a point, drawn from the seed; the first feasible one is tried."""
        rows = derive(self._seed, "grid", index).random((_DRAWS, self._space.num_columns))
        cell = np.unravel_index(index % math.prod(self._sizes), self._sizes)
        rows[:, self._axes] = (np.array(cell) + 0.5) / self._sizes
        return self._space.decode(rows if self._space.has_constraints else rows[:1])
