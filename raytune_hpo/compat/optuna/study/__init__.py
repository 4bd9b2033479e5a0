"""Studies, under Optuna's names."""

from __future__ import annotations

from raytune_hpo.compat.optuna.directions import StudyDirection
from raytune_hpo.compat.optuna.study.creating import (
    MaxTrialsCallback,
    copy_study,
    create_study,
    delete_study,
    get_all_study_names,
    get_all_study_summaries,
    load_study,
)
from raytune_hpo.compat.optuna.study.study import Study
from raytune_hpo.compat.optuna.study.summary import StudySummary

__all__ = [
    "MaxTrialsCallback",
    "Study",
    "StudyDirection",
    "StudySummary",
    "copy_study",
    "create_study",
    "delete_study",
    "get_all_study_names",
    "get_all_study_summaries",
    "load_study",
]
