"""The outcome of an experiment: its trials' results, from the driver's records, the trials' folders and the journal."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

from raytune_hpo.compat.ray_tune.driver import Driver
from raytune_hpo.compat.ray_tune.error import TuneError
from raytune_hpo.compat.ray_tune.result import Result
from raytune_hpo.compat.ray_tune.result_grid import ResultGrid
from raytune_hpo.compat.ray_tune.search_plan import SearchPlan
from raytune_hpo.compat.ray_tune.trial_folder import TrialFolder
from raytune_hpo.compat.ray_tune.trials import Experiment, Trial, found_folder
from raytune_hpo.facts import Status
from raytune_hpo.results import Results
from raytune_hpo.trial import Trial as OurTrial

_UNFINISHED = (Status.WAITING, Status.RUNNING, Status.PAUSED)
_log = logging.getLogger("raytune_hpo")


class Ending(NamedTuple):
    """The outcome of an experiment: its results, and its trials as callbacks see them."""

    results: ResultGrid
    trials: list[Trial]


def gathered(experiment: Experiment, study: Results, plan: SearchPlan, driver: Driver, *, is_over: bool) -> Ending:
    """The results of all trials or, in population based training, of all members.

    Args:
        is_over: whether the experiment has ended, so that unfinished trials were stopped; otherwise they may continue.
    """
    newest: dict[int, OurTrial] = {}
    for ours in study.trials[len(experiment.known) :]:
        number = ours.number if experiment.population is None or ours.slot is None else ours.slot
        newest[experiment.identities.get(number, number)] = ours
    results, trials = [], []
    for number in sorted(newest):
        ours = newest[number]
        trial = driver.trials.get(experiment.trial_id(number))
        if trial is None:
            config = experiment.config_of(ours.config, goes_on=ours.from_step is not None)
            trial = _found(experiment.trial(number, config), ours, is_over=is_over)
        if trial is not None:
            metrics = {**trial.last_result, "config": trial.config}  # as the trainable got it, not via JSON
            results.append(Result(trial.path, trial.config, metrics, _error_of(trial, ours)))
            trials.append(trial)
    grid = ResultGrid(
        results,
        experiment_path=experiment.path,
        statuses=[trial.status for trial in trials],
        metric=plan.metric if plan.is_named else None,
        mode=plan.mode if plan.is_named else None,
        study=study,
    )
    return Ending(grid, trials)


def _found(trial: Trial, ours: OurTrial, *, is_over: bool) -> Trial | None:
    """A trial unknown to the driver, restored from its folder or else from the journal; None if it never began."""
    trial.path = found_folder(trial)
    is_here = Path(trial.path).is_dir()
    if not is_here and not ours.reports and ours.status in (*_UNFINISHED, Status.PRUNED):
        return None
    rows = TrialFolder(trial.path).rows()
    if not rows and ours.metrics and not is_here:
        _log.warning("%s has left no folder here: give a storage_path that all nodes share", trial)
    trial.last_result = rows[-1] if rows else dict(ours.metrics)
    trial.status = _status(trial, ours, is_over=is_over)
    if trial.is_finished() and trial.last_result:
        trial.last_result["done"] = True
    return trial


def _status(trial: Trial, ours: OurTrial, *, is_over: bool) -> str:
    if TrialFolder(trial.path).error() is not None or _took_its_worker_down(ours):
        return Trial.ERROR
    return Trial.PENDING if ours.status in _UNFINISHED and not is_over else Trial.TERMINATED


def _took_its_worker_down(ours: OurTrial) -> bool:
    """Whether a trial has failed for another reason than a metric from which the study cannot learn."""
    return ours.status is Status.FAILED and not (ours.error or "").startswith("ObjectiveError")


def _error_of(trial: Trial, ours: OurTrial) -> BaseException | None:
    if trial.status != Trial.ERROR and not _took_its_worker_down(ours):
        return None
    error: Any = TrialFolder(trial.path).error()
    if error is None and _took_its_worker_down(ours):
        return TuneError(ours.error or "the trial failed")
    return error if trial.status == Trial.ERROR else None
