"""Protocols of samplers, schedulers, journals and clocks, by which the core uses them.

The core never refers to a part by name. A part is created with its options (``Sobol(scramble=True)``: the constructor's
keywords, kept as attributes of the same names) and bound to a study by ``bind``, which returns a fresh part with the same
options that has learned nothing yet. ``raytune_hpo.testing`` has the contract suites that every part must pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from inspect import signature
from typing import Any, ClassVar, Protocol, TypeVar, cast, runtime_checkable

import numpy as np

from raytune_hpo.facts import Fact, Recalled, Verdict
from raytune_hpo.goals import Goal
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A configuration to try next.

    Attributes:
        config: the configuration, inside the space, as the objective will get it.
        meta: JSON values for the sampler, returned as ``trial.meta`` when the sampler is told.
        parent: the number of the trial it was derived from.
        from_step: the step of the parent's checkpoint that it begins with; None: it begins at the start.
        until: the step at which the trial is to be decided on again; returned as ``trial.until``.
    """

    config: Mapping[str, Any]
    meta: Mapping[str, Any] = field(default_factory=dict)
    parent: int | None = None
    from_step: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Continue:
    """A decision to resume a paused trial next.

    Attributes:
        number: the trial's number.
        until: the step at which it is to be decided on again; None: no particular one.
    """

    number: int
    until: int | None = None


class Signal(Enum):
    """A sampler's answer when it has no suggestion.

    Attributes:
        WAIT: there is none until a pending trial has finished.
        EXHAUSTED: there will be none any more.
    """

    WAIT = "wait"
    EXHAUSTED = "exhausted"


@dataclass(frozen=True, kw_only=True, slots=True)
class Traits:
    """What a sampler needs and can do, as data, so that a bad pairing is refused when the study is built.

    Attributes:
        history_free: suggestions do not depend on results, so workers may be handed several trials at once.
        reads_pending: ``ask`` needs the trials that run or wait; other samplers get an empty sequence.
        reads_rng: ``ask`` draws from its generator; for other samplers none is created, since that would take longer than
            their answer.
        reads_reports: it has ``observe``, and learns from paused trials.
        continues: ``ask`` may answer with a Continue, and is asked for one, with the number None, when no new trial may
            begin. It alone decides which paused trials are resumed: a Promoter is refused with it.
        segments: its trials continue the checkpoints of one another with other settings: refused with instances.
        whole_space: it must know all parameters before the first trial: refused if the objective defines the space.
        in_batches: several suggestions requested together cost little more than one.
        ahead: suggestions may be computed ahead of need; False if one may refer to a trial whose checkpoint is released
            meanwhile.
        multi_goal: learns from several goals.
        constraints: learns from outcome constraints: ``bind`` takes them as a keyword, see ConstraintReader.
        features: reads the features that a user computes from configurations; with others, they have no effect.
        recalls: learns from earlier studies: it has ``recall``.
        needs: packages besides numpy, by their names for pip, in the process that computes suggestions, which on a cluster
            is not the user's.
        version: raised when the same history would give other suggestions than before; part of the spec.
    """

    history_free: bool = False
    reads_pending: bool = True
    reads_rng: bool = True
    reads_reports: bool = False
    continues: bool = False
    segments: bool = False
    whole_space: bool = False
    in_batches: bool = False
    ahead: bool = True
    multi_goal: bool = False
    constraints: bool = False
    features: bool = False
    recalls: bool = False
    needs: tuple[str, ...] = ()
    version: int = 1


_Self = TypeVar("_Self")


@runtime_checkable
class Sampler(Protocol):
    """Decides what to try next."""

    traits: ClassVar[Traits]

    def bind(self: _Self, space: Space, goals: Sequence[Goal], seed: int) -> _Self:
        """A fresh sampler with the same options for one study.

        Raises:
            SpecError: the options do not fit the space or the goals.
        """
        ...

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion | Continue | Signal:
        """The suggestion for trial ``number``. Read-only: a second call returns the same.

        Args:
            number: the number of the new trial. None, for samplers with ``continues``, if no new trial may begin.
            pending: trials that run or wait, by number, with their reports; never paused ones.
            rng: derived from the study's seed and the number; the only source of randomness.
        """
        ...

    def tell(self, trial: Trial) -> None:
        """Learn from a finished trial (completed, pruned or failed): each once, in journal order. O(1) bookkeeping.

        A sampler without ``reads_reports`` is told about a trial when it first pauses, and not again.
        """
        ...


@runtime_checkable
class ReportReader(Sampler, Protocol):
    """A sampler that learns from paused trials (``reads_reports``)."""

    def observe(self, trial: Trial) -> None:
        """Learn from the reports of a paused trial, each time that it pauses; newer reports replace earlier ones."""
        ...


@runtime_checkable
class Recaller(Sampler, Protocol):
    """A sampler that learns from earlier studies (``recalls``)."""

    def recall(self, earlier: Recalled) -> None:
        """Learn from one earlier study; called before the first trial, in the order in which the studies were named."""
        ...


