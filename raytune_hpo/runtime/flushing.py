"""Flushing of buffered reports: one thread, for all trials of a worker, that sends each buffer when it is due.

Starting a thread takes longer than a short trial, so it is started once, and ends when it has been idle for a while.
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
    """A buffer that is sent some time after the first item has come in.

    Attributes:
        is_closed: whether it has sent everything already.
    """

    is_closed: bool

    def flush_late(self) -> None:
        """Send the buffer's contents."""
        ...


class Flushing:
    """Calls ``flush_late`` of each buffer ``FLUSH_S`` after it was added, in a background thread."""

    def __init__(self) -> None:
        self._due: deque[tuple[float, Collecting]] = deque()  # in the order of their times, since all wait equally long
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, collecting: Collecting) -> None:
        with self._changed:
            self._due.append((time.monotonic() + FLUSH_S, collecting))
            if self._thread is not None and self._thread.is_alive():  # in a fork, it is not alive
                self._changed.notify()
                return
            self._thread = threading.Thread(target=self._run, name="raytune_hpo-flushing", daemon=True)
            contextvars.Context().run(self._thread.start)  # it belongs to no trial, so its context is empty

    def _run(self) -> None:
        while (found := self._next()) is not None:
            at, collecting = found
            if collecting.is_closed:
                continue
            time.sleep(max(0.0, at - time.monotonic()))
            collecting.flush_late()

    def _next(self) -> tuple[float, Collecting] | None:
        """The next buffer that is due; None if the thread has been idle for long, and is to end."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._due, _IDLE_S):
                self._thread = None
                return None
            return self._due.popleft()
