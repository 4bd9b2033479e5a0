"""TuneBOHB: with ``HyperBandForBOHB``, the sampler ``bohb`` implements both; by itself, ``tpe`` implements it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raytune_hpo.compat.ray_tune.not_carried import warn_of_idle
from raytune_hpo.compat.ray_tune.search.searcher import Searcher


class TuneBOHB(Searcher):
    """Draws trials from a density estimate of good ones.

    Args:
        space: a ConfigSpace or Ray Tune space; None: ``param_space``.
        bohb_config: has no effect, with a warning; the sampler has its own options.
        metric, mode: of the experiment, if TuneConfig has none.
        points_to_evaluate: configurations to try first.
        seed: the seed of all randomness.
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
        """``tpe``; with HyperBandForBOHB, the plan uses ``bohb`` instead."""
        return "tpe"
