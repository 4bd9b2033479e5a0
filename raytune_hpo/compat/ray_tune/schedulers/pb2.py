"""Population based bandits, by the sampler ``pb2``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from raytune_hpo.compat.ray_tune.schedulers.mutations import bounded
from raytune_hpo.compat.ray_tune.schedulers.pbt import PopulationScheduler, paths_of, settled
from raytune_hpo.samplers import pb2
from raytune_hpo.samplers.members import Segment
from raytune_hpo.trial import Trial


class PB2(PopulationScheduler):
    """Population based training whose new settings a model chooses.

    Args:
        time_attr, perturbation_interval: the count that measures training, and the interval at which members are compared.
        metric, mode: of the experiment, if TuneConfig has none.
        hyperparam_bounds: ``[low, high]`` of each parameter that changes.
        quantile_fraction: which share of the members copies, and is copied.
        custom_explore_fn: changes the new configuration of a member; called with a dict, returns it.
        log_config, require_attrs, synch: accepted; members are always compared at equal steps, without waiting.
    """

    def __init__(
        self,
        time_attr: str = "time_total_s",
        metric: str | None = None,
        mode: str | None = None,
        perturbation_interval: float = 60.0,
        hyperparam_bounds: Mapping[str, Any] | None = None,
        quantile_fraction: float = 0.25,
        log_config: bool = True,
        require_attrs: bool = True,
        synch: bool = False,
        custom_explore_fn: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        if not hyperparam_bounds:
            raise ValueError("PB2 needs hyperparam_bounds, such as {'lr': [0.001, 0.1]}, got none")
        self._set(time_attr, metric, mode, perturbation_interval, quantile_fraction, custom_explore_fn)
        self._bounds = dict(hyperparam_bounds)
        self.changes = paths_of(self._bounds)

    def space(self, space: Mapping[str, Any]) -> dict[str, Any]:
        return bounded(space, self._bounds)

    def sampler(self, population: int, last_step: int) -> Any:
        return SettledPB2(
            max_steps=last_step,
            population=population,
            interval=min(self._interval, last_step),
            quantile=self._quantile,
            changes=self.changes,
        )


class SettledPB2(pb2.PB2):
    """``pb2`` that changes only some settings; a member keeps the others from the one that it copied.

    Args:
        max_steps, population, interval, quantile, window: see PB2.
        changes: the paths of the settings that change.
    """

    def __init__(
        self,
        *,
        max_steps: int | None = None,
        population: int = 10,
        interval: int = 1,
        quantile: float = 0.2,
        window: int = 200,
        changes: Sequence[Sequence[str]] = (),
    ) -> None:
        super().__init__(
            max_steps=max_steps, population=population, interval=interval, quantile=quantile, window=window
        )
        self.changes = [list(path) for path in changes]

    def explored(self, copied: Segment, running: Sequence[Trial], rng: np.random.Generator) -> Mapping[str, Any]:
        """The copied settings, with those changed that may change."""
        return settled(copied.config, super().explored(copied, running, rng), self.changes)
