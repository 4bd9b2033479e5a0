"""The objective of an experiment: runs one trial of a trainable, a function or a class, in the process that calls it."""

from __future__ import annotations

import ctypes
import inspect
import os
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from raytune_hpo.compat.ray_tune.checkpoint import Checkpoint
from raytune_hpo.compat.ray_tune.error import TrialDone, TuneError
from raytune_hpo.compat.ray_tune.listener import Listener
from raytune_hpo.compat.ray_tune.own_copy import own_copy
from raytune_hpo.compat.ray_tune.prepared import Prepared
from raytune_hpo.compat.ray_tune.result import DEFAULT_METRIC
from raytune_hpo.compat.ray_tune.session import entered, report
from raytune_hpo.compat.ray_tune.trainable import Trainable
from raytune_hpo.compat.ray_tune.trial_session import TrialSession
from raytune_hpo.compat.ray_tune.trials import Experiment, Trial, claimed_folder, found_folder
from raytune_hpo.errors import TrialStopped
from raytune_hpo.runtime.trial_run import TrialRun, current_run

_CLONE_FS = 0x200  # of Linux' sched.h: what threads share of file systems, among it the working folder
_FROM_FOLDER = "TUNE_ORIG_WORKING_DIR"  # the folder that the script was started in, as trainables read it
_thread = threading.local()


class TrialRunner:
    """Runs trials.

    Args:
        listener: gets the events of trials.
        in_thread: whether trials run in threads of one process, which share its working folder.
    """

    def __init__(self, experiment: Experiment, trainable: Prepared, listener: Listener, *, in_thread: bool) -> None:
        self.__name__ = trainable.__name__
        self._experiment, self._listener, self._in_thread = experiment, listener, in_thread
        # Parameters come with each call: on Ray the object store has them, and they are not sent with this object as well.
        self._trainable = replace(trainable, parameters=dict.fromkeys(trainable.parameters))
        self._idle: list[Trainable] = []  # to be reused by other trials

    def __call__(self, config: dict[str, Any], **parameters: Any) -> dict[str, Any]:
        run = current_run()
        assert run is not None, "a runtime calls this"
        experiment, assignment = self._experiment, run.assignment
        if assignment.number < len(experiment.known):
            return dict(experiment.known[assignment.number])
        if assignment.number in experiment.skipped or self._listener.is_over:
            raise TrialStopped("no further trial is to begin")
        number = assignment.number if assignment.slot is None else assignment.slot
        own = experiment.config_of(config, goes_on=assignment.from_step is not None)
        trial = experiment.trial(number, own)
        if number in experiment.begins_anew and assignment.attempt == 1:
            shutil.rmtree(found_folder(trial), ignore_errors=True)
        trial.path = claimed_folder(trial)
        session = TrialSession(experiment, trial, self._listener, run, self._beginning(run, trial))
        try:
            with entered(session), _in_folder(trial.path, self._working_folder):
                return self._run(session, parameters)
        finally:
            session.record.close()
            if experiment.log_file is not None:
                with open(Path(trial.path) / experiment.log_file, "a", encoding="utf-8") as file:
                    file.write(str(run.output))

    def close(self) -> None:
        """Clean up the idle trainables."""
        while self._idle:
            self._idle.pop().stop()

    @property
    def _working_folder(self) -> str:
        """How a trial gets its own working folder: not at all, for its thread, or for its process."""
        if not self._experiment.changes_folder:
            return "none"
        return "thread" if self._in_thread else "process"

    def _beginning(self, run: TrialRun, trial: Trial) -> Checkpoint | None:
        """The checkpoint from which a trial resumes: the study's or, if it is tried again, the newest in its folder."""
        begun_with = run.saving.begun_with
        if begun_with is not None:
            return Checkpoint(begun_with.path)
        is_again = run.assignment.attempt > 1 or run.assignment.number in self._experiment.identities
        is_again = is_again and run.assignment.number not in self._experiment.begins_anew
        return trial.checkpoint if is_again else None

    def _run(self, session: TrialSession, parameters: dict[str, Any]) -> dict[str, Any]:
        """Train until the trial ends, and again if it has failed and has attempts left.

        Each attempt gets copies: the configuration itself is the trial's record, and the parameters are those of all trials.
        """
        experiment, trial, num_failed = self._experiment, session.trial, 0
        session.record.forgive()
        while True:
            self._listener.started(trial)
            try:
                self._train(session, own_copy(trial.config), own_copy(parameters))
            except TrialDone:
                pass  # at the report that fulfilled its stop rule: this is its end
            except TrialStopped:
                if experiment.population is not None or experiment.pauses:
                    self._listener.paused(trial.trial_id)
                else:
                    self._listener.ended(trial.trial_id, None)
                raise
            except (Exception, SystemExit) as error:
                num_failed += 1
                text = session.fail(error)
                if 0 <= experiment.max_failures < num_failed:
                    self._listener.ended(trial.trial_id, text)
                    raise
                session.begin_again()
                continue
            self._listener.ended(trial.trial_id, None)
            return session.outcome()

    # -------------------------------------------------------------------------------------------- functions and classes

    def _train(self, session: TrialSession, config: dict[str, Any], parameters: dict[str, Any]) -> None:
        if self._trainable.is_class:
            self._train_class(session, config, parameters)
        else:
            self._call(session, config, parameters)

    def _call(self, session: TrialSession, config: dict[str, Any], parameters: dict[str, Any]) -> None:
        """Call a function; values that it yields, and the one that it returns, are reports."""
        begun_with = session.begun_with
        former = {"reporter": report, "checkpoint_dir": None if begun_with is None else begun_with.path}
        filled_in = {name: former[name] for name in self._trainable.former_arguments}
        returned = self._trainable.trainable(config, **filled_in, **parameters)
        if inspect.isgenerator(returned):
            returned = _drained(returned, session)
        if returned is not None:
            session.report(_metrics_of(returned))

    def _train_class(self, session: TrialSession, config: dict[str, Any], parameters: dict[str, Any]) -> None:
        """Train an object of a class, step by step."""
        trainable = self._object(session.trial, config, parameters)
        write = partial(_saved, trainable)
        is_whole = False
        try:
            if session.begun_with is not None:
                trainable.restore(session.begun_with)
            while True:
                session.deliver(trainable.train(), write)
        except (TrialDone, TrialStopped) as end:
            is_whole = True
            if isinstance(end, TrialStopped) and not self._experiment.pauses and self._experiment.population is None:
                session.save_at_end(write)
            raise
        finally:
            if self._experiment.reuses and is_whole:
                self._idle.append(trainable)
            else:
                trainable.stop()

    def _object(self, trial: Trial, config: dict[str, Any], parameters: dict[str, Any]) -> Trainable:
        """An idle object that can be reset to the trial's configuration, or else a new one."""
        with suppress(IndexError):  # none is idle
            trainable = self._idle.pop()
            if trainable.reset(config, trial_info=trial):
                return trainable
            trainable.stop()
        made: Trainable = self._trainable.trainable(config, trial_info=trial, parameters=parameters)
        return made


