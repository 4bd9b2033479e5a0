"""Integrations: loggers, exporters and callbacks for other libraries, each of which is imported when it is used.

mlflow, tensorboard, wandb                  ``Logger``: a callback that records a study there
optuna                                      ``to_optuna``, ``from_optuna``
ray_tune                                    ``Searcher``: our samplers inside Ray Tune
lightgbm, xgboost, keras, lightning         ``reporter``: a callback for their training loops that reports each step
partial_fit                                 ``train``: scikit-learn's estimators step by step

Shared by them:

recording                                   ``TrialRecorder``, base of the loggers; ``record``, for studies that have ended
checklist                                   which attempts a record on disk already holds
reporting                                   ``Reporting``, base of the reporters: which metrics, and how often
optuna_export, optuna_import                results to an Optuna study, and back
optuna_distributions                        domains as Optuna's distributions
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_MODULES = (
    "keras",
    "lightgbm",
    "lightning",
    "mlflow",
    "optuna",
    "partial_fit",
    "ray_tune",
    "tensorboard",
    "wandb",
    "xgboost",
)

__all__ = [*_MODULES, "record"]

if TYPE_CHECKING:
    from raytune_hpo.integrations import (
        keras as keras,
    )
    from raytune_hpo.integrations import (
        lightgbm as lightgbm,
    )
    from raytune_hpo.integrations import (
        lightning as lightning,
    )
    from raytune_hpo.integrations import (
        mlflow as mlflow,
    )
    from raytune_hpo.integrations import (
        optuna as optuna,
    )
    from raytune_hpo.integrations import (
        partial_fit as partial_fit,
    )
    from raytune_hpo.integrations import (
        ray_tune as ray_tune,
    )
    from raytune_hpo.integrations import (
        tensorboard as tensorboard,
    )
    from raytune_hpo.integrations import (
        wandb as wandb,
    )
    from raytune_hpo.integrations import (
        xgboost as xgboost,
    )
    from raytune_hpo.integrations.recording import record as record


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "record":
        return importlib.import_module(f"{__name__}.recording").record
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
