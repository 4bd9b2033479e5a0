"""The loop of ``Study.optimize``: ask, call the objective, tell, call the callbacks."""

from __future__ import annotations

import gc
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raytune_hpo.api.callbacks import Recorder
from raytune_hpo.compat.optuna.exceptions import TrialPruned
from raytune_hpo.compat.optuna.logging import library_logger
from raytune_hpo.compat.optuna.study.workers import traceback_of
from raytune_hpo.compat.optuna.trial._state import TrialState
from raytune_hpo.compat.optuna.trial.frozen import FrozenTrial
from raytune_hpo.compat.optuna.trial.live import Trial

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.study import Study

Objective = Callable[[Any], Any]
Callback = Callable[["Study", FrozenTrial], object]
_optimizing = threading.local()


@dataclass(frozen=True)
class Settings:
    """The arguments of ``Study.optimize`` after the objective, in their order; it says what they mean."""

    n_trials: int | None = None
    timeout: float | None = None
    n_jobs: int = 1
    catch: Iterable[type[BaseException]] | type[BaseException] = ()
    callbacks: Iterable[Callback] | None = None
    gc_after_trial: bool = False
    show_progress_bar: bool = False


class Optimizing:
    """One call of ``Study.optimize``.

    Args:
        call: calls the objective with a trial, here or on another machine.

    Raises:
        TypeError: ``catch`` names no types of exceptions, or a callback is none.
    """

    def __init__(self, study: Study, call: Callable[[Trial], Any], settings: Settings) -> None:
        self._study, self._call = study, call
        self._n_trials, self._timeout, self._n_jobs = settings.n_trials, settings.timeout, num_jobs(settings.n_jobs)
        self._catch, self._callbacks = checked_catch(settings.catch), checked_callbacks(settings.callbacks)
        self._collects, self._shows = settings.gc_after_trial, settings.show_progress_bar
        self._began_at = time.monotonic()
        self._num_ended = 0

    def run(self) -> None:
        """Run trials until there are enough of them, time is up, or the study is stopped."""
        if getattr(_optimizing, "study", None) is self._study:
            raise RuntimeError("optimize was called inside an objective; a study inside a study is another study")
        if self._n_jobs == 1:
            num = 0
            while not self._is_over(num):
                num += 1
                self._one()
            return
        self._study.sampler.reseed_rng()
        with ThreadPoolExecutor(self._n_jobs, thread_name_prefix="optuna") as pool:
            self._run_in(pool)

    def _run_in(self, pool: ThreadPoolExecutor) -> None:
        running: set[Future[None]] = set()
        num = 0
        try:
            while not self._is_over(num):
                if len(running) == self._n_jobs:
                    running = self._settle(running)
                    continue
                num += 1
                running.add(pool.submit(self._one))
            while running:
                running = self._settle(running)
        except BaseException:
            self._study._stop_flag = True
            wait(running)
            raise

    @staticmethod
    def _settle(running: set[Future[None]]) -> set[Future[None]]:
        done, left = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
        return left

    def _is_over(self, num: int) -> bool:
        if self._study._stop_flag or (self._n_trials is not None and num >= self._n_trials):
            return True
        return self._timeout is not None and time.monotonic() - self._began_at >= self._timeout

    def _one(self) -> None:
        """One trial, from beginning to end."""
        study = self._study
        outer, _optimizing.study = getattr(_optimizing, "study", None), study
        try:
            trial = study.ask()
            frozen = self._ended(trial)
        finally:
            _optimizing.study = outer
        for callback in self._callbacks:
            callback(study, frozen)
        self._num_ended += 1
        if self._shows:
            _show(self._num_ended, self._n_trials, study._best_in_words())
        if self._collects:
            gc.collect()

    def _ended(self, trial: Trial) -> FrozenTrial:
        """The trial after its objective was called.

        Raises:
            Exception: whatever the objective raised, unless it is among those to be caught.
        """
        study = self._study
        try:
            value = self._call(trial)
        except TrialPruned as pruned:
            return _told_pruned(study, trial, pruned)
        except BaseException as error:
            if _is_pruning_of_optunas(error):
                return _told_pruned(study, trial, error)
            frozen = study._tell_failed(trial, error)
            library_logger().warning(
                "Trial %d failed with parameters: %s because of %r.\n%s",
                trial.number,
                trial.params,
                error,
                traceback_of(error),
            )
            if isinstance(error, self._catch):
                return frozen
            raise
        frozen = study._tell_values(trial, value)
        if frozen.state is TrialState.COMPLETE:
            study._log_complete(frozen)
        return frozen


def _told_pruned(study: Study, trial: Trial, pruned: BaseException) -> FrozenTrial:
    frozen = study._tell_pruned(trial)
    library_logger().info("Trial %d pruned. %s", trial.number, pruned)
    return frozen


def _is_pruning_of_optunas(error: BaseException) -> bool:
    """Whether a callback of Optuna's own integrations has raised this."""
    kind = type(error)
    return kind.__name__ == "TrialPruned" and kind.__module__.startswith("optuna")


def checked_catch(catch: Any) -> tuple[type[BaseException], ...]:
    """The types of exceptions to catch, from one type or several.

    Raises:
        TypeError: it is neither.
    """
    types = tuple(catch) if isinstance(catch, Iterable) else (catch,)
    for kind in types:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise TypeError(f"catch names types of exceptions, got {kind!r}")
    return types


def checked_callbacks(callbacks: Any) -> list[Callback]:
    """A list of callbacks.

    Raises:
        TypeError: it is not a list, or one of them cannot be called with a study and a trial.
    """
    if not isinstance(callbacks, Iterable | None):
        raise TypeError(
            f"callbacks is a list of functions of a study and a trial, got {callbacks!r}; write [...] around it"
        )
    checked = list(callbacks or ())
    for callback in checked:
        if isinstance(callback, Recorder):
            raise TypeError(
                f"a callback takes a study and a trial, got the logger {callback!r}; to record the study, create it in a "
                f"storage, and call raytune_hpo.integrations.record(study.study_name, logger, storage=...) after optimize"
            )
        if not callable(callback):
            raise TypeError(f"callbacks is a list of functions of a study and a trial, got {callback!r} among them")
    return checked


def num_jobs(n_jobs: int) -> int:
    """The number of threads; -1 means one for each processor.

    Raises:
        ValueError: it is neither -1 nor at least 1.
    """
    if n_jobs != -1 and n_jobs < 1:
        raise ValueError(f"n_jobs is how many trials run at a time, or -1 for one on each processor, got {n_jobs}")
    return (os.cpu_count() or 1) if n_jobs == -1 else n_jobs


def checked_values(value: Any, num_goals: int) -> tuple[list[float] | None, str | None]:
    """The return value of an objective as a value for each goal, or the reason why it is not valid."""
    given = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    values = []
    for one in given:
        try:
            number = float(one)
        except (TypeError, ValueError):
            return None, f"the value {one!r} could not be taken for a number"
        if math.isnan(number):
            return None, f"the value {one!r} is not a number"
        values.append(number)
    if len(values) != num_goals:
        return None, f"{num_goals} values are wanted, one for each goal, got {len(values)}"
    return values, None


def _show(num: int, n_trials: int | None, best: str) -> None:
    """A line on the standard error stream that updates itself."""
    end = "\n" if num == n_trials else ""
    sys.stderr.write(f"\r{num}/{'?' if n_trials is None else n_trials} trials.{best}{end}")
    sys.stderr.flush()
