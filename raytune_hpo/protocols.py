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
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np

from raytune_hpo.facts import Fact, Verdict
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
    """

    config: Mapping[str, Any]
    meta: Mapping[str, Any] = field(default_factory=dict)
    parent: int | None = None


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
        multi_goal: learns from several goals.
        needs: packages, by their names for pip, that the process which computes suggestions must have besides numpy:
            on a cluster it is another one than the user's.
        version: raised when the same history would give other suggestions than before; part of the spec.
    """

    history_free: bool = False
    reads_pending: bool = True
    multi_goal: bool = False
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

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion | Signal:
        """The suggestion for trial ``number``. Reads only: asked twice, it says the same.

        Args:
            number: of the trial to come.
            pending: trials that were suggested and have not finished, by number.
            rng: derived from the study's seed and the number; the only source of randomness.
        """
        ...

    def tell(self, trial: Trial) -> None:
        """Learn from a finished trial (completed, pruned or failed): each once, in journal order. O(1) bookkeeping."""
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
