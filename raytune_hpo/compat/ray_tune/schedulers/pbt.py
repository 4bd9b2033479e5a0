"""Population based training, by the sampler ``pbt``, in segments of ``perturbation_interval``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from raytune_hpo.compat.ray_tune.error import NotCarried
from raytune_hpo.compat.ray_tune.schedulers.mutations import check_mutations, mutated
from raytune_hpo.compat.ray_tune.schedulers.trial_scheduler import TrialScheduler, scaled
from raytune_hpo.compat.ray_tune.trials import Steps, steps_of
from raytune_hpo.samplers.members import Segment
from raytune_hpo.samplers.pbt import PBT
from raytune_hpo.trial import Trial

ENDLESS = 2**31  # the last step of a population that only its stop rule ends
_MOST = 0.5  # share of a population that copies


class PopulationScheduler(TrialScheduler):
    """The base of both kinds of population.

    Attributes:
        changes: the names of the parameters that change, by their paths.
        explore: changes a configuration after it has been copied and perturbed; None: no such function.
    """

    changes: tuple[tuple[str, ...], ...]
    explore: Callable[[dict[str, Any]], dict[str, Any]] | None

    def _set(
        self,
        time_attr: str,
        metric: str | None,
        mode: str | None,
        interval: float,
        quantile: float,
        explore: Callable[[dict[str, Any]], dict[str, Any]] | None,
    ) -> None:
        """Check and keep the options that both share."""
        if interval <= 0:
            raise ValueError(f"perturbation_interval is above 0, got {interval}")
        if not 0 <= quantile <= _MOST:
            raise ValueError(f"quantile_fraction lies between 0 and 0.5, got {quantile}")
        self.metric, self.mode, self.explore = metric, mode, explore
        self.steps: Steps = steps_of(time_attr)
        self._interval, self._quantile = scaled(self.steps, interval), max(quantile, 1e-9)

    def space(self, space: Mapping[str, Any]) -> dict[str, Any]:
        """The space of the population."""
        raise NotCarried(
            f"{type(self).__name__} is not one of the population schedulers that run here: PopulationBasedTraining and PB2"
        )

    def sampler(self, population: int, last_step: int) -> Any:
        """The sampler that implements it."""
        raise NotCarried(
            f"{type(self).__name__} is not one of the population schedulers that run here: PopulationBasedTraining and PB2"
        )

    def last_step(self, stop: Mapping[str, Any]) -> int:
        """The step at which training ends by a stop rule; practically infinite if the rule has none."""
        value = stop.get(self.steps.attribute)
        return ENDLESS if value is None else max(self._interval, scaled(self.steps, value))


class PopulationBasedTraining(PopulationScheduler):
    """Members that fall behind copy the weights and settings of better ones, and vary the settings.

    Args:
        time_attr, perturbation_interval: the count that measures training, and the interval at which members are compared.
        metric, mode: of the experiment, if TuneConfig has none.
        burn_in_period: accepted, with a warning: members are compared from the first interval on.
        hyperparam_mutations: what may change: lists, domains, functions without arguments, dicts of these.
        quantile_fraction: which share of the members copies, and is copied.
        resample_probability: the probability with which a setting is drawn anew.
        perturbation_factors: the factors by which a number is multiplied.
        custom_explore_fn: changes the new configuration of a member; called with a dict, returns it.
        log_config, require_attrs, synch: accepted; members are always compared at equal steps, without waiting.
    """

    def __init__(
        self,
        time_attr: str = "time_total_s",
        metric: str | None = None,
        mode: str | None = None,
        perturbation_interval: float = 60.0,
        burn_in_period: float = 0.0,
        hyperparam_mutations: Mapping[str, Any] | None = None,
        quantile_fraction: float = 0.25,
        resample_probability: float = 0.25,
        perturbation_factors: Sequence[float] = (1.2, 0.8),
        custom_explore_fn: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        log_config: bool = True,
        require_attrs: bool = True,
        synch: bool = False,
    ) -> None:
        if not hyperparam_mutations and custom_explore_fn is None:
            raise ValueError("PopulationBasedTraining needs hyperparam_mutations or custom_explore_fn, got neither")
        check_mutations(hyperparam_mutations or {})
        if burn_in_period > perturbation_interval:
            warnings.warn(
                f"burn_in_period={burn_in_period:g} has no effect here: members are compared from the first interval on; "
                f"make perturbation_interval longer",
                stacklevel=2,
            )
        self._set(time_attr, metric, mode, perturbation_interval, quantile_fraction, custom_explore_fn)
        self._mutations = dict(hyperparam_mutations or {})
        self._redraw, self._factors = resample_probability, tuple(perturbation_factors)
        self.changes = paths_of(self._mutations)

    def space(self, space: Mapping[str, Any]) -> dict[str, Any]:
        return mutated(space, self._mutations)

    def sampler(self, population: int, last_step: int) -> Any:
        return SettledPBT(
            max_steps=last_step,
            population=population,
            interval=min(self._interval, last_step),
            quantile=self._quantile,
            perturb=self._factors,
            redraw=self._redraw,
            changes=self.changes,
        )


class SettledPBT(PBT):
    """``pbt`` that changes only some settings, as Ray Tune's does; a member keeps the others from the one that it copied.

    Args:
        max_steps, population, interval, quantile, perturb, redraw: see PBT.
        changes: the paths of the settings that change.
    """

    def __init__(
        self,
        *,
        max_steps: int | None = None,
        population: int = 10,
        interval: int = 1,
        quantile: float = 0.2,
        perturb: Sequence[float] = (0.8, 1.2),
        redraw: float = 0.25,
        changes: Sequence[Sequence[str]] = (),
    ) -> None:
        super().__init__(
            max_steps=max_steps,
            population=population,
            interval=interval,
            quantile=quantile,
            perturb=perturb,
            redraw=redraw,
        )
        self.changes = [list(path) for path in changes]

    def explored(self, copied: Segment, running: Sequence[Trial], rng: np.random.Generator) -> Mapping[str, Any]:
        """The copied settings, with those changed that may change."""
        return settled(copied.config, super().explored(copied, running, rng), self.changes)


def settled(copied: Mapping[str, Any], explored: Mapping[str, Any], changes: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The copied configuration, with the explored one's values at some paths."""
    config = dict(copied)
    for path in changes:
        if len(path) == 1:
            config[path[0]] = explored[path[0]]
        else:
            config[path[0]] = settled(config[path[0]], explored[path[0]], [path[1:]])
    return config


def paths_of(mutations: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    """The paths of the leaves of nested dicts."""
    found: list[tuple[str, ...]] = []
    for name, mutation in mutations.items():
        below = paths_of(mutation) if isinstance(mutation, Mapping) else ((),)
        found += [(name, *path) for path in below]
    return tuple(found)


class PopulationBasedTrainingReplay(TrialScheduler):
    """Not supported: training by a schedule that Ray Tune has written to a file.

    Raises:
        NotCarried: always.
    """

    def __init__(self, policy_file: str) -> None:
        raise NotCarried(
            f"PopulationBasedTrainingReplay({policy_file!r}) reads a file of Ray Tune's; train with hpo.Tuner and pbt, and "
            f"replay by results.replay(number), see docs/populations.md"
        )
