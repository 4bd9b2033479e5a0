"""Base class of the loggers: facts are folded into attempts that begin, report and end, and each is recorded once."""

from __future__ import annotations

import importlib.util
import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from raytune_hpo.api import stored
from raytune_hpo.api.callbacks import Recorder, check_callback, claim, release
from raytune_hpo.codec import is_trial_fact
from raytune_hpo.display.text import cut
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import (
    Drawn,
    Fact,
    Printed,
    Released,
    Reported,
    Saved,
    SessionOpened,
    Started,
    Status,
    StudyCreated,
    StudyStopped,
)
from raytune_hpo.space.growing import domain_of, grown
from raytune_hpo.spec import StudySpec, stored_spec
from raytune_hpo.trial import Report, Trial, evolve, unpacked

_opening = threading.Lock()  # studies that begin at the same time may have been given the same logger
_OF_NO_ATTEMPT = (Printed, Saved, Released)  # facts not passed to loggers; checkpoints stay where they are


class AttemptKey(NamedTuple):
    """The key of one attempt at a trial. An attempt that came back unfinished is kept, not overwritten by the next."""

    number: int
    attempt: int

    def __str__(self) -> str:
        return f"trial-{self.number:05}" + (f"-attempt-{self.attempt}" if self.attempt > 1 else "")


def attempt_key(trial: Trial) -> AttemptKey:
    return AttemptKey(trial.number, trial.attempt)


class TrialRecorder(ABC):
    """Base class of loggers: a Recorder that receives each attempt in order, unless its record already holds it.

    It follows one study at a time, and refuses another until it is closed. Recording must be repeatable: after a crash, an
    attempt whose end is not in the record is passed again from its beginning.

    Attributes:
        best: the best completed trial so far, by the first metric.
    """

    best: Trial | None = None

    def __init__(self) -> None:
        self._live: StudySpec | None = None
        self._is_open = False
        self._forget()

    def _forget(self) -> None:
        self._spec: StudySpec | None = None
        self._open: dict[int, Trial] = {}  # by number, the trials that have not finished
        self._begun: dict[int, int] = {}  # by number, the attempt with which the current run began
        self._due: set[int] = set()  # the numbers of the trials whose ``begin`` is still to be called
        self._held: Collection[AttemptKey] = ()
        self._stop: StudyStopped | None = None
        self.best = None

    # -------------------------------------------------------------------------------------------- for callers

    def open(self, spec: StudySpec | None = None) -> None:
        """Begin to follow a study; its facts follow. ``spec`` has the functions of its space, if they are known here."""
        with _opening:
            self.check_free()
            self._is_open = True
            self._forget()
            self._live = spec

    def check_free(self) -> None:
        """Check that it follows no study now.

        Raises:
            SpecError: it follows one.
        """
        if self._is_open:
            followed = self._spec or self._live
            name = "another study" if followed is None else f"study {followed.name!r}"
            raise SpecError(f"this logger follows {name}; make one logger for each study")

    def __call__(self, fact: Fact) -> None:
        if isinstance(fact, StudyCreated):
            stored = stored_spec(fact)
            self._spec = stored if self._live is None else replace(stored, space=self._live.space)
            self._held = self.begin_study(self._spec, fact.at)
        elif isinstance(fact, StudyStopped):
            self._stop = fact
        elif isinstance(fact, SessionOpened):
            self._stop = None
        elif is_trial_fact(fact) and not isinstance(fact, _OF_NO_ATTEMPT):
            self._follow(fact)

    def close(self) -> None:
        """End the record, or interrupt it if the study has not stopped."""
        try:
            if self._stop is not None:  # not earlier, since another session might have followed
                self.end_study(self._stop)
        finally:
            self.release()
            self._is_open = False

    # -------------------------------------------------------------------------------------------- for loggers

    @property
    def spec(self) -> StudySpec:
        """The spec of the study that is followed."""
        assert self._spec is not None, "a record begins with StudyCreated"
        return self._spec

    def run_key(self, trial: Trial) -> AttemptKey:
        """The key of the run that an attempt belongs to; an attempt resumed after a pause shares the paused one's run."""
        return AttemptKey(trial.number, self._begun[trial.number])

    @abstractmethod
    def begin_study(self, spec: StudySpec, created_at: float) -> Collection[AttemptKey]:
        """Begin the record, or find an existing one.

        Returns the attempts that it already holds up to their end.

        Args:
            created_at: the study's creation time, which distinguishes studies of the same name.
        """

    @abstractmethod
    def begin(self, trial: Trial) -> None:
        """A worker has received the attempt.

        If objectives define the space, this comes with the attempt's first report, or its end, and the parameters that it
        has asked for up to then.
        """

    @abstractmethod
    def report(self, trial: Trial, report: Report) -> None:
        """The attempt has reported metrics at a step."""

    @abstractmethod
    def end(self, trial: Trial) -> None:
        """The attempt has ended: its trial has finished, is paused, or waits for the next attempt."""

    @abstractmethod
    def end_study(self, stop: StudyStopped) -> None:
        """The study has stopped; it may be resumed later. Not called while it runs on without this process."""

    @abstractmethod
    def release(self) -> None:
        """Close what is open. The last call, which comes even if ``begin_study`` failed or was not called."""

    # -------------------------------------------------------------------------------------------- the fold

    def _follow(self, fact: Any) -> None:
        """Apply a trial's fact to the fold, and pass it to the logger unless the record holds that attempt."""
        before = self._open.get(fact.number)
        trial = evolve(before, unpacked(fact, self.spec.space), self.spec.goals, self.spec.constraints)
        self._open[trial.number] = trial
        if isinstance(fact, Started) and (before is None or not _goes_on(before, trial)):
            self._begun[trial.number] = trial.attempt
        if trial.status.is_finished:
            del self._open[trial.number]
            best = self.best.losses if self.best is not None else None
            if trial.losses is not None and trial.is_feasible and (best is None or trial.losses[0] < best[0]):
                self.best = trial
        if isinstance(fact, Drawn):
            self._spec = replace(self.spec, space=grown(self.spec.space, fact.name, domain_of(fact.domain)))
        if attempt_key(trial) in self._held:
            return
        if isinstance(fact, Started):
            self._due.add(trial.number)
        if self.spec.grows and isinstance(fact, (Started, Drawn)):
            return  # its parameters come one by one
        if trial.number in self._due:
            self._due.remove(trial.number)
            self.begin(before if before is not None and self.spec.grows else trial)  # as it was when it began
        if isinstance(fact, Reported):
            self.report(trial, trial.reports[-1])
        elif not isinstance(fact, Started):
            self.end(trial)


