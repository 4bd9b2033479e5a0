"""A trial: the fold of the facts about one trial number.

``evolve(trial, fact)`` is the only transition table, used live, in replay and by everything that shows a study.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple, overload

from raytune_hpo.checkpoints.record import Checkpoint
from raytune_hpo.display.foreign_words import TRIAL, no_attribute, public_names
from raytune_hpo.errors import InvalidTransition
from raytune_hpo.facts import (
    Drawn,
    Finished,
    Paused,
    Printed,
    Released,
    Reported,
    Requeued,
    Saved,
    Started,
    Status,
    TrialFact,
    Verdict,
    changed,
)
from raytune_hpo.goals import Goal, to_losses, violations_of
from raytune_hpo.space import Space

# ------------------------------------------------------------------------------------------------ trials


INSTANCE = "instance"  # the key of the instance's name in a step's own values


class Report(NamedTuple):
    """One report of a trial: its step, metrics, time, the goals' losses (None where a goal is missing), and the verdict.

    If the step is one of several inputs, ``own`` has the step's own values, and ``metrics`` the means so far.
    """

    step: int
    metrics: Mapping[str, Any]
    at: float
    losses: tuple[float, ...] | None
    verdict: Verdict = Verdict.CONTINUE
    own: Mapping[str, Any] = {}  # never written to


class Stretch(NamedTuple):
    """The time that one attempt of a trial spent in its objective before it paused, with its worker."""

    worker: str | None
    began_at: float
    paused_at: float


class Reports(Sequence[Report]):
    """A trial's reports: a view of the first ``length`` rows of a store that only grows.

    Trials are snapshots; sharing the store keeps n reports from costing n copies of a growing tuple.
    """

    __slots__ = ("_length", "_rows")

    def __init__(self, rows: list[Report] | None = None, length: int | None = None) -> None:
        self._rows: list[Report] = [] if rows is None else rows
        self._length = len(self._rows) if length is None else length

    @classmethod
    def of(cls, reports: Reports) -> Reports:
        """The same reports, by the same store, as this class reads them."""
        return cls(reports._rows, reports._length)

    def then(self, report: Report) -> Reports:
        """These reports and one more."""
        length, rows = self._length, self._rows
        if length == 0:
            return type(self)([report])
        if length == len(rows):
            rows.append(report)
        elif rows[length] != report:  # the store already has another continuation: branch off
            rows = [*rows[:length], report]
        return type(self)(rows, length + 1)

    def up_to(self, step: int) -> Reports:
        """The reports at steps up to this one."""
        return type(self)(self._rows, sum(report.step <= step for report in self))

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Report: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Report]: ...
    def __getitem__(self, index: int | slice) -> Report | Sequence[Report]:
        if isinstance(index, slice):
            return self._rows[: self._length][index]
        if not -self._length <= index < self._length:
            raise IndexError(index)
        return self._rows[index % self._length]

    def __iter__(self) -> Iterator[Report]:  # Sequence's own goes by index, and takes ten times as long
        return islice(self._rows, self._length)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # compares by content, which is long

    def __repr__(self) -> str:
        return f"<{self._length} reports>"

    def __reduce__(self) -> tuple[Any, ...]:  # a copy elsewhere must not share the store
        return Reports, (self._rows[: self._length],)


NO_REPORTS = Reports()
_NOTHING: Mapping[Any, Any] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """The course of a trial that runs in several parts. For the first three attributes, see Started.

    Attributes:
        checkpoints: the records of kept checkpoints, by step, the newest last.
        saves: whether a report of this trial has offered to save a checkpoint.
        stretches: those of the attempts that paused, in order; ``started_at`` and ``worker`` of the trial belong to the
            newest attempt.
    """

    until: int | None = None
    from_trial: int | None = None
    from_step: int | None = None
    checkpoints: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    saves: bool = False
    stretches: tuple[Stretch, ...] = ()


_IN_ONE_GO = Course()


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Trial:
    """A read-only view of one trial.

    Attributes:
        number: counts from 0 in the order in which trials were first handed out.
        config: the configuration, as the objective got it.
        status: one of ``"waiting"``, ``"running"``, ``"paused"``, ``"completed"``, ``"pruned"`` and ``"failed"``.
        metrics: the result; for any other than a completed trial, its last report.
        losses: the goals' values of a completed trial, all to be minimised; None for any other trial.
        violations: for a completed trial, by how much it breaks each outcome constraint, by metric and in its units; empty
            if all hold.
        reports: the valid reports, in order of their steps: of the current attempt, and of earlier ones up to ``from_step``.
        worker: the name of the worker that has it, or that ended it; None while it waits or is paused.
        attempt: how often it was handed out.
        retries: how many of these attempts count against ``max_retries``.
        basis: how many facts the journal held when it was suggested; None for a user's own point.
        meta: the sampler's notes about its suggestion.
        notes: the notes of users, by name.
        parent: the trial from which its sampler derived it.
        course: the checkpoint it begins with, the step it runs to, and more. Its attributes are also the trial's:
            ``until``, ``from_step`` ...
        error: the traceback of a failed trial.
        reason: the type of the exception that failed it, and the first line of its message.
        created_at, started_at, finished_at: epoch seconds, UTC.
        duration_s: seconds inside the objective, over all attempts that paused or ended.
    """

    number: int
    config: Mapping[str, Any]
    status: Status = Status.RUNNING
    metrics: Mapping[str, Any] = field(default_factory=dict)
    losses: tuple[float, ...] | None = None
    violations: Mapping[str, float] = field(default_factory=dict)
    reports: Reports = field(default_factory=Reports)  # not NO_REPORTS: dataclasses refuse unhashable defaults
    worker: str | None = None
    attempt: int = 1
    retries: int = 0
    basis: int | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    parent: int | None = None
    course: Course = _IN_ONE_GO
    error: str | None = None
    reason: str | None = None
    created_at: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    duration_s: float | None = None

    def __getattr__(self, name: str) -> Any:
        if name not in (known := public_names(type(self))):
            raise no_attribute("Trial", name, TRIAL, known)
        return object.__getattribute__(self, name)  # the error of a property that failed

    def __repr__(self) -> str:
        """What one looks for in a list of trials; a trial has more attributes."""
        shown = {"number": self.number, "status": str(self.status), "config": self.config, "metrics": self.metrics}
        shown |= {} if self.reason is None else {"reason": self.reason}
        return f"Trial({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def is_feasible(self) -> bool:
        """Whether it has completed and meets all outcome constraints, so that it may be the best."""
        return self.losses is not None and not self.violations

    @property
    def is_suggested(self) -> bool:
        """Whether its sampler suggested it; False for a user's own point."""
        return self.basis is not None

    @property
    def until(self) -> int | None:
        """The step to which it runs before it is decided on again; None if there is no such step."""
        return self.course.until

    @property
    def from_trial(self) -> int | None:
        """The number of the trial whose checkpoint it began with; its own number if it was resumed; None without one."""
        return self.course.from_trial

    @property
    def from_step(self) -> int | None:
        """The step of the checkpoint with which the current attempt began; None if it began at the start."""
        return self.course.from_step

    @property
    def checkpoints(self) -> Mapping[int, Mapping[str, Any]]:
        """The records of the checkpoints that are kept, by step."""
        return self.course.checkpoints

    @property
    def saves(self) -> bool:
        """Whether one of its reports has offered to save a checkpoint."""
        return self.course.saves

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """When and where the attempts ran that paused, in order."""
        return self.course.stretches

    @property
    def arm(self) -> str | None:
        """The arm of a portfolio that suggested it, from ``meta["arm"]``; None if there is none."""
        arm = self.meta.get("arm")
        return None if arm is None else str(arm)

    @property
    def slot(self) -> int | None:
        """The slot of the population's member that it is a segment of, from ``meta["slot"]``; None if there is none."""
        slot = self.meta.get("slot")
        return None if slot is None else int(slot)

    @property
    def last_step(self) -> int | None:
        """The step of the newest report; None if there is none."""
        return self.reports[-1].step if self.reports else None

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint that is kept: ``step``, ``size_bytes``, and ``path``, a folder; None if there is none."""
        if not self.checkpoints:
            return None
        step = max(self.checkpoints)
        return Checkpoint(self.number, step, self.checkpoints[step])

    @property
    def per_instance(self) -> dict[str, Mapping[str, Any]]:
        """The metrics measured on each instance, by the instance's name; empty if there are none."""
        own = [report.own for report in self.reports if INSTANCE in report.own]
        return {values[INSTANCE]: {k: v for k, v in values.items() if k != INSTANCE} for values in own}

    @property
    def last_losses(self) -> tuple[float, ...] | None:
        """The losses of the result or, before there is one, of the newest report that has them."""
        if self.losses is not None:
            return self.losses
        return next((r.losses for r in reversed(self.reports) if r.losses is not None), None)


