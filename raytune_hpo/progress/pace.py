"""The rate at which trials finish or pause, and the polling interval of progress displays."""

from __future__ import annotations

import time
from collections import deque
from types import TracebackType

RATE_OVER_S = 60.0  # the rate is that of the last minute
MIN_PAUSE_S, MAX_PAUSE_S = 0.3, 5.0
_SHARE = 0.1  # of the time may go into fetching and drawing


class Meter:
    """The rate at which trials finish or pause, measured over the last minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, num_at_rest: int) -> None:
        self._seen.append((time.monotonic(), num_at_rest))
        while self._seen[-1][0] - self._seen[0][0] > RATE_OVER_S and len(self._seen) > 2:
            self._seen.popleft()

    def rate(self) -> float | None:
        """Trials per second that have finished or paused since the oldest state kept; None if none has."""
        if not self._seen:
            return None
        (begin, before), (now, after) = self._seen[0], self._seen[-1]
        return (after - before) / (now - begin) if after > before and now > begin else None


class Pace:
    """The polling interval: three polls a second, fewer if a poll takes long. A context manager around each poll.

    Attributes:
        pause_s: to wait before the next.
    """

    def __init__(self) -> None:
        self.pause_s = MIN_PAUSE_S
        self._begin = 0.0

    def __enter__(self) -> Pace:
        self._begin = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        took_s = time.monotonic() - self._begin
        self.pause_s = min(MAX_PAUSE_S, max(MIN_PAUSE_S, took_s * (1 / _SHARE - 1)))
