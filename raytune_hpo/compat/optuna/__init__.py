"""Optuna's names on this package's samplers and journal: ``import raytune_hpo.compat.optuna as optuna``."""

from __future__ import annotations

import importlib
from typing import Any

from raytune_hpo.compat.optuna import (
    absent,
    distributions,
    exceptions,
    logging,
    pruners,
    samplers,
    search_space,
    storages,
    study,
    trial,
    version,
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

__version__ = version.__version__

_LATER = (  # loaded when they are used
    "artifacts",
    "importance",
    "integration",
    "multi_objective",
    "structs",
    "terminator",
    "visualization",
)

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
    "version",
]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


absent.open_multi_objective()
