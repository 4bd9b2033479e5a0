"""The rate at which trials finish or pause, and the intervals between updates of a display."""

from __future__ import annotations

import time
from collections import deque
from types import TracebackType

RATE_OVER_S = 60.0  # the rate is that of the last minute
MIN_PAUSE_S, MAX_PAUSE_S = 0.3, 5.0
_SHARE = 0.1  # of the time may be spent on reading and drawing


class Meter:
    """The rate at which trials finish or pause, measured over the last minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, num_at_rest: int) -> None:
        self._seen.append((time.monotonic(), num_at_rest))
        while self._seen[-1][0] - self._seen[0][0] > RATE_OVER_S and len(self._seen) > 2:
            self._seen.popleft()

    def rate(self) -> float | None:
        """Trials per second that finished or paused since the oldest remembered state; None if none did."""
        if not self._seen:
            return None
        (begin, before), (now, after) = self._seen[0], self._seen[-1]
        return (after - before) / (now - begin) if after > before and now > begin else None


class Pace:
    """The interval between two updates: three a second, fewer if an update takes long. A context manager around each one.

    Attributes:
        pause_s: seconds to wait before the next update.
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
