"""Integrations: loggers, exporters and callbacks for other libraries, each of which is imported when it is used.

mlflow, tensorboard, wandb                  ``Logger``: a callback that records a study there
optuna                                      ``to_optuna``, ``from_optuna``
ray_tune                                    ``Searcher``: our samplers inside Ray Tune
lightgbm, xgboost, keras, lightning         ``reporter``: a callback for their training loops that reports each step
partial_fit                                 ``train``: scikit-learn's estimators step by step

Shared by them:

recording                                   ``TrialRecorder``, base of the loggers; ``record``, for studies that have ended
checklist                                   which attempts a record on disk already holds
testing, story                              the contract suite of loggers, and the studies that it tells them
reporting                                   ``Reporting``, base of the reporters: which metrics, and how often
optuna_export, optuna_import                results to an Optuna study, and back
optuna_distributions                        domains as Optuna's distributions
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raytune_hpo.integrations import (
        keras,
        lightgbm,
        lightning,
        mlflow,
        optuna,
        partial_fit,
        ray_tune,
        tensorboard,
        wandb,
        xgboost,
    )
    from raytune_hpo.integrations.recording import record

__all__ = [
    "keras",
    "lightgbm",
    "lightning",
    "mlflow",
    "optuna",
    "partial_fit",
    "ray_tune",
    "record",
    "tensorboard",
    "wandb",
    "xgboost",
]


def __getattr__(name: str) -> Any:
    if name == "record":
        return importlib.import_module(f"{__name__}.recording").record
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
