"""The record of a study: the optimizer and journal behind Optuna's study and trials. Thread-safe.

Optuna's trials ask for parameters one by one, so the study's space grows (``core.growing``). A study has no scheduler:
Optuna's pruners judge when a script asks them, and its trials may continue nevertheless.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from raytune_hpo import registry
from raytune_hpo.compat.optuna.distributions import BaseDistribution, distribution_of, domain_and_form
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.core.messages import (
    Annotate,
    AskTrials,
    Assignment,
    Command,
    DrawParameter,
    EndTrial,
    EnqueueConfig,
    Lease,
    Parameter,
    ReportMetrics,
    TakeTrial,
)
from raytune_hpo.core.optimizer import WallClock
from raytune_hpo.errors import HpoError, JournalCorrupt, StudyNotFound
from raytune_hpo.facts import Fact, Status
from raytune_hpo.journal import Storage
from raytune_hpo.metrics import json_value
from raytune_hpo.runtime.plan import RunPlan, not_called
from raytune_hpo.runtime.resuming import open_study
from raytune_hpo.runtime.settings import Settings
from raytune_hpo.space.growing import domains_of
from raytune_hpo.spec import StudySpec, stored_spec
from raytune_hpo.trial import Trial

VIOLATION = "violation"  # the metric of a study with constraints: above 0 is infeasible
REPORT = "report "  # prefix of notes of reports whose step did not grow
TEXT = "text of "  # prefix of metrics for values that JSON numbers cannot represent
_LEFT = "the process that ran it has ended"


class Record:
    """The record of one study.

    Args:
        plan: the plan of the study; of a stored one, as it was created.
        storage: where its journal is kept.

    Attributes:
        left: the numbers of trials that an earlier process left running; they have failed.
    """

    def __init__(self, plan: RunPlan, storage: Storage) -> None:
        self._plan, self._storage = plan, storage
        self._optimizer = open_study(plan, storage, WallClock())
        self._lock = threading.RLock()
        self._asks = itertools.count()
        self._distributions: dict[int, dict[str, BaseDistribution]] = {}
        self._params: dict[int, dict[str, Any]] = {}  # of running trials: the parameters that they have asked for
        self.queued: deque[Mapping[str, Any]] = deque()  # the notes of enqueued trials
        self.left = self._fail_what_was_left()

    @classmethod
    def new(
        cls,
        name: str,
        modes: Sequence[str],
        sampler: Any,
        seed: int | None,
        storage: Storage,
        *,
        is_constrained: bool,
        recorded: Mapping[str, Any],
    ) -> Record:
        """The record of a new study.

        Args:
            modes: "min" or "max", one for each goal.
            sampler: the name of a sampler with its options, as ``registry.make`` takes it.
            is_constrained: whether its trials have constraints.
        """
        settings = Settings(
            metric=metrics_of(len(modes)) if len(modes) > 1 else metrics_of(1)[0],
            mode=list(modes) if len(modes) > 1 else modes[0],
            sampler=sampler,
            seed=seed,
            name=name,
            storage=storage,
            max_retries=0,
            resume="never",
            outcome_constraints=[f"{VIOLATION} <= 0"] if is_constrained else [],
            recorded={"runtime": "optuna", **recorded},
        )
        return cls(RunPlan.of(None, settings), storage)

    @classmethod
    def stored(cls, name: str, storage: Storage) -> Record:
        """The record of a stored study, with the settings of its creation.

        Raises:
            StudyNotFound: there is no study of that name.
            HpoError: another process runs it, or its space is not defined by its objective.
        """
        spec = registry.current_spec(spec_of(name, storage))
        if not spec.grows:
            raise HpoError(
                f"study {name!r} in {storage.url} has its own space; hpo.load({name!r}) shows it, and hpo.tune continues"
            )
        sampler = registry.make("sampler", {**spec.sampler.options, "name": spec.sampler.name})
        settings = Settings(name=name, seed=spec.seed, storage=storage, max_retries=spec.max_retries)
        plan = RunPlan(objective=not_called, spec=spec, sampler=sampler, scheduler=None, settings=settings)
        return cls(plan, storage)

    # -------------------------------------------------------------------------------------------- properties

    @property
    def name(self) -> str:
        return self._plan.spec.name

    @property
    def spec(self) -> StudySpec:
        """The spec, with the space as it is now."""
        return self.ledger.spec

    @property
    def plan(self) -> RunPlan:
        return self._plan

    @property
    def ledger(self) -> Ledger:
        with self._lock:
            return self._optimizer.ledger

    def facts(self) -> list[Fact]:
        """All facts of the study."""
        with self._lock:
            return list(self._storage.read(self.name))

    def distribution(self, number: int, name: str) -> BaseDistribution:
        """The distribution of a trial's parameter: as it was asked for in this process, or else from the space."""
        found = self._distributions.get(number, {}).get(name)
        return distribution_of(domains_of(self.spec.space)[name]) if found is None else found

    def params_of(self, trial: Trial) -> dict[str, Any]:
        """The stored values of the parameters for which a trial has asked."""
        if trial.status is Status.RUNNING:
            return dict(self._params.get(trial.number, {}))
        known = domains_of(self.spec.space)
        return {name: value for name, value in trial.config.items() if name in known}

    # -------------------------------------------------------------------------------------------- trials

    def ask(self, *, empty: bool = False) -> Assignment:
        """A trial to run: one that waits, or else a suggestion of the sampler.

        Args:
            empty: whether to leave the suggestion out, since the user's own sampler makes it.
        """
        with self._lock:
            is_users = bool(self._optimizer.ledger.enqueued)
            if empty and not is_users:
                self._handle(EnqueueConfig(config={}, at=self._now(), is_next=True))
            lease = self._handle(AskTrials(worker=f"ask-{id(self)}-{next(self._asks)}", at=self._now()))
            assert isinstance(lease, Lease)
            if not lease.assignments:
                raise HpoError(f"study {self.name!r} has nothing to ask: {self._optimizer.status().stopped}")
            assignment = lease.assignments[0]
            for key, value in (self.queued.popleft() if is_users and self.queued else {}).items():
                self.annotate(assignment.number, key, value)
            self._params[assignment.number] = {}
            return assignment

    def draw(
        self, number: int, name: str, distribution: BaseDistribution, *, given: Any = None, is_given: bool = False
    ) -> Parameter:
        """Draw a parameter for which a trial's suggestion has no value."""
        _, form = domain_and_form(distribution)
        with self._lock:
            trial = self._optimizer.ledger.trials[number]
            parameter = self._handle(
                DrawParameter(
                    number=number,
                    attempt=trial.attempt,
                    name=name,
                    domain=form,
                    at=self._now(),
                    value=given,
                    is_given=is_given,
                )
            )
        assert isinstance(parameter, Parameter)
        return parameter

    def is_users(self, number: int) -> bool:
        """Whether a trial's parameters, as far as they are known, were enqueued, and not suggested by the sampler."""
        return not self._optimizer.ledger.trials[number].is_suggested

    def note_asked(self, number: int, name: str, stored: Any, distribution: BaseDistribution) -> None:
        """Note that a trial has asked for a parameter, with its value and distribution."""
        self._params.setdefault(number, {})[name] = stored
        self._distributions.setdefault(number, {})[name] = distribution

    def report(self, number: int, step: int, value: float) -> None:
        """Report a trial's value at a step. If the step does not grow, the journal keeps it as a note."""
        with self._lock:
            trial = self._optimizer.ledger.trials[number]
            if trial.last_step is not None and step <= trial.last_step:
                self.annotate(number, *note_of_report(step, value))
                return
            metrics = _as_metrics([self.metrics[0]], [value])
            self._handle(
                ReportMetrics(number=number, attempt=trial.attempt, step=step, metrics=metrics, at=self._now())
            )

    def end(
        self,
        number: int,
        status: Status,
        values: Sequence[float] | None = None,
        *,
        constraints: Sequence[float] | None = None,
        error: str | None = None,
        reason: str | None = None,
        began_at: float | None = None,
        ended_at: float | None = None,
    ) -> None:
        """End a trial."""
        metrics = {} if values is None else _as_metrics(self.metrics, values)
        if constraints is not None and metrics:
            broken = sum(max(0.0, c) for c in constraints)
            metrics[VIOLATION] = broken if broken > 0 else max(constraints, default=0.0)
        with self._lock:
            trial = self._optimizer.ledger.trials[number]
            at = self._now() if ended_at is None else ended_at
            began_at = trial.started_at if began_at is None else began_at
            self._handle(
                EndTrial(
                    number=number,
                    attempt=trial.attempt,
                    status=status,
                    at=at,
                    metrics=metrics,
                    error=error,
                    reason=reason,
                    started_at=began_at,
                    duration_s=at - (began_at or at),
                    asked=list(self._params.pop(number, {})),
                )
            )

    def annotate(self, number: int | None, name: str, value: Any) -> None:
        """Note something about a trial, or the study.

        Raises:
            TypeError: JSON cannot represent the value.
        """
        with self._lock:
            self._handle(Annotate(number=number, name=name, value=json_value(value), at=self._now()))

    def enqueue(self, params: Mapping[str, Any], notes: Mapping[str, Any], *, is_next: bool = False) -> None:
        """Enqueue these parameters; the others are sampled."""
        with self._lock:
            if is_next:
                self.queued.appendleft(notes)
            else:
                self.queued.append(notes)
            self._handle(EnqueueConfig(config=dict(params), at=self._now(), is_next=is_next))

    def locked(self) -> threading.RLock:
        """The lock that makes several calls atomic."""
        return self._lock

    @property
    def metrics(self) -> list[str]:
        return [goal.metric for goal in self._plan.spec.goals]

    def close(self) -> None:
        """Close the journal."""
        with self._lock:
            self._optimizer.close()

    def _fail_what_was_left(self) -> list[int]:
        """Fail the trials that an earlier process left running: they cannot resume, since their script runs them."""
        left = [trial.number for trial in self._optimizer.ledger.pending()]
        for number in left:
            self._handle(TakeTrial(worker=f"ask-{id(self)}-{next(self._asks)}", number=number, at=self._now()))
            trial = self._optimizer.ledger.trials[number]
            self._handle(
                EndTrial(
                    number=number,
                    attempt=trial.attempt,
                    status=Status.FAILED,
                    at=self._now(),
                    error=_LEFT,
                    reason=_LEFT,
                )
            )
        return left

    def _handle(self, command: Command) -> Any:
        return self._optimizer.handle([command])[0]

    def _now(self) -> float:
        return self._optimizer.now()


