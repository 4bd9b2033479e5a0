"""Flushing: a thread that sends what has been collected for long enough, one for all trials of a worker.

Starting a thread takes longer than many a trial: it is started once, and ends when nothing has been asked of it for a while.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections import deque
from typing import Protocol

FLUSH_S = 0.05  # no report that needs no answer waits longer than this
_IDLE_S = 2.0


class Collecting(Protocol):
    """Whatever collects for a while.

    Attributes:
        is_closed: whether it has sent everything by itself.
    """

    is_closed: bool

    def flush_late(self) -> None:
        """Send what has been collected."""
        ...


class Flushing:
    """Calls ``flush_late`` of each that was added, FLUSH_S after that, in a thread of its own."""

    def __init__(self) -> None:
        self._due: deque[tuple[float, Collecting]] = deque()  # in the order of their times, since each waits as long
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, collecting: Collecting) -> None:
        with self._changed:
            self._due.append((time.monotonic() + FLUSH_S, collecting))
            if self._thread is not None and self._thread.is_alive():  # it is not, in a fork
                self._changed.notify()
                return
            self._thread = threading.Thread(target=self._run, name="raytune_hpo-flushing", daemon=True)
            contextvars.Context().run(self._thread.start)  # it is no thread of the trial that happens to be the first

    def _run(self) -> None:
        while (found := self._next()) is not None:
            at, collecting = found
            if collecting.is_closed:
                continue
            time.sleep(max(0.0, at - time.monotonic()))
            collecting.flush_late()

    def _next(self) -> tuple[float, Collecting] | None:
        """The next one; None where there has been none for long, and the thread is to end."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._due, _IDLE_S):
                self._thread = None
                return None
            return self._due.popleft()
