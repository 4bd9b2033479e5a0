"""What the core is told, and what it answers.

Events and replies cross threads and networks; every event may arrive twice, late, or from a worker that lost its trial.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from raytune_hpo.facts import Fact, Status, Verdict
from raytune_hpo.protocols import Signal, Suggestion
from raytune_hpo.trial import Trial

# ------------------------------------------------------------------------------------------------ events


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A worker asks for up to ``limit`` trials; what it owns and is not ``holding``, it never got or has lost."""

    worker: str
    at: float
    limit: int = 1
    holding: Collection[int] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """An objective reported metrics at a step; they were checked where they came from."""

    number: int
    attempt: int
    step: int
    metrics: Mapping[str, Any]
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """An objective returned (completed), was stopped (pruned) or raised (failed). See Finished and Printed."""

    number: int
    attempt: int
    status: Status
    at: float
    metrics: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    output: str = ""
    started_at: float | None = None
    duration_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Returned:
    """A worker gives back trials of its lease that it has not begun, so that others may have them."""

    worker: str
    numbers: tuple[int, ...]
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """A worker is gone. ``blameless``: for a reason that has nothing to do with the trial it ran."""

    worker: str
    at: float
    reason: str = "worker died"
    blameless: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Mustered:
    """A new crew of workers takes over: whoever is not of it is gone, without blame. Their names begin with ``crew``."""

    crew: str
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Added:
    """A user enqueues a configuration."""

    config: Mapping[str, Any]
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Halted:
    """The study shall stop now; what runs waits for the study to be taken up again."""

    reason: str
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticked:
    """Time has passed."""

    at: float


Event = Asked | Measured | Ended | Returned | Lost | Mustered | Added | Halted | Ticked

# ------------------------------------------------------------------------------------------------ replies


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """A trial for a worker; reports before ``next_step`` need no answer (None: none of them does)."""

    number: int
    attempt: int
    config: Mapping[str, Any]
    next_step: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """The trials a worker gets. None and not ``is_over``: ask again once something has changed."""

    assignments: tuple[Assignment, ...] = ()
    is_over: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The verdict on a report, and the next step at which there may be another (None: never)."""

    verdict: Verdict
    next_step: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Noted:
    """Whatever else was told has been taken note of."""


Reply = Lease | Answer | Noted


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What an event led to: the reply, valid once the facts are in the journal."""

    reply: Reply
    facts: tuple[Fact, ...] = ()


# ------------------------------------------------------------------------------------------------ suggestions


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A suggestion to be computed: everything that ``Sampler.ask`` is a function of.

    Attributes:
        number: of the trial it is for.
        basis: how many facts are behind it; ``history`` how many finished trials these contain.
        pending: trials without a result, those suggested and not yet handed out included.
        edition: of the shelf that these were on.
    """

    number: int
    basis: int
    history: int
    pending: tuple[Trial, ...] = ()
    edition: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Idea:
    """A computed suggestion that waits on the shelf until someone asks."""

    job: Job
    outcome: Suggestion | Signal
