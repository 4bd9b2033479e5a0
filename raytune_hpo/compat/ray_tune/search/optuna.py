"""OptunaSearch, by the sampler ``tpe``, for Optuna's own spaces as well, define-by-run functions included."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from raytune_hpo.compat.ray_tune.search.define_by_run import Defined
from raytune_hpo.compat.ray_tune.search.searcher import Searcher


class OptunaSearch(Searcher):
    """Searches as Optuna does.

    Args:
        space: a dict of Optuna's distributions, or a function of a trial that calls its ``suggest_...`` methods and returns
            constants; None: ``param_space``.
        metric, mode: of the experiment, if TuneConfig has none; lists for several.
        points_to_evaluate: configurations to try first.
        sampler: an Optuna sampler; a sampler of this package of the same kind is used.
        seed: the seed of all randomness.
        evaluated_rewards: the metric's values of ``points_to_evaluate``, which are then not run.
        study_name, storage: accepted, with a warning: the study is kept in the experiment's folder.
    """

    def __init__(
        self,
        space: Mapping[str, Any] | Sequence[Any] | Callable[[Any], dict[str, Any] | None] | None = None,
        metric: str | list[str] | None = None,
        mode: str | list[str] | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        sampler: Any = None,
        study_name: str | None = None,
        storage: Any = None,
        seed: int | None = None,
        evaluated_rewards: Sequence[float] | None = None,
    ) -> None:
        super().__init__(metric, mode)
        if storage is not None or study_name is not None:
            warnings.warn(
                "OptunaSearch: storage and study_name have no effect here, the study is kept in the experiment's folder; "
                "raytune_hpo.integrations.optuna exports it",
                stacklevel=2,
            )
        if isinstance(space, Sequence):
            space = dict(space)
        self._take(Defined(space) if callable(space) else space, points_to_evaluate, seed, evaluated_rewards)
        self._sampler = sampler

    def sampler(self, num_goals: int) -> Any:
        """The sampler of the given one's kind; ``tpe`` if none was given."""
        name = type(self._sampler).__name__
        if self._sampler is None or name == "TPESampler":
            return "tpe"
        known = {
            "RandomSampler": "random",
            "CmaEsSampler": "cmaes",
            "GPSampler": "gp",
            "BoTorchSampler": "gp",
            "NSGAIISampler": "nsga2",
            "NSGAIIISampler": "nsga3",
            "QMCSampler": "sobol",
            "GridSampler": "grid",
        }
        if name not in known:
            warnings.warn(f"OptunaSearch: sampler {name} has no counterpart here; tpe is used", stacklevel=2)
        return known.get(name, "tpe")
