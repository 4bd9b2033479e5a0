"""Export to Optuna: results as a study with distributions, states, values, intermediate values and times."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from raytune_hpo.errors import SpecError, StudyExists
from raytune_hpo.facts import Status
from raytune_hpo.integrations.optuna_distributions import OptunaParameter
from raytune_hpo.integrations.recording import require
from raytune_hpo.results import Results
from raytune_hpo.results.records import plain
from raytune_hpo.trial import Trial

OWN = "raytune_hpo:"  # prefix of user attributes that are not metrics
_STATES = {
    Status.WAITING: "RUNNING",  # not WAITING, whose trials in Optuna need not have parameters
    Status.RUNNING: "RUNNING",
    Status.COMPLETED: "COMPLETE",
    Status.PRUNED: "PRUNED",
    Status.PAUSED: "PRUNED",  # Optuna's samplers learn from the last report of pruned trials, and nothing from running ones
    Status.FAILED: "FAIL",
}


def to_optuna(results: Results, storage: Any = None, *, study_name: str | None = None, replace: bool = False) -> Any:
    """An Optuna study with the same trials under the same numbers.

    Parameters are named as in tables (``model/svm/C``); those of branches not taken are absent. Metrics that are not
    goals become user attributes. Outcome constraints become Optuna's, so that a trial that breaks one is not its best.

    Args:
        results: of any study, such as ``hpo.load(name)``.
        storage: as ``optuna.create_study`` takes it: "sqlite:///optuna.db", or None for this process only.
        study_name: by default the study's own.
        replace: whether an existing study of that name is deleted first; otherwise the name is refused.

    Raises:
        StudyExists: the storage already has a study of that name.
        SpecError: what is to be exported is not results, or the storage is text, but not a URL.
    """
    require("optuna", "optuna")
    import optuna

    if not isinstance(results, Results):
        raise SpecError(f'to_optuna takes results, as hpo.load("name") or a Tuner returns them, got {results!r}')
    if isinstance(storage, str) and "://" not in storage:
        raise SpecError(f'Optuna names a storage by its URL, got {storage!r}; write "sqlite:///{storage}"')
    name = results.name if study_name is None else study_name
    with _quiet():
        store = optuna.storages.get_storage(storage)
        if replace and name in optuna.get_all_study_names(store):
            optuna.delete_study(study_name=name, storage=store)
        directions: Any = [f"{goal.mode}imize" for goal in results.goals]
        try:
            study = optuna.create_study(storage=store, study_name=name, directions=directions)
        except optuna.exceptions.DuplicatedStudyError:
            raise StudyExists(f"Optuna's storage has a study {name!r}; give study_name=, or replace=True") from None
        study.set_metric_names([goal.metric for goal in results.goals])
        study.set_user_attr(f"{OWN}sampler", str(results.spec.sampler))
        frozen = _TrialConverter(results)
        study.add_trials([frozen(trial) for trial in results])
    return study


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Optuna's notes that metric names are experimental and that a study was created."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


class _TrialConverter:
    """Converts the trials of one study into Optuna's frozen trials."""

    def __init__(self, results: Results) -> None:
        self._goals = [goal.metric for goal in results.goals]
        self._constraints = results.spec.constraints
        space = results.spec.space
        self._flat = [space.flatten(trial.config) for trial in results]
        self._columns = {
            column.name: OptunaParameter(
                column.domain, [flat[column.name] for flat in self._flat if column.name in flat]
            )
            for column in space.columns
        }

    def __call__(self, trial: Trial) -> Any:
        from optuna.trial import FrozenTrial, TrialState

        flat = self._flat[trial.number]
        others = {name: value for name, value in trial.metrics.items() if name not in self._goals}
        about = {"worker": trial.worker, "attempt": trial.attempt, "duration_s": trial.duration_s, "error": trial.error}
        if trial.status is Status.PAUSED:
            about["status"] = trial.status.value
        own = {OWN + name: value for name, value in about.items() if value is not None}
        first = self._goals[0]
        return FrozenTrial(
            number=-1,
            trial_id=-1,
            state=TrialState[_STATES[trial.status]],
            value=None,
            values=self._values(trial),
            datetime_start=_time(trial.started_at or trial.created_at),
            datetime_complete=_ended(trial),
            params={name: self._columns[name](value) for name, value in flat.items()},
            distributions={name: self._columns[name].distribution for name in flat},
            user_attrs=plain({**others, **own}),
            system_attrs=self._excesses(trial),
            intermediate_values={r.step: r.metrics[first] for r in trial.reports if first in r.metrics},
        )

    def _values(self, trial: Trial) -> list[float] | None:
        """A trial's values. A pruned or paused trial has its last report as its value, as in Optuna; none with several
        goals.
        """
        is_cut_short = trial.status in (Status.PRUNED, Status.PAUSED)
        has_values = trial.status is Status.COMPLETED or (is_cut_short and len(self._goals) == 1)
        if not has_values or any(metric not in trial.metrics for metric in self._goals):
            return None
        return [trial.metrics[metric] for metric in self._goals]

    def _excesses(self, trial: Trial) -> dict[str, Any]:
        """By how much a completed trial exceeds the bound of each outcome constraint, as Optuna's samplers keep it."""
        if not self._constraints or trial.status is not Status.COMPLETED:
            return {}
        excesses = [c.excess(float(trial.metrics.get(c.metric, math.nan))) for c in self._constraints]
        # A bound that is not known to hold is broken. Not by infinity, which the dashboard's JSON cannot hold.
        return {"constraints": [e if math.isfinite(e) else sys.float_info.max for e in excesses]}


def _ended(trial: Trial) -> datetime | None:
    """When a trial ended, or paused; None while it runs or waits."""
    if trial.status is Status.PAUSED and trial.stretches:
        return _time(trial.stretches[-1].paused_at)
    return _time(trial.finished_at or 0.0) if trial.status.is_finished else None


def _time(at: float) -> datetime:
    """A time as Optuna keeps it: local, without a time zone."""
    return datetime.fromtimestamp(at)
