"""What the loggers share: facts folded into attempts that begin, report and end, each of which is recorded once."""

from __future__ import annotations

import importlib.util
import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from raytune_hpo.api import stored
from raytune_hpo.api.callbacks import Recorder
from raytune_hpo.codec import is_trial_fact
from raytune_hpo.display.text import cut
from raytune_hpo.facts import Fact, Printed, Reported, SessionOpened, Started, StudyCreated, StudyStopped
from raytune_hpo.spec import StudySpec
from raytune_hpo.trial import Report, Trial, evolve


class Key(NamedTuple):
    """An attempt at a trial. One that came back unfinished is recorded beside the next one, not over it."""

    number: int
    attempt: int

    def __str__(self) -> str:
        return f"trial-{self.number:05}" + (f"-attempt-{self.attempt}" if self.attempt > 1 else "")


def key_of(trial: Trial) -> Key:
    return Key(trial.number, trial.attempt)


class TrialRecorder(ABC):
    """A Recorder that is told what became of each attempt, in order, and only what its record does not hold yet.

    For one study at a time. What is recorded must bear to be recorded again: after a crash, an attempt that the record
    does not hold to its end is told from its beginning.

    Attributes:
        best: the best completed trial by the first metric up to now.
    """

    best: Trial | None = None

    def __init__(self) -> None:
        self._live: StudySpec | None = None
        self._forget()

    def _forget(self) -> None:
        self._spec: StudySpec | None = None
        self._open: dict[int, Trial] = {}  # by number, those that have not finished
        self._held: Collection[Key] = ()
        self._stop: StudyStopped | None = None
        self.best = None

    # -------------------------------------------------------------------------------------------- for callers

    def open(self, spec: StudySpec | None = None) -> None:
        self._forget()
        self._live = spec

    def __call__(self, fact: Fact) -> None:
        if isinstance(fact, StudyCreated):
            stored = StudySpec.from_json(fact.spec)
            self._spec = stored if self._live is None else replace(stored, space=self._live.space)
            self._held = self.begin_study(self._spec, fact.at)
        elif isinstance(fact, StudyStopped):
            self._stop = fact
        elif isinstance(fact, SessionOpened):
            self._stop = None
        elif is_trial_fact(fact) and not isinstance(fact, Printed):
            self._hear(fact)

    def close(self) -> None:
        if self._stop is not None:  # only now is it certain that no other session follows
            self.end_study(self._stop)
        self.release()

    # -------------------------------------------------------------------------------------------- for loggers

    @property
    def spec(self) -> StudySpec:
        assert self._spec is not None, "a record begins with StudyCreated"
        return self._spec

    @abstractmethod
    def begin_study(self, spec: StudySpec, created_at: float) -> Collection[Key]:
        """Begin the record or find it again; the attempts that it holds to their end.

        Args:
            created_at: with the name, tells studies apart.
        """

    @abstractmethod
    def begin(self, trial: Trial) -> None:
        """An attempt was handed out."""

    @abstractmethod
    def report(self, trial: Trial, report: Report) -> None:
        """It reported metrics at a step."""

    @abstractmethod
    def end(self, trial: Trial) -> None:
        """It finished, or came back unfinished and is waiting."""

    @abstractmethod
    def end_study(self, stop: StudyStopped) -> None:
        """The study has stopped, and may be taken up again. Not called where it runs on without this process."""

    @abstractmethod
    def release(self) -> None:
        """Let go of files and connections; the last call."""

    # -------------------------------------------------------------------------------------------- the fold

    def _hear(self, fact: Any) -> None:
        if isinstance(fact, Started) and fact.config is not None:
            fact = replace(fact, config=self.spec.space.unpack(fact.config))
        trial = evolve(self._open.get(fact.number), fact, self.spec.goals)
        self._open[trial.number] = trial
        if trial.status.is_finished:
            del self._open[trial.number]
            self._rank(trial)
        if key_of(trial) not in self._held:
            self._tell(fact, trial)

    def _tell(self, fact: Any, trial: Trial) -> None:
        if isinstance(fact, Started):
            self.begin(trial)
        elif isinstance(fact, Reported):
            self.report(trial, trial.reports[-1])
        else:
            self.end(trial)

    def _rank(self, trial: Trial) -> None:
        best = self.best.losses if self.best is not None else None
        if trial.losses is not None and (best is None or trial.losses[0] < best[0]):
            self.best = trial


def record(name: str, recorder: Recorder, storage: Any = None) -> None:
    """Bring a logger's record of a stored study up to date: what it lacks is added, whether it was there or not.

    Args:
        storage: as for Tuner.

    Raises:
        StudyNotFound: naming the nearest ones.
    """
    store = stored.stored(storage)
    try:
        facts = store.read(name)
        recorder.open(None)
        try:
            for fact in facts:
                recorder(fact)
        finally:
            recorder.close()
    finally:
        store.close()


def require(module: str, package: str) -> None:
    """Refuse at once what would fail in the middle of a study; nothing is imported yet.

    Raises:
        ModuleNotFoundError: naming what to install.
    """
    if importlib.util.find_spec(module) is None:
        raise ModuleNotFoundError(f"this needs the package {package}: pip install {package}", name=module)


# ------------------------------------------------------------------------------------------------ values


def numbers_in(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The metrics that can be drawn: finite numbers, truth as 0 and 1."""
    pairs = {name: value for name, value in metrics.items() if isinstance(value, (int, float))}
    return {name: float(value) for name, value in pairs.items() if math.isfinite(value)}


def texts_in(metrics: Mapping[str, Any]) -> dict[str, str]:
    """The others, as text."""
    numbers = numbers_in(metrics)
    return {name: str(value) for name, value in metrics.items() if name not in numbers}


def result_of(trial: Trial) -> tuple[int, dict[str, Any]]:
    """What a trial's result says beyond its last report, and at which step that belongs."""
    if not trial.reports:
        return 0, dict(trial.metrics)
    last = trial.reports[-1]
    return last.step, {name: value for name, value in trial.metrics.items() if last.metrics.get(name) != value}


def parameters_of(spec: StudySpec, trial: Trial, width: int = 500) -> dict[str, Any]:
    """The active parameters by the names of their columns; what is no plain value as text."""
    flat = spec.space.flatten(trial.config)
    return {name: value if _is_plain(value) else cut(repr(value), width) for name, value in flat.items()}


def _is_plain(value: Any) -> bool:
    return isinstance(value, (bool, int, float, str))
