"""Optuna's names on this package's samplers and journal: ``import raytune_hpo.compat.optuna as optuna``."""

from __future__ import annotations

import importlib
from typing import Any

from raytune_hpo.compat.optuna import (
    distributions,
    exceptions,
    logging,
    pruners,
    samplers,
    search_space,
    storages,
    study,
    trial,
)
from raytune_hpo.compat.optuna.exceptions import TrialPruned
from raytune_hpo.compat.optuna.study import (
    Study,
    copy_study,
    create_study,
    delete_study,
    get_all_study_names,
    get_all_study_summaries,
    load_study,
)
from raytune_hpo.compat.optuna.trial import Trial, create_trial

__version__ = "5.0.0"  # the version of Optuna whose names and behaviour these are

_LATER = ("artifacts", "importance", "integration", "terminator", "visualization")  # loaded when they are used

__all__ = [
    "Study",
    "Trial",
    "TrialPruned",
    "__version__",
    "copy_study",
    "create_study",
    "create_trial",
    "delete_study",
    "distributions",
    "exceptions",
    "get_all_study_names",
    "get_all_study_summaries",
    "load_study",
    "logging",
    "pruners",
    "samplers",
    "search_space",
    "storages",
    "study",
    "trial",
]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
