"""The pulse of a study: the status that its optimizer sends to its pool."""

from __future__ import annotations

from typing import NamedTuple


class Pulse(NamedTuple):
    """The status of a study that its pool gets every second.

    Attributes:
        is_over: the study has ended.
        num_waiting: trials that wait to be handed out; None: unlimited.
        hung: workers whose trials were ended because they hang, and whose processes are to be ended.
        quiet_s: for how many seconds no running trial has reported or ended; 0 while none runs.
    """

    is_over: bool
    num_waiting: int | None
    hung: tuple[str, ...] = ()
    quiet_s: float = 0.0
