"""The contracts between the core and its parts.

The core knows samplers, schedulers and journals by these contracts only, never by name. A part is made with its options
(``Sobol(scramble=True)``: the constructor's keywords, kept as attributes of the same names) and bound to a study by
``bind``, which returns a fresh part of the same options that has learned nothing yet. ``raytune_hpo.testing`` holds the
suites that every part must pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
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
        config: inside the space, as the objective will get it.
        meta: JSON-able; comes back as ``trial.meta`` when the sampler is told.
        parent: the number of the trial it was derived from.
        from_step: the step of the parent's checkpoint that it begins with; None: it begins at the start.
        until: the step at which it is to be looked at; comes back as ``trial.until``.
    """

    config: Mapping[str, Any]
    meta: Mapping[str, Any] = field(default_factory=dict)
    parent: int | None = None
    from_step: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Continue:
    """A paused trial is to go on next.

    Attributes:
        number: of the trial.
        until: the step at which it is to be looked at again; None: none in particular.
    """

    number: int
    until: int | None = None


class Signal(Enum):
    """What a sampler may say instead of a suggestion."""

    WAIT = "wait"  # not before something that is pending has finished
    EXHAUSTED = "exhausted"  # never again


@dataclass(frozen=True, kw_only=True, slots=True)
class Traits:
    """What a sampler can do, as data: a bad pairing is refused when the study is built.

    Attributes:
        history_free: suggestions do not depend on results, so workers may be handed several trials at once.
        reads_pending: ``ask`` wants the trials that run or wait; others get an empty sequence.
        reads_rng: ``ask`` draws from its generator; for others none is made, which would take longer than their answer.
        reads_reports: it has ``observe``, and learns from trials that have paused.
        continues: ``ask`` may answer with a Continue, and is asked for one, with the number None, where no new trial may
            begin. It decides alone which paused trials go on: a Promoter beside it is refused.
        whole_space: it must know all parameters before the first trial: refused where the objective makes the space.
        in_batches: several suggestions that are asked for together cost little more than one.
        ahead: suggestions may be computed before anyone asks; False where one may name a trial that is let go meanwhile.
        multi_goal: learns from several goals.
        constraints: learns from outcome constraints: ``bind`` takes them as a keyword, see ConstraintReader.
        recalls: learns from earlier studies: it has ``recall``.
        needs: packages, by their names for pip, that the process which computes suggestions must have besides numpy:
            on a cluster it is another one than the user's.
        version: raised when the same history would give other suggestions than before; part of the spec.
    """

    history_free: bool = False
    reads_pending: bool = True
    reads_rng: bool = True
    reads_reports: bool = False
    continues: bool = False
    whole_space: bool = False
    in_batches: bool = False
    ahead: bool = True
    multi_goal: bool = False
    constraints: bool = False
    recalls: bool = False
    needs: tuple[str, ...] = ()
    version: int = 1


_Self = TypeVar("_Self")


@runtime_checkable
class Sampler(Protocol):
    """Decides what to try next."""

    traits: ClassVar[Traits]

    def bind(self: _Self, space: Space, goals: Sequence[Goal], seed: int) -> _Self:
        """A fresh sampler of the same options for one study.

        Raises:
            SpecError: the options do not fit the space or the goals.
        """
        ...

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion | Continue | Signal:
        """The suggestion for trial ``number``. Reads only: asked twice, it says the same.

        Args:
            number: of the trial to come. None, to samplers that continue: no new one may begin.
            pending: trials that run or wait, by number, with their reports; never those that are paused.
            rng: derived from the study's seed and the number; the only source of randomness.
        """
        ...

    def tell(self, trial: Trial) -> None:
        """Learn from a finished trial (completed, pruned or failed): each once, in journal order. O(1) bookkeeping.

        Without ``reads_reports``, of a trial that pauses before it has finished it is told then, and not again.
        """
        ...


