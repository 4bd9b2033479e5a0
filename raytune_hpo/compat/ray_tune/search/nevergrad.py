"""NevergradSearch, by the sampler of the optimizer's kind: ``cmaes`` by default, ``de`` for differential evolution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raytune_hpo.compat.ray_tune.error import NotCarried
from raytune_hpo.compat.ray_tune.not_carried import warn_of_idle
from raytune_hpo.compat.ray_tune.search.searcher import Searcher


class NevergradSearch(Searcher):
    """Searches without gradients.

    Args:
        optimizer: an optimizer of Nevergrad, or its class; its kind (random search, differential evolution, others)
            determines the sampler.
        optimizer_kwargs: have no effect, with a warning.
        space: a Ray Tune space; None: ``param_space``.
        metric, mode: of the experiment, if TuneConfig has none.
        points_to_evaluate: configurations to try first.

    Raises:
        NotCarried: the space is one of Nevergrad's own.
    """

    def __init__(
        self,
        optimizer: Any = None,
        optimizer_kwargs: Mapping[str, Any] | None = None,
        space: Any = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(metric, mode)
        if space is not None and type(space).__module__.partition(".")[0] == "nevergrad":
            raise NotCarried("spaces of Nevergrad's are not read here; write it with tune.uniform and so on")
        self._take(space, points_to_evaluate)
        warn_of_idle("NevergradSearch", optimizer_kwargs=(optimizer_kwargs, None))
        self._optimizer = str(getattr(optimizer, "name", None) or getattr(optimizer, "__name__", optimizer) or "")

    def sampler(self, num_goals: int) -> Any:
        """The sampler of the same kind."""
        name = self._optimizer.lower()
        if "random" in name:
            return "random"
        return "de" if name.endswith("de") or "differential" in name else "cmaes"
