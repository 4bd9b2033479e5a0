"""Facts: records of what happened to a study and its trials.

A fact is an event, named in the past tense, with its time ``at`` (epoch seconds, UTC). Facts are appended to a journal and
never changed.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from operator import attrgetter
from typing import Any, TypeVar, cast

if sys.version_info >= (3, 11):
    from enum import StrEnum
else:
    from enum import Enum

    class StrEnum(str, Enum):
        """The part of Python 3.11's StrEnum that is needed here."""

        __str__ = str.__str__


class Status(StrEnum):
    """The status of a trial; a member equals its text, such as ``"completed"``.

    Attributes:
        WAITING: it was handed out, came back unfinished, and will be handed out again.
        RUNNING: a worker has it.
        PAUSED: the scheduler has paused it, and may resume it.
        COMPLETED: it has a result.
        PRUNED: it was stopped early.
        FAILED: it raised an exception, gave an invalid value, took too long, or lost too many workers.
    """

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    PRUNED = "pruned"
    FAILED = "failed"

    @property
    def is_finished(self) -> bool:
        """Whether it is completed, pruned or failed."""
        return self not in (Status.WAITING, Status.RUNNING, Status.PAUSED)


class Verdict(StrEnum):
    """A scheduler's answer to a trial's newest report; a member equals its text, such as ``"stop"``.

    Attributes:
        CONTINUE: the trial runs on.
        STOP: the trial ends now, as pruned.
        PAUSE: the trial is paused, and may be resumed later.
        COMPLETE: this was the trial's last step. It may return its result, and is completed with this report if it runs on;
            at the end of a segment, from which another trial continues, it ends at once.
    """

    CONTINUE = "continue"
    STOP = "stop"
    PAUSE = "pause"
    COMPLETE = "complete"

    @property
    def is_final(self) -> bool:
        """Whether later reports of the trial do not count."""
        return self is not Verdict.CONTINUE


Record = TypeVar("Record")


def changed(record: Record, **changes: Any) -> Record:
    """``dataclasses.replace`` for a record with slots, without its checks: ten times faster, on the hottest path.

    Raises:
        AttributeError: the record has no such field.
    """
    kind: Any = type(record)
    draft, values = _draft_of(kind)
    new = draft(*values(record))
    for name, value in changes.items():
        setattr(new, name, value)
    new.__class__ = kind
    return cast(Record, new)


@functools.cache
def _draft_of(kind: type) -> tuple[Callable[..., Any], Callable[[Any], tuple[Any, ...]]]:
    """An unfrozen class with a record's slots, and so its memory layout, and a function that reads all its fields."""
    names = [field.name for field in fields(kind)]
    return make_dataclass(kind.__name__, names, slots=True), attrgetter(*names)


