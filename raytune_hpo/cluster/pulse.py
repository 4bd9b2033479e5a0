"""The pulse of a study: what its optimizer tells its pool."""

from __future__ import annotations

from typing import NamedTuple


class Pulse(NamedTuple):
    """What a pool must know of its study, every second.

    Attributes:
        is_over: the study has ended.
        num_waiting: trials that wait to be handed out; None: no end of them.
        hung: workers whose trials were taken from them, and whose processes are to be ended.
        quiet_s: for how many seconds no trial that runs has reported or ended; 0 while none runs.
    """

    is_over: bool
    num_waiting: int | None
    hung: tuple[str, ...] = ()
    quiet_s: float = 0.0
