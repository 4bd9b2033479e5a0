"""Integrations, under Optuna's names: this package's own, and otherwise those of ``optuna-integration``."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

from raytune_hpo.compat.optuna.absent import open_stand_in
from raytune_hpo.compat.optuna.exceptions import NotInstalled
from raytune_hpo.compat.optuna.integration.pruning import LightGBMPruningCallback, XGBoostPruningCallback

__all__ = [
    "DaskStorage",
    "LightGBMPruningCallback",
    "LightGBMTuner",
    "LightGBMTunerCV",
    "OptunaSearchCV",
    "XGBoostPruningCallback",
]

_MODULES = ("dask", "lightgbm", "sklearn", "xgboost")
_HOMES = {  # of names whose modules import another library
    "DaskStorage": "dask",
    "LightGBMTuner": "lightgbm",
    "LightGBMTunerCV": "lightgbm",
    "OptunaSearchCV": "sklearn",
}
_THEIR_MODULES = (
    "allennlp botorch catalyst catboost chainer chainermn cma comet fastaiv1 fastaiv2 keras mlflow mxnet "
    "pytorch_distributed pytorch_ignite pytorch_lightning shap skopt skorch tensorboard tensorflow tfkeras wandb"
).split()
_LOGGING = (
    "create the study in a storage, and after optimize call raytune_hpo.integrations.record(study.study_name, "
    "raytune_hpo.integrations.{}.Logger(...), storage=...)"
)
_WITHOUT = {  # what to do without them, by a part of their names
    "mlflow": _LOGGING.format("mlflow"),
    "tensorboard": _LOGGING.format("tensorboard"),
    "wandb": _LOGGING.format("wandb"),
    "weightsandbiases": _LOGGING.format("wandb"),
    "comet": "log from a function that is given to Study.optimize(callbacks=[...])",
    "cma": "use samplers.CmaEsSampler",
    "sampler": "use samplers.GPSampler",
    "evaluator": "use importance.FanovaImportanceEvaluator",
}
_TO_PRUNE = (
    "call trial.report(value, step) in the training loop, and raise TrialPruned where trial.should_prune() says so"
)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in _MODULES or name in _THEIR_MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    try:  # it uses only the methods of a trial
        return getattr(importlib.import_module("optuna_integration"), name)
    except (ImportError, AttributeError) as error:
        raise _not_installed(name, error) from error


def _not_installed(name: str, error: Exception | str = "No module named 'optuna_integration'") -> NotInstalled:
    without = next((way for part, way in _WITHOUT.items() if part in name.lower()), _TO_PRUNE)
    return NotInstalled(
        f"integration.{name} is not supported here: {error}; pip install optuna-integration. Without it, {without}"
    )


_found = find_spec("optuna_integration")
if _found is None:
    for _name in _THEIR_MODULES:
        open_stand_in(f"integration.{_name}", _not_installed)
elif _found.submodule_search_locations is not None:  # its modules may be imported by these names, too
    __path__ = [*__path__, *_found.submodule_search_locations]
