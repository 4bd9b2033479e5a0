"""Exponential backoff: waiting for a database that is gone, slow or full."""

from __future__ import annotations

import logging
import threading
import time

from raytune_hpo.errors import JournalError

_log = logging.getLogger("raytune_hpo")
_FIRST_S, _LONGEST_S = 0.05, 5.0


class Backoff:
    """The pauses between the tries of one append. Logs once when waiting begins, and once when it is over.

    Args:
        limit_s: counted from the first failure.
        what: what waits, for messages.
        closing: set when the journal is being closed.
    """

    def __init__(self, limit_s: float, what: str, closing: threading.Event) -> None:
        self._limit_s, self._what, self._closing = limit_s, what, closing
        self._delay_s = _FIRST_S
        self._since: float | None = None

    def wait(self, why: JournalError) -> None:
        """Sleep before the next try, longer each time.

        Raises:
            JournalError: the limit has been reached, or the journal is being closed.
        """
        now = time.monotonic()
        if self._since is None:
            self._since = now
            _log.warning("%s cannot be written, trying again for up to %g s: %s", self._what, self._limit_s, why)
        left_s = self._since + self._limit_s - now
        if left_s <= 0:
            raise JournalError(f"gave up after {self._limit_s:g} s of trying: {why}") from why
        if self._closing.wait(min(self._delay_s, left_s)):
            raise JournalError(f"{self._what} was closed while an append waited: {why}") from why
        self._delay_s = min(2 * self._delay_s, _LONGEST_S)

    def succeeded(self) -> None:
        """Take note that the last try succeeded."""
        if self._since is not None:
            waited_s = time.monotonic() - self._since
            _log.warning("%s can be written again after %.1f s, nothing was lost", self._what, waited_s)