def _saved(trainable: Trainable, folder: Path) -> None:
    trainable.save(folder)


def _drained(generator: Any, session: TrialSession) -> Any:
    """Report the values that a generator yields; return its return value."""
    try:
        while True:
            try:
                item = next(generator)
            except StopIteration as stop:
                return stop.value
            session.report(_metrics_of(item))
    finally:
        generator.close()


def _metrics_of(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, (int, float)) or hasattr(value, "dtype"):
        return {DEFAULT_METRIC: value}
    raise TuneError(f"a function returns or yields a number or a dict of metrics, got {value!r}")


@contextmanager
def _in_folder(path: str, way: str) -> Iterator[None]:
    """Change into a trial's folder for a while.

    Threads share the working folder of their process, except on Linux, where a thread can have its own.
    """
    os.environ.setdefault(_FROM_FOLDER, os.getcwd())
    if way == "none" or (way == "thread" and not _unshared()):
        yield
        return
    before = os.getcwd()
    os.chdir(path)
    try:
        yield
    finally:
        os.chdir(before)


def _unshared() -> bool:
    """Give this thread its own working folder, if it has none yet; return whether that was possible."""
    if not hasattr(_thread, "is_unshared"):
        is_linux = sys.platform.startswith("linux")
        _thread.is_unshared = is_linux and ctypes.CDLL(None).unshare(_CLONE_FS) == 0
    return bool(_thread.is_unshared)