def metrics_of(num_goals: int) -> list[str]:
    """The names of a study's metrics."""
    return ["value"] if num_goals == 1 else [f"value_{i}" for i in range(num_goals)]


def note_of_report(step: int, value: float) -> tuple[str, Any]:
    """The name and value of the note that keeps a report whose step does not grow, or that an enqueued trial begins with."""
    return f"{REPORT}{step}", _number_or_text(value)


def noted_reports(notes: Mapping[str, Any]) -> dict[int, float]:
    """The values of the reports that notes keep, by step."""
    return {int(key.removeprefix(REPORT)): float(value) for key, value in notes.items() if key.startswith(REPORT)}


def values_in(metrics: Mapping[str, Any], names: Sequence[str]) -> list[float] | None:
    """The values of a result or a report; None if it has none."""
    found = [metrics.get(name, metrics.get(TEXT + name)) for name in names]
    return None if any(value is None for value in found) else [float(value) for value in found]


def spec_of(name: str, storage: Storage) -> StudySpec:
    """The spec of a stored study, as it was created.

    Raises:
        StudyNotFound: there is no study of that name.
    """
    first = next(iter(storage.read(name)), None)
    if first is None:
        raise StudyNotFound(f"no study {name!r} in {storage.url}")
    return stored_spec(first)


def fold(name: str, storage: Storage) -> Ledger:
    """The state of a stored study, without opening it for writing.

    Raises:
        JournalCorrupt: its journal is damaged.
    """
    facts = list(storage.read(name))
    if not facts:
        raise JournalCorrupt(f"study {name!r} in {storage.url} is empty")
    return Ledger.fold(facts)


def _as_metrics(names: Sequence[str], values: Sequence[float]) -> dict[str, Any]:
    """Metrics that models can use; values that are infinite or NaN get another name, as text."""
    return {
        (name if math.isfinite(value) else TEXT + name): _number_or_text(value)
        for name, value in zip(names, values, strict=True)
    }


def _number_or_text(value: float) -> float | str:
    return float(value) if math.isfinite(value) else repr(float(value))