def member_of(trial: Trial, population: int) -> int | None:
    """The slot of the member that a trial belongs to, in a population of this size; None if it belongs to none.

    A user's point whose number is below that size founds the member with that slot.
    """
    return trial.number if trial.slot is None and trial.number < population else trial.slot


def unpacked(fact: TrialFact, space: Space) -> TrialFact:
    """The fact as ``evolve`` takes it, with the packed configuration of a Started unpacked, see ``Space.pack``.

    Raises:
        InvalidTransition: it is not a packed configuration of the space.
    """
    if not isinstance(fact, Started) or fact.config is None or space.plain:
        return fact
    try:
        config = space.unpack(fact.config)
    except (LookupError, TypeError, AttributeError) as error:
        raise InvalidTransition(f"{fact!r} holds no configuration of the study's space: {error!r}") from error
    return changed(fact, config=config)


def evolve(trial: Trial | None, fact: TrialFact, goals: Sequence[Goal], constraints: Sequence[Goal] = ()) -> Trial:
    """The trial after the fact.

    Args:
        trial: None before the trial's first Started.
        fact: the fact, with its configuration ``unpacked``.
        constraints: the study's outcome constraints.

    Raises:
        InvalidTransition: the fact cannot follow.
    """
    if isinstance(fact, Started):
        return _started(trial, fact)
    if trial is None or trial.number != fact.number:
        raise _invalid(trial, fact)
    if isinstance(fact, Released):
        kept = {step: record for step, record in trial.checkpoints.items() if step != fact.step}
        return changed(trial, course=changed(trial.course, checkpoints=kept))
    if trial.attempt != fact.attempt:
        raise _invalid(trial, fact)
    if isinstance(fact, Printed):
        return trial
    if trial.status is not Status.RUNNING and not _stops_paused(trial, fact):
        raise _invalid(trial, fact)
    after = _FOLLOWING[type(fact)](trial, fact, goals)
    if constraints and after.status is Status.COMPLETED:
        return changed(after, violations=violations_of(after.metrics, constraints))
    return after


