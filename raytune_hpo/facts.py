"""Facts: what happened to a study and its trials.

A fact is something that happened, in the past tense, with its time ``at`` (epoch seconds, UTC). Facts are appended to a
journal and never changed.
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
    """Where a trial stands."""

    WAITING = "waiting"  # was handed out, came back unfinished, will be handed out again
    RUNNING = "running"
    PAUSED = "paused"  # set aside by the scheduler, and may go on
    COMPLETED = "completed"
    PRUNED = "pruned"  # stopped early by the scheduler
    FAILED = "failed"

    @property
    def is_finished(self) -> bool:
        return self not in (Status.WAITING, Status.RUNNING, Status.PAUSED)


class Verdict(StrEnum):
    """What a scheduler says to a trial's newest report."""

    CONTINUE = "continue"
    STOP = "stop"  # it ends now, as pruned
    PAUSE = "pause"  # it is set aside with what it has, and may go on later
    # This was its last step: it may return, and is completed with this report if it goes on. At the end of a segment, from
    # which another trial goes on, it ends at once.
    COMPLETE = "complete"

    @property
    def is_final(self) -> bool:
        """Whether nothing that the trial reports after it counts."""
        return self is not Verdict.CONTINUE


Record = TypeVar("Record")


def changed(record: Record, **changes: Any) -> Record:
    """``dataclasses.replace`` for a record with slots, without its checks: ten times faster, on the hottest path of all.

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
    """A class with the slots of a record's and so of its layout, but not frozen; and what reads all fields of a record."""
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
    """What an earlier study says of this one, from its beginning on: the earlier one may grow or be deleted afterwards.

    Attributes:
        source: the name of the earlier study.
        rows: of some of its trials the coordinates in this study's unit cube (None where a parameter has none), and the
            normal score of the rank of its loss among all of them.
    """

    source: str
    rows: Sequence[tuple[Sequence[float | None], float]]
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionOpened:
    """An optimizer took the study up (again); time between sessions is not running time.

    Whatever the session before left running is requeued by facts that follow this one.

    Attributes:
        versions: of the packages whose arithmetic the suggestions depend on, by their names.
    """

    at: float
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyExtended:
    """The study's limits are now these: the JSON form of its Limits."""

    limits: Mapping[str, Any]
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Enqueued:
    """A user asked for this configuration to be tried; it comes before what the sampler suggests.

    Attributes:
        retry_of: the failed trial whose configuration this is, tried once more.
        is_next: whether it comes before those that were asked for earlier.
    """

    config: Mapping[str, Any]
    at: float
    retry_of: int | None = None
    is_next: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Withdrawn:
    """A user took a configuration back before it was handed out.

    Attributes:
        position: how many configurations had been enqueued in this study before it.
    """

    position: int
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """A trial was handed out to a worker.

    Attributes:
        attempt: 1 at first; a requeued trial is handed out again with the next attempt.
        config: in the packed form of ``Space.pack``; None from the second attempt on, where it is what it was.
        basis: how many of the study's facts the sampler had seen when it suggested this, so that the suggestion can be
            recomputed; None for an enqueued configuration and for a trial that is handed out again after a loss. Of a
            paused trial that goes on: how many facts there were when that was decided.
        position: of an enqueued configuration that overtook those before it: see ``Withdrawn``. None: it was the first.
        meta: whatever the sampler wants back when it is told the result.
        parent: the trial from which the sampler derived this one; its steps go on from that one's.
        until: the step at which this stretch is to be looked at; None: none in particular.
        from_trial, from_step: the checkpoint that it begins with: whose, and of which step. Its own reports up to that step
            still hold. ``from_step`` alone: it goes on after that step without a checkpoint of ours. None: from the start.
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
        own: of a step that is one of several inputs: its own values, where ``metrics`` are the means so far.
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
    """A trial's checkpoint of a step is complete, and may be gone on from.

    Attributes:
        checkpoint: the JSON form of a ``Checkpoint``: where it is, how large, its digest.
    """

    number: int
    attempt: int
    step: int
    checkpoint: Mapping[str, Any]
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Paused:
    """A trial was set aside at its newest report; its worker is free.

    Attributes:
        duration_s: seconds inside the objective, of this attempt; None if the worker never said.
    """

    number: int
    attempt: int
    step: int
    at: float
    duration_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """An objective that makes its own space asked for a parameter that was not known to it, or not all of it.

    From the next suggestion on, the space knows the parameter, as widely as it was asked for.

    Attributes:
        domain: the JSON form of what was asked for.
        value: what it is in this trial: suggested, a user's own, or drawn.
        is_given: whether somebody else than this study's sampler chose the value.
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
    """A user noted something about a trial, whether it runs or not, or about the study. Nothing is decided by it.

    Attributes:
        number: of the trial; None: it is about the study.
        value: JSON; noted again under the same name, the newest one holds.
    """

    number: int | None
    name: str
    value: Any
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Released:
    """A checkpoint is not kept any more: its files may be deleted, or are gone."""

    number: int
    step: int
    reason: str
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Printed:
    """What a trial wrote to its output, shortened in the middle when it was long. No state depends on it."""

    number: int
    attempt: int
    text: str
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Requeued:
    """A trial came back unfinished and waits to be handed out again.

    Attributes:
        spent: whether this cost the trial one of its retries: only a trial that its worker had to itself is suspected.
        suspect: whether it was running when a session died without a word, which may have been its doing.
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
        error: of a failed trial, with its traceback; ``reason``: the exception's type and the first line of its message.
        started_at, duration_s: measured by the worker around the objective; None if it never said.
        asked: of an objective that makes its own space: the parameters that it asked for, which are the configuration;
            None: all of it holds.
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
    """A user asked for one trial to be stopped: it is pruned at its next report, or at once where nobody runs it."""

    number: int
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyStopped:
    """Nothing more will be handed out, unless the study is extended or taken up again."""

    reason: str
    at: float


# ------------------------------------------------------------------------------------------------ running systems


@dataclass(frozen=True, kw_only=True, slots=True)
class BaselineSet:
    """A person said which configuration a running system falls back to; what was promoted before counts no more.

    Attributes:
        config: in the packed form of ``Space.pack``.
        by: who said so.
    """

    config: Mapping[str, Any]
    by: str
    at: float
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Approved:
    """A person let a candidate that waited for it go to the canary group. ``number``: of its trial."""

    number: int
    by: str
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Frozen:
    """A running system is not changed any more until a person thaws it.

    Attributes:
        by: a person, or the controller itself.
        group: that somebody has changed by hand: it is left as it is.
        found: what it was found to run, in the packed form of ``Space.pack``; None where that is not in the space.
    """

    by: str
    reason: str
    at: float
    group: str | None = None
    found: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Thawed:
    """A person allowed changes again."""

    by: str
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Drifted:
    """A running system answers differently than its model expects, its context taken into account.

    Attributes:
        number: of the window after which that was noticed.
        statistic: of the test, above its ``threshold``.
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
