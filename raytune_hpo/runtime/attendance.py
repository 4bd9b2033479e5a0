"""Attendance: for how long each worker has been silent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

UNUSUAL_S = 600.0  # a silence is worth a warning if it is this long,
UNUSUAL = 10  # and so many times as long as is usual: some objectives train for hours without a report
MAX_STEP_S = 2.0  # after a longer gap between two calls, the listener itself was stopped


class Attendance:
    """When each worker was last heard from, on a clock that stands still while this process is stopped.

    After a stop (a suspended or overloaded machine) the messages are still waiting: workers must not count as silent then.

    Attributes:
        longest_s: the longest silence that has ended, in seconds: what is usual in this study.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._now_s = 0.0
        self._heard_s: dict[str, float] = {}
        self._talking: dict[str, int] = {}

    def pass_time(self, elapsed_s: float) -> None:
        """Advance the clock by ``elapsed_s`` seconds, at most by ``MAX_STEP_S``."""
        self._now_s += min(elapsed_s, MAX_STEP_S)

    @contextmanager
    def talking(self, worker: str) -> Iterator[None]:
        """While a message of the worker is being answered, it is not silent."""
        if worker in self._heard_s:
            self.longest_s = max(self.longest_s, self._now_s - self._heard_s[worker])
        self._talking[worker] = self._talking.get(worker, 0) + 1
        try:
            yield
        finally:
            self._heard_s[worker] = self._now_s
            self._talking[worker] -= 1
            if not self._talking[worker]:
                del self._talking[worker]

    def silence_s(self, worker: str) -> float:
        """Seconds since the worker was last heard from; if never, since listening began."""
        return 0.0 if worker in self._talking else self._now_s - self._heard_s.get(worker, 0.0)

    def forget(self, worker: str) -> None:
        """Drop a worker that is gone."""
        self._heard_s.pop(worker, None)


def is_unusual(silence_s: float, usual_s: float) -> bool:
    """Whether a silence is long enough for a warning."""
    return silence_s > max(UNUSUAL_S, UNUSUAL * usual_s)
