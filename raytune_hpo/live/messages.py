"""Commands to the state machine of a live study, and the effects that it asks for.

Commands are in the imperative; those that report on the running system begin with ``Note``. Effects are carried out by the
controller, or by a simulation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raytune_hpo.facts import Fact
from raytune_hpo.live.appliers import Bounds

# ------------------------------------------------------------------------------------------------ commands


@dataclass(frozen=True, kw_only=True, slots=True)
class LookAround:
    """Do what is due at this time. ``read``: the configuration that each group was just found to run, if it was read."""

    at: float
    read: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class NoteApplied:
    """Take note that a group was changed, and of the configuration that was read back."""

    group: str
    read: Mapping[str, Any]
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class NoteNotApplied:
    """Take note that a change failed, or could not be read back."""

    group: str
    error: str
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class NoteMeasured:
    """Take note of a measurement of a window, up to now or complete.

    ``metrics``: None if nothing could be measured. ``bounds``: the lowest and the highest value of a metric that is not
    certain yet; while the window is not complete, an absolute guard is broken only if it is so within these.
    """

    number: int
    metrics: Mapping[str, float] | None
    context: Mapping[str, float]
    at: float
    is_final: bool
    bounds: Bounds = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class NoteNewest:
    """Take note of what was measured in the newest part of a window, on which absolute guards are judged, too.

    In the window as a whole, what went well before hides a guard that has just broken. ``bounds``: as for NoteMeasured.
    """

    number: int
    metrics: Mapping[str, float]
    context: Mapping[str, float]
    at: float
    bounds: Bounds = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Approve:
    """Let a candidate that waits go to the canary group."""

    number: int
    by: str
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Freeze:
    """Return the canary group to what was promoted, and change nothing more until a person thaws the system."""

    by: str
    reason: str
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Thaw:
    """Allow changes again."""

    by: str
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SetBaseline:
    """Set the baseline, and discard what was promoted. None: keep the current baseline."""

    by: str
    at: float
    config: Mapping[str, Any] | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Adopt:
    """Make a manual change, for which the system was frozen, the baseline, and allow changes again."""

    by: str
    at: float
    reason: str = ""


LiveCommand = (
    LookAround
    | NoteApplied
    | NoteNotApplied
    | NoteMeasured
    | NoteNewest
    | Approve
    | Freeze
    | Thaw
    | SetBaseline
    | Adopt
)

# ------------------------------------------------------------------------------------------------ effects


@dataclass(frozen=True, kw_only=True, slots=True)
class Apply:
    """Apply a configuration to a group, and read back what it then runs.

    Attributes:
        share: the canary group's share of the traffic.
        seq: the number of facts at this change; an applier refuses changes older than its newest.
    """

    group: str
    config: Mapping[str, Any]
    share: float
    seq: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """Measure a group from ``start`` to ``end``, and meanwhile, every ``check_s`` seconds, from ``start`` to now."""

    number: int
    group: str
    start: float
    end: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Alarm:
    """Alert people."""

    text: str


Effect = Apply | Measure | Alarm


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveDecision:
    """The result of a command: facts and effects. The effects may be carried out once the facts are in the journal."""

    facts: tuple[Fact, ...] = ()
    effects: tuple[Effect, ...] = ()
