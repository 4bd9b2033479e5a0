"""Schedulers by Ray Tune's names, each implemented by one of this package."""

from __future__ import annotations

from typing import Any

from raytune_hpo.compat.ray_tune.not_carried import built
from raytune_hpo.compat.ray_tune.schedulers.async_hyperband import ASHAScheduler, AsyncHyperBandScheduler
from raytune_hpo.compat.ray_tune.schedulers.hb_bohb import HyperBandForBOHB
from raytune_hpo.compat.ray_tune.schedulers.hyperband import HyperBandScheduler
from raytune_hpo.compat.ray_tune.schedulers.median_stopping_rule import MedianStoppingRule
from raytune_hpo.compat.ray_tune.schedulers.pb2 import PB2
from raytune_hpo.compat.ray_tune.schedulers.pbt import PopulationBasedTraining, PopulationBasedTrainingReplay
from raytune_hpo.compat.ray_tune.schedulers.resource_changing_scheduler import ResourceChangingScheduler
from raytune_hpo.compat.ray_tune.schedulers.trial_scheduler import FIFOScheduler, TrialScheduler
from raytune_hpo.errors import nearest

NAMES: dict[str, type[TrialScheduler]] = {
    "fifo": FIFOScheduler,
    "async_hyperband": AsyncHyperBandScheduler,
    "asynchyperband": AsyncHyperBandScheduler,
    "asha": ASHAScheduler,
    "median_stopping_rule": MedianStoppingRule,
    "medianstopping": MedianStoppingRule,
    "hyperband": HyperBandScheduler,
    "hb_bohb": HyperBandForBOHB,
    "pbt": PopulationBasedTraining,
    "pbt_replay": PopulationBasedTrainingReplay,
    "pb2": PB2,
    "resource_changing": ResourceChangingScheduler,
}

__all__ = [
    "PB2",
    "ASHAScheduler",
    "AsyncHyperBandScheduler",
    "FIFOScheduler",
    "HyperBandForBOHB",
    "HyperBandScheduler",
    "MedianStoppingRule",
    "PopulationBasedTraining",
    "PopulationBasedTrainingReplay",
    "ResourceChangingScheduler",
    "TrialScheduler",
    "create_scheduler",
]


def create_scheduler(scheduler: str, **options: Any) -> TrialScheduler:
    """A scheduler by its name, such as "asha" or "pbt", with those of the options that it takes.

    Raises:
        ValueError: there is no scheduler of that name.
    """
    if scheduler.lower() not in NAMES:
        raise ValueError(f"unknown scheduler {scheduler!r}; {nearest(scheduler, NAMES)}")
    return built(NAMES[scheduler.lower()], options)
