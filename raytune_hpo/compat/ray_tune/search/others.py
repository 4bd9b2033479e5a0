"""Searchers of further libraries, each implemented by the most similar sampler of this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raytune_hpo.compat.ray_tune.error import NotCarried
from raytune_hpo.compat.ray_tune.not_carried import warn_of_idle
from raytune_hpo.compat.ray_tune.search.searcher import Searcher


class _Other(Searcher):
    """The base of these searchers: takes their common options; a library's own ones have no effect, with a warning.

    Raises:
        NotCarried: the space is in the library's own form.
    """

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
        for name in ("dim_dict", "domain"):
            if not isinstance(options.get(name), str | None):  # a string names the kind of a space, and is not a space
                raise NotCarried(
                    f"{type(self).__name__}({name}=) is not read here; write the space with tune.uniform and so on"
                )
        warn_of_idle(type(self).__name__, **{name: (value, None) for name, value in options.items()})
        self._take(space, points_to_evaluate, random_state_seed if seed is None else seed, evaluated_rewards)
        self.max_concurrent = max_concurrent or None

    def sampler(self, num_goals: int) -> Any:
        """The most similar sampler."""
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
