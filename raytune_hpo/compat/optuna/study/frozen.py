"""Frozen trials of a study's record."""

from __future__ import annotations

import datetime
import itertools
import math
from collections.abc import Mapping
from typing import Any

from raytune_hpo.compat.optuna.distributions import from_stored
from raytune_hpo.compat.optuna.record import Record, metrics_of, noted_reports, values_in
from raytune_hpo.compat.optuna.trial._state import TrialState
from raytune_hpo.compat.optuna.trial.frozen import FIXED_PARAMS, FrozenTrial
from raytune_hpo.facts import Status
from raytune_hpo.space.values import fresh
from raytune_hpo.trial import Trial

STATES = {
    Status.RUNNING: TrialState.RUNNING,
    Status.WAITING: TrialState.WAITING,
    Status.PAUSED: TrialState.WAITING,
    Status.COMPLETED: TrialState.COMPLETE,
    Status.PRUNED: TrialState.PRUNED,
    Status.FAILED: TrialState.FAIL,
}
USER, SYSTEM = "user:", "system:"


class FrozenTrials:
    """The trials of a record as FrozenTrial objects; those of ended trials are created once."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._made: dict[int, tuple[Trial, FrozenTrial]] = {}
        self.objects: dict[tuple[int | None, str], Any] = {}  # notes that JSON cannot represent

    def all(self) -> list[FrozenTrial]:
        """All trials by number, enqueued ones included."""
        ledger = self._record.ledger
        trials = [self.of(trial) for trial in list(ledger.trials)]
        # Those of an earlier process are lost.
        notes = [*self._record.queued, *itertools.repeat({}, len(ledger.enqueued))]
        for enqueued, noted in zip(list(ledger.enqueued.values()), notes, strict=False):
            trials.append(_waiting(len(trials), dict(enqueued.config), noted))
        return trials

    def of(self, trial: Trial) -> FrozenTrial:
        """The frozen form of one trial; for one that has ended, always the same object."""
        known = self._made.get(trial.number)
        if known is not None and known[0] is trial:
            return known[1]
        frozen = self._frozen(trial)
        if trial.status.is_finished:
            self._made[trial.number] = trial, frozen
        return frozen

    def _frozen(self, trial: Trial) -> FrozenTrial:
        record, number = self._record, trial.number
        stored = record.params_of(trial)
        distributions = {name: record.distribution(number, name) for name in stored}
        user, system = split_notes(trial.notes)
        for (of, key), value in self.objects.items():
            if of == number:
                (user if key.startswith(USER) else system)[key.partition(":")[2]] = value
        reports = {report.step: report.metrics for report in trial.reports}
        steps = {step: values_in(metrics, metrics_of(1)) for step, metrics in reports.items()}
        values = values_in(trial.metrics, record.metrics) if trial.status in (Status.COMPLETED, Status.PRUNED) else None
        if values is not None and math.isnan(values[0]):  # the newest report of a trial that was pruned
            values = None
        return FrozenTrial(
            number=number,
            state=STATES[trial.status],
            value=None,
            values=values,
            datetime_start=_moment(trial.started_at),
            datetime_complete=_moment(trial.finished_at),
            params={name: from_stored(distributions[name], value) for name, value in stored.items()},
            distributions=distributions,
            user_attrs=user,
            system_attrs=system,
            intermediate_values={
                **{step: found[0] for step, found in steps.items() if found},
                **noted_reports(trial.notes),
            },
            trial_id=number,
        )


def split_notes(notes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Copies of notes, split into user attributes and system attributes."""
    user = {key.removeprefix(USER): fresh(value) for key, value in notes.items() if key.startswith(USER)}
    system = {key.removeprefix(SYSTEM): fresh(value) for key, value in notes.items() if key.startswith(SYSTEM)}
    return user, system


def _waiting(number: int, params: dict[str, Any], notes: Mapping[str, Any]) -> FrozenTrial:
    user, system = split_notes(notes)
    return FrozenTrial(
        number=number,
        state=TrialState.WAITING,
        value=None,
        datetime_start=None,
        datetime_complete=None,
        params={},
        distributions={},
        user_attrs=user,
        system_attrs={FIXED_PARAMS: params, **system},
        intermediate_values=noted_reports(notes),
        trial_id=number,
    )


def _moment(at: float | None) -> datetime.datetime | None:
    return None if at is None else datetime.datetime.fromtimestamp(at)
