"""The session of a running trial: it processes each report, in the process that runs the trial."""

from __future__ import annotations

import math
import shutil
import threading
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from raytune_hpo.compat.ray_tune.autofilled import AutoFilled
from raytune_hpo.compat.ray_tune.checkpoint import Checkpoint
from raytune_hpo.compat.ray_tune.error import TrialDone, TuneError
from raytune_hpo.compat.ray_tune.listener import Listener
from raytune_hpo.compat.ray_tune.result import SHOULD_CHECKPOINT
from raytune_hpo.compat.ray_tune.stopper import reached
from raytune_hpo.compat.ray_tune.trial_folder import (
    CHECKPOINT_NAME,
    TrialRecord,
    flattened,
    linked,
    state_of,
)
from raytune_hpo.compat.ray_tune.trials import Experiment, Trial
from raytune_hpo.goals import Goal
from raytune_hpo.runtime.trial_run import TrialRun
from raytune_hpo.space.values import fresh

Write = Callable[[Path], object]

# Metrics that the journal does not get: it has them anyway, or they have another meaning there.
_LEFT_OUT = frozenset(
    (
        "timestamp checkpoint_dir_name done date time_this_iter_s pid hostname node_ip time_since_restore "
        "iterations_since_restore trial_id experiment_tag should_checkpoint step save checkpoint status"
    ).split()
)
_MAX_TEXT = 200