def _stops_paused(trial: Trial, fact: TrialFact) -> bool:
    """Whether the fact ends a paused trial that a user stopped."""
    return trial.status is Status.PAUSED and isinstance(fact, Finished) and fact.status is Status.PRUNED


def _started(trial: Trial | None, fact: Started) -> Trial:
    if trial is None and fact.attempt == 1 and fact.config is not None:
        return Trial(
            number=fact.number,
            config=fact.config,
            violations=_NOTHING,
            reports=NO_REPORTS,
            worker=fact.worker,
            basis=fact.basis,
            meta=fact.meta or _NOTHING,
            notes=_NOTHING,
            parent=fact.parent,
            course=_begun(_IN_ONE_GO, fact),
            created_at=fact.at,
            started_at=fact.at,
        )
    can_go_on = trial is not None and trial.status in (Status.WAITING, Status.PAUSED)
    if trial is None or not can_go_on or fact.attempt != trial.attempt + 1:
        raise _invalid(trial, fact)
    kept = NO_REPORTS if fact.from_step is None else trial.reports.up_to(fact.from_step)
    return changed(
        trial,
        status=Status.RUNNING,
        worker=fact.worker,
        attempt=fact.attempt,
        reports=kept,
        metrics=kept[-1].metrics if kept else {},
        course=_begun(trial.course, fact),
        started_at=fact.at,
    )


