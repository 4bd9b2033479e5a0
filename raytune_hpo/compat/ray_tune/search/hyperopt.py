"""HyperOptSearch, by the sampler ``hyperopt``, for hyperopt's own spaces as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raytune_hpo.compat.ray_tune.search.searcher import Searcher


class HyperOptSearch(Searcher):
    """Searches by hyperopt's tree-structured Parzen estimator.

    Args:
        space: a hyperopt space; None: ``param_space``.
        metric, mode: of the experiment, if TuneConfig has none.
        points_to_evaluate: configurations to try first.
        n_initial_points: how many random draws come first.
        random_state_seed: the seed of all randomness.
        gamma: passed on to the sampler; it determines how many trials are good.
    """

    def __init__(
        self,
        space: Any = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        n_initial_points: int = 20,
        random_state_seed: int | None = None,
        gamma: float = 0.25,
    ) -> None:
        super().__init__(metric, mode)
        self._take(space, points_to_evaluate, random_state_seed)
        self._options = {"n_startup_jobs": n_initial_points, "gamma": gamma}

    def sampler(self, num_goals: int) -> Any:
        """``hyperopt``."""
        return {"name": "hyperopt", **self._options}