class TrialSession:
    """One run of a trial.

    Args:
        run: the run in this package's runtime, which carries reports to the study.
        begun_with: the checkpoint from which it resumes; None: it begins from scratch.

    Attributes:
        last: the newest result; None before there is one.
        written: a checkpoint for the next report, see ``session.checkpoint_dir``.
    """

    def __init__(
        self,
        experiment: Experiment,
        trial: Trial,
        listener: Listener,
        run: TrialRun,
        begun_with: Checkpoint | None,
    ) -> None:
        self.trial, self.record = trial, TrialRecord(trial.path, trial.config)
        self.last: dict[str, Any] | None = None
        self.written: Checkpoint | None = None
        self._experiment, self._listener, self._run = experiment, listener, run
        self._lock = threading.RLock()
        self._is_over = False
        self._step: int | None = None
        self._told: dict[str, Any] = {}  # the newest result as reported to the study; empty if it was not
        self._newest: Path | None = None  # the newest checkpoint that this run has saved
        self._begin(begun_with)

    def _begin(self, begun_with: Checkpoint | None) -> None:
        self.begun_with = begun_with
        self.filled = AutoFilled({} if begun_with is None else state_of(Path(begun_with.path)))

    def begin_again(self) -> None:
        """Start again after a failure, from the newest checkpoint."""
        self._begin(self.begun_with if self._newest is None else Checkpoint(self._newest))
        self.record.forgive()

    # -------------------------------------------------------------------------------------------- reports

    def report(self, metrics: Mapping[str, Any], checkpoint: Checkpoint | None = None) -> None:
        """Process a report of a function trainable.

        Raises:
            TrialDone: the trial ends here.
            TrialStopped: it is stopped or paused.
        """
        with self._lock:
            write = None if checkpoint is None else partial(_copied, Path(checkpoint.path))
            result = self.filled.complete(metrics, fresh(self.trial.config))  # callbacks may change theirs
            self.deliver(result, write, is_given=write is not None)

    def deliver(self, result: dict[str, Any], write: Write | None, *, is_given: bool = False) -> None:
        """Pass a complete result on to the driver, record it, and report it to the study.

        Args:
            write: writes a checkpoint of the trial's current state; None: it cannot be saved now.
            is_given: whether the script has given the checkpoint, so that it is saved in any case.

        Raises:
            TrialDone, TrialStopped: see ``report``.
        """
        with self._lock:
            if self._is_over:
                raise TrialDone
            trial = self.trial
            result.update(trial_id=trial.trial_id, experiment_tag=trial.experiment_tag)
            stop = self._experiment.stop
            result["done"] = bool(result.get("done")) or (bool(stop) and reached(stop, flattened(result)))
            heard = self._listener.heard(trial.trial_id, result)
            result, stops = heard.result, heard.stops or bool(heard.result.get("done"))
            self.last = result
            if write is not None and (is_given or heard.saves or self._is_due(result, stops)):
                self._save(write)
            flat, self._told = flattened(result), {}
            self.record.append(result, flat)
            self._tell(flat, write, stops=stops)
            if stops:
                self._is_over = True
                raise TrialDone

    def _is_due(self, result: Mapping[str, Any], stops: bool) -> bool:
        """Whether a class trainable saves now."""
        config = self._experiment.checkpoints
        every = config.checkpoint_frequency
        is_time = every > 0 and result["training_iteration"] % every == 0
        return is_time or bool(result.get(SHOULD_CHECKPOINT)) or (stops and bool(config.checkpoint_at_end))

    def _tell(self, flat: Mapping[str, Any], write: Write | None, *, stops: bool) -> None:
        """Report to the study, which may stop or pause the trial here."""
        experiment = self._experiment
        step = self._counted(flat)
        if step is None or (self._step is not None and step <= self._step):
            return
        if stops and experiment.last_step is not None and step < experiment.last_step:
            return  # a member that ends before its segment does is not continued
        told = plain(flat, experiment.metrics)
        if experiment.needs_goals and not all(metric in told for metric in experiment.metrics):
            self._check_goals(flat)
            return
        self._step, self._told = step, dict(told)
        if experiment.population is not None or experiment.pauses:
            told["save"] = partial(self._lend, write)
        self._run.report(told, step)

    def _counted(self, flat: Mapping[str, Any]) -> int | None:
        try:
            return self._experiment.steps.of(flat)
        except KeyError as error:
            raise TuneError(
                f"time_attr is a metric of every result, {error} is not in this one, which has {sorted(flat)}; report it"
            ) from error

    def _check_goals(self, flat: Mapping[str, Any]) -> None:
        """Check that no goal is missing; values that are not numbers (NaN) are accepted.

        Raises:
            TuneError: a scheduler needs a metric that was not reported.
        """
        for metric in self._experiment.metrics:
            if metric not in flat:
                raise TuneError(
                    f"metric {metric!r} is needed in every result, this one has {sorted(flat)}; report it, or change metric="
                )

    # -------------------------------------------------------------------------------------------- checkpoints

    def save_at_end(self, write: Write) -> None:
        """Save a class trainable that has been stopped, if checkpoints are saved at the end."""
        with self._lock:
            if self._experiment.checkpoints.checkpoint_at_end and not self._is_over:
                self._save(write)

    def save_stopped(self, write: Write) -> None:
        """Save a trial that was stopped for good at a report without a checkpoint."""
        experiment = self._experiment
        with self._lock:
            if experiment.population is None and not experiment.pauses and self.last is not None:
                self._save(write)

    def _save(self, write: Write) -> Path:
        """Save a checkpoint of the newest result, and delete those that are not to be kept."""
        assert self.last is not None, "a trial saves with a result"
        place = self.record.save(write, self.last)
        self.last[CHECKPOINT_NAME], self._newest = place.name, place
        self._prune()
        self._listener.saved(self.trial.trial_id, str(place))
        return place

    def _lend(self, write: Write | None, folder: Path) -> None:
        """Link the newest checkpoint into the study's own store, so that any trial may continue from it."""
        is_saved = self.last is not None and bool(self.last.get(CHECKPOINT_NAME))
        if write is not None and not is_saved:
            self._save(write)
        if self._newest is not None:
            linked(self._newest, folder)
        elif self.begun_with is not None:
            linked(Path(self.begun_with.path), folder)

    def _prune(self) -> None:
        config = self._experiment.checkpoints
        there = self.record.checkpoints()
        if config.num_to_keep is None or len(there) <= config.num_to_keep:
            return
        ranked = there[::-1]
        if config.checkpoint_score_attribute is not None:
            goal = Goal(config.checkpoint_score_attribute, config.checkpoint_score_order)
            ranked.sort(key=lambda place: _loss(goal, place))
        for place in ranked[config.num_to_keep :]:
            if place != there[-1]:
                shutil.rmtree(place, ignore_errors=True)

    # -------------------------------------------------------------------------------------------- the end

    def fail(self, error: BaseException) -> str:
        """Record the exception of the trainable; return its traceback."""
        text = "".join(traceback.format_exception(error))
        self.record.fail(error, text)
        return text

    def outcome(self) -> dict[str, Any]:
        """The final result for the study: the newest one."""
        if self._told:
            return self._told
        told = {} if self.last is None else plain(flattened(self.last), self._experiment.metrics)
        return told or {"training_iteration": 0}


def plain(flat: Mapping[str, Any], metrics: tuple[str, ...]) -> dict[str, Any]:
    """The part of a flat result that a journal keeps: finite numbers and short strings; of ``metrics`` only numbers."""
    told: dict[str, Any] = {}
    for key, value in flat.items():
        if key not in metrics and (key in _LEFT_OUT or key.startswith(("config/", "$"))):
            continue
        if hasattr(value, "item") and getattr(value, "size", 1) in (1, None):
            value = value.item()
        is_text = isinstance(value, str) and len(value) <= _MAX_TEXT and key not in metrics
        if is_text or isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
            told[key] = value
    return told


def _copied(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)


def _loss(goal: Goal, place: Path) -> float:
    value = flattened(state_of(place)).get(goal.metric)
    return math.inf if value is None else float(goal.loss(value))
