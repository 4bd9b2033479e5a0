"""Searchers of further libraries, each done by the sampler of ours that is nearest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raytune_hpo.compat.ray_tune.search.searcher import Searcher


class _Other(Searcher):
    """Takes what all of them take by keyword; options of the library's own are accepted, and have no effect."""

    does: str = "auto"

    def __init__(
        self,
        *,
        space: Any = None,
        metric: str | list[str] | None = None,
        mode: str | list[str] | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        evaluated_rewards: Sequence[float] | None = None,
        seed: int | None = None,
        random_state_seed: int | None = None,
        max_concurrent: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(metric, mode)
        self._take(space, points_to_evaluate, random_state_seed if seed is None else seed, evaluated_rewards)
        self.max_concurrent = max_concurrent or None

    def sampler(self, num_goals: int) -> Any:
        """Ours that is nearest."""
        return self.does


class HEBOSearch(_Other):
    """HEBO, a Gaussian process that allows for noise: ``gp``."""

    does = "gp"


class ZOOptSearch(_Other):
    """ZOOpt, which searches by classification: ``portfolio``."""

    does = "portfolio"


class SkOptSearch(_Other):
    """scikit-optimize: ``gp``."""

    does = "gp"


class DragonflySearch(_Other):
    """Dragonfly: ``gp``."""

    does = "gp"


class BlendSearch(_Other):
    """FLAML's BlendSearch: ``auto``."""


class CFO(_Other):
    """FLAML's CFO, a local search: ``cmaes``."""

    does = "cmaes"


class SigOptSearch(_Other):
    """SigOpt, a service that has closed: ``auto``."""