# ------------------------------------------------------------------------------------------------ facts


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyCreated:
    """The first fact of every study. ``spec`` is the JSON form of its StudySpec."""

    spec: Mapping[str, Any]
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Recalled:
    """Results of an earlier study, copied at this study's beginning, since the earlier one may grow or be deleted.

    Attributes:
        source: the name of the earlier study.
        rows: for some of its trials, the coordinates in this study's unit cube (None if a parameter has none), and the
            normal score of the rank of its loss among all of them.
    """

    source: str
    rows: Sequence[tuple[Sequence[float | None], float]]
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionOpened:
    """An optimizer started or resumed the study; time between sessions is not running time.

    Trials that the previous session left running are requeued by the facts that follow.

    Attributes:
        versions: of the packages whose arithmetic affects suggestions, by name.
    """

    at: float
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyExtended:
    """The study got new limits, in the JSON form of Limits."""

    limits: Mapping[str, Any]
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Enqueued:
    """A user enqueued a configuration; it comes before the sampler's suggestions.

    Attributes:
        retry_of: the failed trial that is retried with this configuration.
        is_next: whether it comes before those that were enqueued earlier.
    """

    config: Mapping[str, Any]
    at: float
    retry_of: int | None = None
    is_next: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Withdrawn:
    """A user removed a configuration from the queue before it was handed out.

    Attributes:
        position: the number of configurations that had been enqueued in this study before it.
    """

    position: int
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """A trial was handed out to a worker.

    Attributes:
        attempt: 1 at first; a requeued trial is handed out again with the next attempt.
        config: in the packed form of ``Space.pack``; None from the second attempt on, since it does not change.
        basis: the number of the study's facts that the sampler had seen when it suggested this, so that the suggestion can
            be recomputed; None for an enqueued configuration and for a trial that is handed out again after a loss. For a
            resumed trial, the number of facts when that was decided.
        position: for an enqueued configuration that overtook earlier ones, its position as in ``Withdrawn``. None: it was
            the first in the queue.
        meta: data that the sampler gets back when it is told the result.
        parent: the trial from which the sampler derived this one; its steps continue the parent's.
        until: the step at which the trial is to be decided on again; None: no particular one.
        from_trial, from_step: the checkpoint that it begins with, by trial and step. Its own reports up to that step remain
            valid. ``from_step`` alone: it resumes after that step without a checkpoint of this package. None: from the
            start.
    """

    number: int
    worker: str
    at: float
    attempt: int = 1
    config: Mapping[str, Any] | None = None
    basis: int | None = None
    position: int | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    parent: int | None = None
    until: int | None = None
    from_trial: int | None = None
    from_step: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reported:
    """An objective reported metrics at a step, and the scheduler answered.

    Attributes:
        saves: whether the report offered to save a checkpoint.
        own: if the step is one of several inputs, the step's own values; ``metrics`` are then the means so far.
    """

    number: int
    attempt: int
    step: int
    metrics: Mapping[str, Any]
    verdict: Verdict
    at: float
    saves: bool = False
    own: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Saved:
    """A trial's checkpoint of a step was saved completely, and may be resumed from.

    Attributes:
        checkpoint: the JSON form of a ``Checkpoint``: its place, size and digest.
    """

    number: int
    attempt: int
    step: int
    checkpoint: Mapping[str, Any]
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Paused:
    """A trial was paused at its newest report; its worker is free.

    Attributes:
        duration_s: seconds inside the objective in this attempt; None if the worker did not report it.
    """

    number: int
    attempt: int
    step: int
    at: float
    duration_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """An objective that defines its space asked for a parameter that was not in it yet, or for a wider range of one.

    From the next suggestion on, the space has the parameter with that range.

    Attributes:
        domain: the requested domain in JSON form.
        value: the parameter's value in this trial: suggested, a user's own, or drawn.
        is_given: whether the value was chosen by someone other than this study's sampler.
    """

    number: int
    attempt: int
    name: str
    domain: Mapping[str, Any]
    value: Any
    at: float
    is_given: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotated:
    """A user attached a note to a trial, running or not, or to the study. It affects no decision.

    Attributes:
        number: the trial's number; None for a note about the study.
        value: JSON; a newer note of the same name replaces it.
    """

    number: int | None
    name: str
    value: Any
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Released:
    """A checkpoint was released: its files may be deleted, or are gone."""

    number: int
    step: int
    reason: str
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Printed:
    """A trial printed output, shortened in the middle if it was long. No state depends on it."""

    number: int
    attempt: int
    text: str
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Requeued:
    """A trial came back unfinished and waits to be handed out again.

    Attributes:
        spent: whether this used up one of the trial's retries: only a trial alone on its worker counts as the cause.
        suspect: whether it was running when a session died without notice, which the trial may have caused.
    """

    number: int
    attempt: int
    reason: str
    spent: bool
    at: float
    suspect: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """A trial ended: completed, pruned or failed.

    Attributes:
        metrics: the result, or the last report of a trial that has none.
        error: the traceback of a failed trial.
        reason: the exception's type and the first line of its message.
        started_at, duration_s: measured by the worker around the objective; None if it did not report them.
        asked: if the objective defines the space, the parameters that it asked for, to which the configuration is reduced;
            None keeps the whole configuration.
    """

    number: int
    attempt: int
    status: Status
    at: float
    metrics: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    reason: str | None = None
    started_at: float | None = None
    duration_s: float | None = None
    asked: Sequence[str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StopAsked:
    """A user asked to stop one trial: it is pruned at its next report, or at once if it is not running."""

    number: int
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyStopped:
    """The study stopped: no trial is handed out unless it is extended or resumed."""

    reason: str
    at: float


# ------------------------------------------------------------------------------------------------ running systems


@dataclass(frozen=True, kw_only=True, slots=True)
class BaselineSet:
    """A person set the configuration that a running system falls back to; earlier promotions no longer count.

    Attributes:
        config: in the packed form of ``Space.pack``.
        by: the person.
    """

    config: Mapping[str, Any]
    by: str
    at: float
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Approved:
    """A person approved a waiting candidate for the canary group; ``number`` is that of its trial."""

    number: int
    by: str
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Frozen:
    """A running system was frozen: it is not changed until a person thaws it.

    Attributes:
        by: a person, or the controller itself.
        group: the group that was changed by hand, which is left as it is.
        found: the configuration found on that group, in the packed form of ``Space.pack``; None if it is not in the space.
    """

    by: str
    reason: str
    at: float
    group: str | None = None
    found: Mapping[str, Any] | None = None

    @property
    def why(self) -> str:
        """Who froze it and, if one was given, the reason."""
        return f"{self.by}: {self.reason}" if self.reason else self.by


@dataclass(frozen=True, kw_only=True, slots=True)
class Thawed:
    """A person allowed changes again."""

    by: str
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Drifted:
    """A running system drifted: it behaves differently than its model predicts, given the context.

    Attributes:
        number: the window after which the drift was detected.
        statistic: the statistic of the test, above its ``threshold``.
    """

    number: int
    statistic: float
    threshold: float
    at: float


TrialFact = Started | Drawn | Reported | Saved | Paused | Printed | Requeued | Finished | Released
LiveFact = BaselineSet | Approved | Frozen | Thawed | Drifted
Fact = (
    StudyCreated
    | Recalled
    | SessionOpened
    | StudyExtended
    | Enqueued
    | Withdrawn
    | TrialFact
    | Annotated
    | StopAsked
    | StudyStopped
    | LiveFact
)