class ConstraintReader(Sampler, Protocol):
    """A sampler that learns from outcome constraints (``constraints``)."""

    def bind(self: _Self, space: Space, goals: Sequence[Goal], seed: int, *, constraints: Sequence[Goal] = ()) -> _Self:
        """As ``Sampler.bind``; the constraints are goals whose thresholds are bounds.

        A completed trial has the metrics of all constraints; one that breaks a constraint has ``violations``, and is never
        the best.
        """
        ...


def bound_sampler(
    sampler: Sampler, space: Space, goals: Sequence[Goal], seed: int, constraints: Sequence[Goal] = ()
) -> Sampler:
    """A fresh sampler with the same options for one study; outcome constraints go to samplers that learn from them.

    Raises:
        SpecError: the options do not fit the space or the goals.
    """
    if constraints and sampler.traits.constraints:
        return cast(ConstraintReader, sampler).bind(space, goals, seed, constraints=constraints)
    return sampler.bind(space, goals, seed)


@runtime_checkable
class BringsScheduler(Sampler, Protocol):
    """A sampler that needs a certain scheduler, which becomes the study's."""

    def brings(self) -> Scheduler:
        """The scheduler, not bound to a study."""
        ...


@runtime_checkable
class Scheduler(Protocol):
    """Decides which trials continue.

    A scheduler that knows the last step of a trial keeps it as ``max_steps``: a trial that has reported that step is
    complete, and is ended if its objective runs on.
    """

    version: ClassVar[int]

    def bind(self: _Self, goals: Sequence[Goal]) -> _Self:
        """A fresh scheduler with the same options for one study."""
        ...

    def judge(self, trial: Trial) -> Verdict:
        """The verdict on the newest report of a running trial. Read-only, and independent of what it observed of this trial.

        The report is in ``trial.reports`` already, and has not been observed yet.
        """
        ...

    def observe(self, trial: Trial) -> None:
        """Record the state of a trial after each of its facts (started, reported, requeued, finished)."""
        ...

    def next_step(self, trial: Trial) -> int | None:
        """The next step from which on ``judge`` may return anything but CONTINUE; None if there is none.

        A worker waits for the verdict on reports at that step or later, and sends the ones before it without waiting.
        """
        ...


@runtime_checkable
class Promoter(Scheduler, Protocol):
    """A scheduler that pauses trials, and decides which of them are resumed.

    If its options decide whether it does so, it has an attribute ``promotes``.
    """

    def promote(self, *, final: bool) -> Continue | None:
        """The paused trial to resume now, or None. Read-only, and in O(log n), since it is called for each free worker.

        Args:
            final: no new trial may begin, and none runs or waits, so that no further results will come.
        """
        ...

    def keeps(self, trial: Trial) -> bool:
        """Whether this paused or completed trial may still be continued, so that its checkpoint is worth keeping."""
        ...


class ConstraintJudge(Scheduler, Protocol):
    """A scheduler that pays attention to outcome constraints, since ``bind`` takes them."""

    def bind(self: _Self, goals: Sequence[Goal], *, constraints: Sequence[Goal] = ()) -> _Self:
        """As ``Scheduler.bind``; the constraints are goals whose thresholds are bounds.

        Their metrics are in ``metrics`` of reports and results, where the objective has reported them.
        """
        ...


def reads_constraints(scheduler: Scheduler) -> bool:
    """Whether a scheduler pays attention to outcome constraints: ``bind`` takes them as a keyword."""
    return "constraints" in signature(scheduler.bind).parameters


def bound_scheduler(scheduler: Scheduler, goals: Sequence[Goal], constraints: Sequence[Goal] = ()) -> Scheduler:
    """A fresh scheduler with the same options for one study; outcome constraints go to those that pay attention to them.

    Raises:
        SpecError: the options do not fit the goals.
    """
    if constraints and reads_constraints(scheduler):
        return cast(ConstraintJudge, scheduler).bind(goals, constraints=constraints)
    return scheduler.bind(goals)


def as_promoter(scheduler: Scheduler | None) -> Promoter | None:
    """The scheduler, if it pauses and promotes."""
    return scheduler if isinstance(scheduler, Promoter) and getattr(scheduler, "promotes", True) else None


def last_step(scheduler: Scheduler | None) -> int | None:
    """The step after which a trial is complete to a scheduler: its option ``max_steps``, if it has one."""
    return getattr(scheduler, "max_steps", None)


class Journal(Protocol):
    """The facts of one study, in order: its only memory."""

    def append(self, facts: Sequence[Fact], *, expect: int) -> None:
        """Write all facts or none, after the first ``expect`` ones; durable on return.

        Raises:
            SequenceConflict: the journal does not hold exactly ``expect`` facts, since another writer has appended.
            JournalError: they could not be written.
        """
        ...

    def read(self, start: int = 0) -> Iterator[Fact]:
        """The facts from position ``start`` on, as of the time when the reading began."""
        ...

    def close(self) -> None:
        """Release files, connections and the right to write."""
        ...


class Clock(Protocol):
    """The source of times: the wall clock, or a simulation's."""

    def now(self) -> float:
        """Epoch seconds, UTC."""
        ...
