"""Summaries of studies."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from raytune_hpo.compat.optuna.directions import StudyDirection
from raytune_hpo.compat.optuna.study.study import Study
from raytune_hpo.compat.optuna.trial.frozen import FrozenTrial


@dataclass(frozen=True, kw_only=True)
class StudySummary:
    """The summary of a study."""

    study_name: str
    directions: list[StudyDirection]
    best_trial: FrozenTrial | None
    user_attrs: dict[str, Any]
    system_attrs: dict[str, Any]
    n_trials: int
    datetime_start: datetime.datetime | None

    @property
    def direction(self) -> StudyDirection:
        """The direction of the first goal."""
        return self.directions[0]


def summary_of(study: Study, *, include_best_trial: bool) -> StudySummary:
    """The summary of a study."""
    best = None
    if include_best_trial and not study._is_multi_objective():
        try:
            best = study.best_trial
        except ValueError:  # there is no best trial
            best = None
    trials = study.get_trials(deepcopy=False)
    began = [trial.datetime_start for trial in trials if trial.datetime_start is not None]
    return StudySummary(
        study_name=study.study_name,
        directions=study.directions,
        best_trial=best,
        user_attrs=study.user_attrs,
        system_attrs=study.system_attrs,
        n_trials=len(trials),
        datetime_start=min(began, default=None),
    )