@runtime_checkable
class ReportReader(Sampler, Protocol):
    """A sampler that learns from paused trials (``reads_reports``)."""

    def observe(self, trial: Trial) -> None:
        """Learn from a trial that has paused, by its reports: each time it does; what is newest replaces what was before."""
        ...


@runtime_checkable
class Recaller(Sampler, Protocol):
    """A sampler that learns from earlier studies (``recalls``)."""

    def recall(self, earlier: Recalled) -> None:
        """Learn what one earlier study says: before the first trial, in the order in which they were named."""
        ...


class ConstraintReader(Sampler, Protocol):
    """A sampler that learns from outcome constraints (``constraints``)."""

    def bind(self: _Self, space: Space, goals: Sequence[Goal], seed: int, *, constraints: Sequence[Goal] = ()) -> _Self:
        """As ``Sampler.bind``; the constraints are goals whose thresholds are bounds.

        What a completed trial is told with has their metrics; what breaks one has ``violations`` and is never the best.
        """
        ...


def bound_sampler(
    sampler: Sampler, space: Space, goals: Sequence[Goal], seed: int, constraints: Sequence[Goal] = ()
) -> Sampler:
    """A fresh sampler of the same options for one study; outcome constraints are for those that learn from them.

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
    """Decides which trials are worth going on with.

    One that knows the last step of a trial keeps it as ``max_steps``: a trial that has reported it is complete, and one
    whose objective goes on all the same is ended.
    """

    version: ClassVar[int]

    def bind(self: _Self, goals: Sequence[Goal]) -> _Self:
        """A fresh scheduler of the same options for one study."""
        ...

    def judge(self, trial: Trial) -> Verdict:
        """The verdict on the newest report of a running trial. Reads only, and ignores what it knows of the trial itself.

        The report is in ``trial.reports`` already, and has not been observed yet.
        """
        ...

    def observe(self, trial: Trial) -> None:
        """Take note of a trial after each of its facts (started, reported, requeued, finished)."""
        ...

    def next_step(self, trial: Trial) -> int | None:
        """The next step from which on ``judge`` may say anything but CONTINUE; None if there is none.

        A worker waits for the verdict on reports at that step or later, and sends the ones before it without waiting.
        """
        ...


@runtime_checkable
class Promoter(Scheduler, Protocol):
    """A scheduler that pauses trials, and says which of them go on.

    One whose options decide whether it does says so by an attribute ``promotes``.
    """

    def promote(self, *, final: bool) -> Continue | None:
        """The paused trial that is to go on now; None if there is none. Reads only, in O(log n): asked for each free worker.

        Args:
            final: no new trial may begin, and none runs or waits: whatever was waited for will not come.
        """
        ...

    def keeps(self, trial: Trial) -> bool:
        """Whether this trial, paused or completed, may still be gone on from, so that its checkpoint is worth keeping."""
        ...


def as_promoter(scheduler: Scheduler | None) -> Promoter | None:
    """The scheduler, if it pauses and promotes."""
    return scheduler if isinstance(scheduler, Promoter) and getattr(scheduler, "promotes", True) else None


def last_step(scheduler: Scheduler | None) -> int | None:
    """The step after which a scheduler calls a trial complete: its option ``max_steps``, if it has one."""
    return getattr(scheduler, "max_steps", None)


class Journal(Protocol):
    """The facts of one study, in order: its only memory."""

    def append(self, facts: Sequence[Fact], *, expect: int) -> None:
        """Write all facts or none, after the first ``expect`` ones; durable on return.

        Raises:
            SequenceConflict: the journal does not hold exactly ``expect`` facts: someone else wrote.
            JournalError: they could not be written.
        """
        ...

    def read(self, start: int = 0) -> Iterator[Fact]:
        """The facts from position ``start`` on, as they were when the reading began."""
        ...

    def close(self) -> None:
        """Let go of files, connections and the right to write."""
        ...


class Clock(Protocol):
    """Where times come from: the wall clock, or a simulation's."""

    def now(self) -> float:
        """Epoch seconds, UTC."""
        ...
