"""States of a trial, under Optuna's names."""

from __future__ import annotations

import enum
from typing import Any

__all__ = ["TrialState"]


class TrialState(enum.IntEnum):
    """The state of a trial."""

    RUNNING = 0
    COMPLETE = 1
    PRUNED = 2
    FAIL = 3
    WAITING = 4

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return f"TrialState.{self.name}"

    def is_finished(self) -> bool:
        """Whether the trial has ended."""
        return self not in (TrialState.RUNNING, TrialState.WAITING)


def state_of(state: Any) -> TrialState:
    """The state that a script names, by this enum or by Optuna's own.

    Raises:
        ValueError: it is not a state.
    """
    named = TrialState.__members__.get(getattr(state, "name", ""))
    if named is None:
        raise ValueError(f"a state is one of {', '.join(map(str, TrialState))}, got {state!r}")
    return named
