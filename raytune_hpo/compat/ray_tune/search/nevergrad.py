"""NevergradSearch: our ``cmaes`` does its work, or ``de`` where differential evolution is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raytune_hpo.compat.ray_tune.error import NotCarried
from raytune_hpo.compat.ray_tune.not_carried import warn_of_idle
from raytune_hpo.compat.ray_tune.search.searcher import Searcher


class NevergradSearch(Searcher):
    """Searches without gradients.

    Args:
        optimizer: of Nevergrad's, or its class: random search, differential evolution and others are told apart.
        optimizer_kwargs: have no effect, with a warning.
        space: a space of Ray Tune's; None: ``param_space``.
        metric, mode: of the experiment, where TuneConfig does not say.
        points_to_evaluate: configurations to try first.

    Raises:
        NotCarried: a space of Nevergrad's own.
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
        """Ours of the same kind."""
        name = self._optimizer.lower()
        if "random" in name:
            return "random"
        return "de" if name.endswith("de") or "differential" in name else "cmaes"
