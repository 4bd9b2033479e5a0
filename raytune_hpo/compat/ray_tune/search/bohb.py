"""TuneBOHB: with ``HyperBandForBOHB``, our ``bohb`` does the work of both; by itself, ``tpe`` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raytune_hpo.compat.ray_tune.not_carried import warn_of_idle
from raytune_hpo.compat.ray_tune.search.searcher import Searcher


class TuneBOHB(Searcher):
    """Draws trials where good ones lie.

    Args:
        space: of ConfigSpace, or of Ray Tune's; None: ``param_space``.
        bohb_config: has no effect, with a warning; the sampler has its own options.
        metric, mode: of the experiment, where TuneConfig does not say.
        points_to_evaluate: configurations to try first.
        seed: of everything random.
        max_concurrent: how many trials may run at the same time; 0: as many as there is room for.
    """

    def __init__(
        self,
        space: Any = None,
        bohb_config: Mapping[str, Any] | None = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        seed: int | None = None,
        max_concurrent: int = 0,
    ) -> None:
        super().__init__(metric, mode)
        self._take(space, points_to_evaluate, seed)
        warn_of_idle("TuneBOHB", bohb_config=(bohb_config, None))
        self.max_concurrent = max_concurrent or None

    def sampler(self, num_goals: int) -> Any:
        """``tpe``; beside HyperBandForBOHB it is ``bohb`` instead."""
        return "tpe"
