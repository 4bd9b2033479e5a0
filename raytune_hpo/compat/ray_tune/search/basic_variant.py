"""Random and grid search, Ray Tune's default searcher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raytune_hpo.compat.ray_tune.error import NotCarried
from raytune_hpo.compat.ray_tune.search.searcher import Searcher


class BasicVariantGenerator(Searcher):
    """Traverses the grid of ``grid_search`` ``num_samples`` times, and draws all other parameters at random each time.

    Args:
        points_to_evaluate: configurations to try first, each in place of a sample; what they leave out is drawn, or
            traversed if it is an axis of the grid.
        max_concurrent: how many trials may run at the same time; 0: as many as there is room for.
        random_state: a seed, or a numpy generator from which one is drawn.

    Raises:
        NotCarried: ``constant_grid_search`` is given.
    """

    def __init__(
        self,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        max_concurrent: int = 0,
        constant_grid_search: bool = False,
        random_state: Any = None,
    ) -> None:
        if constant_grid_search:
            raise NotCarried(
                "constant_grid_search=True has no counterpart here; fix the random parameters as constants, and run a grid"
            )
        self._take(None, points_to_evaluate, _seed_of(random_state))
        self.max_concurrent = max_concurrent or None

    def sampler(self, num_goals: int) -> Any:
        """``random``; if the space has a grid, the plan uses ``grid`` instead."""
        return "random"


def _seed_of(state: Any) -> int | None:
    if state is None or isinstance(state, int):
        return state
    draw = state.integers if hasattr(state, "integers") else state.randint  # of a Generator, of a RandomState
    return int(draw(2**31))
