"""The driver's side of an experiment: the state of its trials, and serialised calls of callbacks, stoppers and reporters."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from raytune_hpo.compat.ray_tune.callback import Callback
from raytune_hpo.compat.ray_tune.checkpoint import Checkpoint
from raytune_hpo.compat.ray_tune.error import TrialDone
from raytune_hpo.compat.ray_tune.listener import Heard
from raytune_hpo.compat.ray_tune.progress_reporter import ProgressReporter
from raytune_hpo.compat.ray_tune.stopper import Stopper
from raytune_hpo.compat.ray_tune.trials import Trial


class Driver:
    """The listener of all trials, in the process that runs the script. Thread-safe.

    Args:
        callbacks: get all events, in order.
        stopper: a function or object that ends trials; None: there is none.
        fails_fast: whether the first trial that fails ends the experiment.

    Attributes:
        trials: by their ids, in the order in which they began.
        stops_all: set when the experiment is to end.
        failure: the exception that a callback or a stopper raised; it ends the experiment.
    """

    def __init__(
        self,
        callbacks: Sequence[Callback] = (),
        stopper: Stopper | None = None,
        reporter: ProgressReporter | None = None,
        *,
        fails_fast: bool = False,
    ) -> None:
        self.trials: dict[str, Trial] = {}
        self.stops_all = threading.Event()
        self.failure: BaseException | None = None
        self._callbacks, self._stopper, self._reporter = list(callbacks), stopper, reporter
        self._fails_fast = fails_fast
        self._iteration = 0
        self._is_over = False
        self._lock = threading.RLock()

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to call here, so that trials on a cluster have to ask the driver."""
        return bool(self._callbacks) or self._stopper is not None or self._reporter is not None or self._fails_fast

    @property
    def is_over(self) -> bool:
        """Whether no further trial is to begin."""
        return self.stops_all.is_set()

    def begin(self, **facts: Any) -> None:
        """To be called before the first trial."""
        for callback in self._callbacks:
            self._outside_trials(partial(callback.setup, **facts))

    def end(self) -> None:
        """To be called after the last trial: trials that have not ended by themselves have been stopped."""
        with self._lock:
            for trial in list(self.trials.values()):
                if not trial.is_finished():
                    self.ended(trial.trial_id, None)
            self._is_over = True
            trials = list(self.trials.values())
            for callback in self._callbacks:
                self._outside_trials(partial(callback.on_experiment_end, trials=trials))
            self._show(done=True)

    def give_up(self, error: BaseException) -> None:
        """End the experiment, since trials can no longer be reached."""
        if self.failure is None and not self._is_over:
            self.failure = error
        self.stops_all.set()

    # -------------------------------------------------------------------------------------------- events of trials

    def started(self, trial: Trial) -> None:
        with self._lock:
            before = self.trials.get(trial.trial_id)
            if before is not None:
                trial.last_result = before.last_result
                if before.status == Trial.RUNNING:
                    self._tell("on_trial_recover", before)
            self.trials[trial.trial_id] = trial
            trial.status = Trial.RUNNING
            self._tell("on_trial_start" if before is None else "on_trial_restore", trial)

    def heard(self, trial_id: str, result: dict[str, Any]) -> Heard:
        with self._lock:
            if self._is_over:
                raise TrialDone  # results after the experiment's end are not kept
            trial = self.trials[trial_id]
            if self.stops_all.is_set():
                trial.last_result = {**result, "done": True}
                return Heard({**result, "done": True}, stops=True)
            stops = self._outside_trials(lambda: self._stops(trial_id, result)) or False
            result["done"] = bool(result.get("done")) or stops
            trial.last_result = result
            self._iteration += 1
            self._step("on_step_begin")
            self._tell("on_trial_result", trial, result=result)
            self._step("on_step_end")
            saves, trial.wants_checkpoint = trial.wants_checkpoint, False
            self._show(done=False)
            return Heard(result, stops=stops or self.failure is not None, saves=saves)

    def saved(self, trial_id: str, checkpoint: str) -> None:
        with self._lock:
            trial = self.trials[trial_id]
            self._tell("on_trial_save", trial)
            self._tell("on_checkpoint", trial, checkpoint=Checkpoint(checkpoint))

    def paused(self, trial_id: str) -> None:
        with self._lock:
            self.trials[trial_id].status = Trial.PAUSED

    def ended(self, trial_id: str, error: str | None) -> None:
        with self._lock:
            trial = self.trials[trial_id]
            if self._is_over or trial.is_finished():
                return
            trial.error, trial.status = error, Trial.TERMINATED if error is None else Trial.ERROR
            if error is None and trial.last_result:
                trial.last_result = {**trial.last_result, "done": True}
            self._tell("on_trial_complete" if error is None else "on_trial_error", trial)
            if error is not None and self._fails_fast:
                self.stops_all.set()

    # -------------------------------------------------------------------------------------------- the user's code

    def _stops(self, trial_id: str, result: dict[str, Any]) -> bool:
        if self._stopper is None:
            return False
        stops = bool(self._stopper(trial_id, result))
        if self._stopper.stop_all():
            self.stops_all.set()
            return True
        return stops

    def _tell(self, hook: str, trial: Trial, **more: Any) -> None:
        if not self._callbacks:
            return
        trials, iteration = list(self.trials.values()), self._iteration
        self._outside_trials(
            lambda: [
                getattr(callback, hook)(iteration=iteration, trials=trials, trial=trial, **more)
                for callback in self._callbacks
            ]
        )

    def _step(self, hook: str) -> None:
        if self._callbacks:
            trials, iteration = list(self.trials.values()), self._iteration
            self._outside_trials(
                lambda: [getattr(callback, hook)(iteration=iteration, trials=trials) for callback in self._callbacks]
            )

    def _show(self, *, done: bool) -> None:
        reporter = self._reporter
        if reporter is None:
            return
        trials = list(self.trials.values())

        def show() -> None:
            if reporter.should_report(trials, done=done):
                reporter.report(trials, done)

        self._outside_trials(show)

    def _outside_trials(self, function: Callable[[], Any]) -> Any:
        """Call the user's code as if no trial were running in this thread, so that its output is shown.

        An exception ends the experiment, and ``fit`` raises it.
        """
        try:
            return contextvars.Context().run(function)
        except Exception as error:
            self.failure = self.failure or error
            self.stops_all.set()
            return None
