"""Trials that were run elsewhere, added to a study."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from raytune_hpo.compat.optuna.distributions import to_stored
from raytune_hpo.compat.optuna.record import note_of_report
from raytune_hpo.compat.optuna.study.frozen import SYSTEM, USER
from raytune_hpo.compat.optuna.trial._state import TrialState, state_of
from raytune_hpo.compat.optuna.trial.frozen import FIXED_PARAMS, FrozenTrial
from raytune_hpo.facts import Status

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.study import Study

_STATUS = {
    TrialState.COMPLETE: Status.COMPLETED,
    TrialState.PRUNED: Status.PRUNED,
    TrialState.FAIL: Status.FAILED,
}


def add(study: Study, trial: FrozenTrial) -> None:
    """Record a trial as if it had been run here, at the times that it has."""
    record = study._record
    stored = {name: to_stored(trial.distributions[name], value) for name, value in trial.params.items()}
    notes = {USER + key: value for key, value in trial.user_attrs.items()}
    notes |= {SYSTEM + key: value for key, value in trial.system_attrs.items()}
    state = state_of(trial.state)
    if state is TrialState.WAITING:
        notes |= dict(note_of_report(step, value) for step, value in trial.intermediate_values.items())
        record.enqueue(trial.system_attrs.get(FIXED_PARAMS, stored), notes)
        return
    with record.locked():
        record.enqueue(stored, notes, is_next=True)
        number = record.ask().number
        for name, value in stored.items():
            distribution = trial.distributions[name]
            record.draw(number, name, distribution, given=value, is_given=True)
            record.note_asked(number, name, value, distribution)
        for step, value in sorted(trial.intermediate_values.items()):
            record.report(number, step, value)
        if state is TrialState.RUNNING:
            return
        record.end(
            number,
            _STATUS[state],
            trial.values,
            constraints=list(trial.constraints.values()) or None,
            reason="added as failed" if state is TrialState.FAIL else None,
            began_at=_seconds(trial.datetime_start),
            ended_at=_seconds(trial.datetime_complete),
        )


def _seconds(moment: datetime.datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
