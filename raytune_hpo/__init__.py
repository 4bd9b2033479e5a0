"""Hyperparameter tuning for people who have Ray.

    import raytune_hpo as hpo

    results = hpo.tune(objective, {"lr": hpo.loguniform(1e-5, 1e-1)}, metric="loss", num_trials=100)
    results.best_config, results.best_value

Names are resolved when they are first used: importing this package loads neither Ray nor scipy nor pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_SPACE = "raytune_hpo.space"
_HOMES = {
    **dict.fromkeys(
        (
            "Space Float Int Choice Ordinal uniform quniform loguniform qloguniform randn qrandn randint qrandint "
            "lograndint qlograndint choice ordinal fibonacci powers cores grid_search sample_from"
        ).split(),
        _SPACE,
    ),
    **dict.fromkeys(("Normal", "Beta"), "raytune_hpo.space.priors"),
    "Repeat": "raytune_hpo.space.repeats",
    "Goal": "raytune_hpo.goals",
    "Trial": "raytune_hpo.trial",
    "TrialStopped": "raytune_hpo.errors",
    "report": "raytune_hpo.runtime.trial_run",
    "checkpoint": "raytune_hpo.runtime.trial_run",
    "until": "raytune_hpo.runtime.trial_run",
    "Tuner": "raytune_hpo.api.tuner",
    "tune": "raytune_hpo.api.tuner",
    "simulate": "raytune_hpo.api.tuner",
    "Study": "raytune_hpo.api.study",
    "Results": "raytune_hpo.results",
    "Confirmation": "raytune_hpo.confirming",
    "Run": "raytune_hpo.api.run",
    "load": "raytune_hpo.api.stored",
    "attach": "raytune_hpo.api.stored",
    "Client": "raytune_hpo.service.client",
    "Command": "raytune_hpo.commands",
    "Live": "raytune_hpo.live.live",
    "connect": "raytune_hpo.cluster",
    "with_parameters": "raytune_hpo.cluster",
}
_MODULES = ("errors", "integrations", "optml", "samplers", "schedulers", "sklearn", "testing")

__all__ = ["__version__", *_MODULES, *_HOMES]

if TYPE_CHECKING:
    from raytune_hpo import errors, integrations, optml, samplers, schedulers, sklearn, testing
    from raytune_hpo.api.run import Run
    from raytune_hpo.api.stored import attach, load
    from raytune_hpo.api.study import Study
    from raytune_hpo.api.tuner import Tuner, simulate, tune
    from raytune_hpo.cluster import connect, with_parameters
    from raytune_hpo.commands import Command
    from raytune_hpo.confirming import Confirmation
    from raytune_hpo.errors import TrialStopped
    from raytune_hpo.goals import Goal
    from raytune_hpo.live.live import Live
    from raytune_hpo.results import Results
    from raytune_hpo.runtime.trial_run import checkpoint, report, until
    from raytune_hpo.service.client import Client
    from raytune_hpo.space import (
        Choice,
        Float,
        Int,
        Ordinal,
        Space,
        choice,
        cores,
        fibonacci,
        grid_search,
        lograndint,
        loguniform,
        ordinal,
        powers,
        qlograndint,
        qloguniform,
        qrandint,
        qrandn,
        quniform,
        randint,
        randn,
        sample_from,
        uniform,
    )
    from raytune_hpo.space.priors import Beta, Normal
    from raytune_hpo.space.repeats import Repeat
    from raytune_hpo.trial import Trial


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"raytune_hpo.{name}")
    else:
        from raytune_hpo.display.foreign_words import NAMES, no_attribute

        raise no_attribute("module 'raytune_hpo'", name, NAMES, __all__)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