def _goes_on(before: Trial, trial: Trial) -> bool:
    """Whether an attempt resumes a paused trial."""
    return before.status is Status.PAUSED and trial.from_step is not None and trial.from_step == before.last_step


def record(name: str, recorder: Recorder, storage: Any = None) -> None:
    """Complete a logger's record of a stored study, or create one afterwards.

    Args:
        name: the study's name.
        recorder: the logger, such as ``hpo.integrations.mlflow.Logger()``.
        storage: as for Tuner.

    Raises:
        StudyNotFound: no study has that name; the message lists the nearest ones.
        SpecError: the name is not text, or the recorder is not a logger, or follows another study now.
    """
    if not isinstance(name, str):
        raise SpecError(f"record takes the name of a stored study, such as results.name, got {name!r}")
    check_callback(recorder)
    if not isinstance(recorder, Recorder):
        raise SpecError(f"record takes a logger, such as hpo.integrations.mlflow.Logger(), got {recorder!r}")
    with stored.opened(storage) as studies:
        facts = studies.read(name)
        claim([recorder])
        try:
            recorder.open(None)
        finally:
            release([recorder])
        try:
            for fact in facts:
                recorder(fact)
        finally:
            recorder.close()


def require(module: str, package: str) -> None:
    """Check early, without importing it, that a package is installed, instead of failing in the middle of a study.

    Raises:
        ModuleNotFoundError: it is missing; the message says what to install.
    """
    if importlib.util.find_spec(module) is None:
        raise ModuleNotFoundError(f"this needs the package {package}: pip install {package}", name=module)


# ------------------------------------------------------------------------------------------------ values


def numbers_in(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The metrics that can be plotted: finite numbers, with True and False as 1 and 0."""
    pairs = {name: value for name, value in metrics.items() if isinstance(value, (int, float))}
    return {name: float(value) for name, value in pairs.items() if math.isfinite(value)}


def texts_in(metrics: Mapping[str, Any]) -> dict[str, str]:
    """All other metrics, as text."""
    numbers = numbers_in(metrics)
    return {name: str(value) for name, value in metrics.items() if name not in numbers}


def result_of(trial: Trial) -> tuple[int, dict[str, Any]]:
    """The step of a trial's last report, and the metrics of its result that this report did not have."""
    if not trial.reports:
        return 0, dict(trial.metrics)
    last = trial.reports[-1]
    return last.step, {name: value for name, value in trial.metrics.items() if last.metrics.get(name) != value}


def parameters_of(spec: StudySpec, trial: Trial, width: int = 500) -> dict[str, Any]:
    """The active parameters by column name; values other than numbers and text become text."""
    return {
        name: value if isinstance(value, (bool, int, float, str)) else cut(repr(value), width)
        for name, value in spec.space.flatten(trial.config).items()
    }
