"""Integrations, under Optuna's names: this package's own, and otherwise those of ``optuna-integration``."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

from raytune_hpo.compat.optuna.exceptions import NotCarried
from raytune_hpo.compat.optuna.integration.pruning import LightGBMPruningCallback, XGBoostPruningCallback

__all__ = [
    "DaskStorage",
    "LightGBMPruningCallback",
    "LightGBMTuner",
    "LightGBMTunerCV",
    "OptunaSearchCV",
    "XGBoostPruningCallback",
]

_MODULES = ("dask", "lightgbm")
_HOMES = {  # of names whose modules import another library
    "DaskStorage": "dask",
    "LightGBMTuner": "lightgbm",
    "LightGBMTunerCV": "lightgbm",
    "OptunaSearchCV": "search_cv",
}
_found = find_spec("optuna_integration")
if (
    _found is not None and _found.submodule_search_locations is not None
):  # its modules may be imported by these names, too
    __path__ = [*__path__, *_found.submodule_search_locations]


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    return theirs("optuna_integration", name)


def theirs(module: str, name: str) -> Any:
    """An object of the package optuna-integration, which uses only the methods of a trial.

    Raises:
        NotCarried: the package is not installed, or has no object of that name.
    """
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise NotCarried(
            f"integration.{name} is not supported here: {error}; pip install optuna-integration. To prune without it, call "
            f"trial.report(value, step) in the training loop, and raise TrialPruned where trial.should_prune() says so; to "
            f"log without it, give a function to Study.optimize(callbacks=[...])"
        ) from error
