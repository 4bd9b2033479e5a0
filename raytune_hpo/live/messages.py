"""What the machine of a live study is told, and what it wants done.

Commands are in the imperative, as everywhere; those that tell of the running system are named after what is told. Effects
are carried out by the controller, or by a simulation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raytune_hpo.facts import Fact

# ------------------------------------------------------------------------------------------------ commands


@dataclass(frozen=True, kw_only=True, slots=True)
class LookAround:
    """Do what is due at this time. ``read``: what the groups were found to run just now, by group, where somebody looked."""

    at: float
    read: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class NoteApplied:
    """Take note that a group was changed, and of what it was found to run afterwards."""

    group: str
    read: Mapping[str, Any]
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class NoteNotApplied:
    """Take note that a change could not be made, or not be read back."""

    group: str
    error: str
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class NoteMeasured:
    """Take note of a measurement of a window: of its part up to now, or of all of it.

    ``metrics``: None where nothing could be measured.
    """

    number: int
    metrics: Mapping[str, float] | None
    context: Mapping[str, float]
    at: float
    is_final: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Approve:
    """Let a candidate that waits go to the canary group."""

    number: int
    by: str
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Freeze:
    """Take the canary group back to what was promoted, and change nothing more until a person thaws it."""

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
    """Fall back to this configuration from now on, and forget what was promoted. None: the one that is the baseline now."""

    by: str
    at: float
    config: Mapping[str, Any] | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Adopt:
    """Take what somebody's hand has set, for which the system was frozen, as the baseline, and allow changes again."""

    by: str
    at: float
    reason: str = ""


LiveCommand = LookAround | NoteApplied | NoteNotApplied | NoteMeasured | Approve | Freeze | Thaw | SetBaseline | Adopt

# ------------------------------------------------------------------------------------------------ effects


@dataclass(frozen=True, kw_only=True, slots=True)
class Apply:
    """Have a group run a configuration, and read back what it runs then.

    Attributes:
        share: of the traffic, that the canary group is to get.
        seq: the number of facts behind this change; an applier refuses what is older than its newest.
    """

    group: str
    config: Mapping[str, Any]
    share: float
    seq: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """Measure a group from ``start`` to ``end``, and on the way every ``check_s`` seconds what there is by then."""

    number: int
    group: str
    start: float
    end: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Alarm:
    """Tell people."""

    text: str


Effect = Apply | Measure | Alarm


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveDecision:
    """What a command led to. The effects may be carried out once the facts are in the journal."""

    facts: tuple[Fact, ...] = ()
    effects: tuple[Effect, ...] = ()