def _begun(course: Course, fact: Started) -> Course:
    """The course at the beginning of an attempt."""
    if course is _IN_ONE_GO and fact.until is None and fact.from_step is None:
        return course
    return changed(course, until=fact.until, from_trial=fact.from_trial, from_step=fact.from_step)


def _reported(trial: Trial, fact: Reported, goals: Sequence[Goal]) -> Trial:
    report = Report(fact.step, fact.metrics, fact.at, to_losses(fact.metrics, goals), fact.verdict, fact.own)
    course = trial.course
    if fact.saves and not course.saves:
        course = changed(course, saves=True)
    return changed(trial, reports=trial.reports.then(report), metrics=fact.metrics, course=course)


def _drawn(trial: Trial, fact: Drawn, goals: Sequence[Goal]) -> Trial:
    return changed(trial, config={**trial.config, fact.name: fact.value})


def _saved(trial: Trial, fact: Saved, goals: Sequence[Goal]) -> Trial:
    """The trial with a saved checkpoint. One beyond the attempt's beginning is progress, and resets the retries."""
    has_progressed = trial.from_step is None or fact.step > trial.from_step
    course = changed(trial.course, checkpoints={**trial.checkpoints, fact.step: fact.checkpoint})
    return changed(trial, course=course, retries=0 if has_progressed else trial.retries)


def _paused(trial: Trial, fact: Paused, goals: Sequence[Goal]) -> Trial:
    stretch = Stretch(trial.worker, fact.at - (fact.duration_s or 0.0), fact.at)
    return changed(
        trial,
        status=Status.PAUSED,
        worker=None,
        course=changed(trial.course, stretches=(*trial.stretches, stretch)),
        duration_s=_total(trial.duration_s, fact.duration_s),
    )


def _requeued(trial: Trial, fact: Requeued, goals: Sequence[Goal]) -> Trial:
    return changed(trial, status=Status.WAITING, worker=None, retries=trial.retries + fact.spent)


def _finished(trial: Trial, fact: Finished, goals: Sequence[Goal]) -> Trial:
    completed = fact.status is Status.COMPLETED
    config = trial.config
    if fact.asked is not None:  # suggested parameters that were not asked for do not belong to it
        config = {name: config[name] for name in fact.asked if name in config}
    return changed(
        trial,
        status=fact.status,
        config=config,
        metrics=fact.metrics or trial.metrics,
        losses=to_losses(fact.metrics, goals) if completed else None,
        error=fact.error,
        reason=fact.reason,
        started_at=trial.started_at if fact.started_at is None else fact.started_at,
        duration_s=_total(trial.duration_s, fact.duration_s),
        finished_at=fact.at,
    )


# The facts that may follow while a trial runs.
_FOLLOWING: Mapping[type, Callable[[Trial, Any, Sequence[Goal]], Trial]] = {
    Reported: _reported,
    Drawn: _drawn,
    Saved: _saved,
    Paused: _paused,
    Requeued: _requeued,
    Finished: _finished,
}


def _total(before_s: float | None, more_s: float | None) -> float | None:
    """The sum of the seconds that are known; None if neither is."""
    return before_s if more_s is None else more_s + (before_s or 0.0)


def _invalid(trial: Trial | None, fact: TrialFact) -> InvalidTransition:
    state = "no such trial" if trial is None else f"trial {trial.number} {trial.status}, attempt {trial.attempt}"
    return InvalidTransition(f"{fact!r} cannot follow: {state}")
