"""Long polling: workers that wait for a trial, on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

WAIT_S = 10.0  # then a worker is told to ask again, so that a lost reply costs no more than this


class WaitingWorkers:
    """Idle workers, in the order in which they began to wait; each waits in one call only.

    Attributes:
        changes: counts events that may have made a trial available; a worker that asked before one asks again.
        changed: set whenever a worker begins to wait or there is a change; the prefetcher waits for it.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[bool]] = {}  # the answer: whether to ask again
        self.changes = 0
        self.changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    async def wakings(self, worker: str, seen: int, wait_s: float = WAIT_S) -> AsyncIterator[None]:
        """Yield whenever a trial may be available; end after ``wait_s``, or when the worker is dismissed.

        Args:
            seen: ``changes`` as it was before the worker asked in vain.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while True:
            if self.changes == seen and not await self._wait(worker, deadline - loop.time()):
                return
            seen = self.changes
            yield

    async def _wait(self, worker: str, timeout_s: float) -> bool:
        self.dismiss(worker)  # its earlier call, whose answer was lost
        answer = self._waiting[worker] = asyncio.get_running_loop().create_future()
        self.changed.set()
        try:
            return await asyncio.wait_for(answer, timeout_s)
        except asyncio.TimeoutError:
            return False
        finally:
            if self._waiting.get(worker) is answer:
                del self._waiting[worker]

    def wake(self, count: int | None = None) -> None:
        """Have all waiting workers ask again, or the ``count`` that have waited longest."""
        woken = list(self._waiting)[:count]
        for worker in woken:
            self._answer(worker, True)
        if count is None or len(woken) < count:  # a worker may be asking right now, and get nothing
            self.changes += 1
        self.changed.set()

    def dismiss(self, worker: str) -> None:
        """End a worker's wait."""
        if worker in self._waiting:
            self._answer(worker, False)

    def _answer(self, worker: str, again: bool) -> None:
        answer = self._waiting.pop(worker)
        if not answer.done():
            answer.set_result(again)
