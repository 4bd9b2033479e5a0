"""Workers that wait for something to do, on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

WAIT_S = 10.0  # then a worker is sent back to ask again, so that a lost reply costs no more than this


class WaitingWorkers:
    """Workers without work, in the order in which they came; each waits once.

    Attributes:
        changes: counts what may have made work; a worker that asked before a change asks again instead of waiting.
        changed: set whenever someone comes or there is a change, for whoever makes work.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[bool]] = {}  # the answer: whether to ask again
        self.changes = 0
        self.changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    async def wakings(self, worker: str, seen: int, wait_s: float = WAIT_S) -> AsyncIterator[None]:
        """Yields whenever there may be something to do; ends after ``wait_s``, or when the worker is dismissed.

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
        """Let all of them ask again, or those ``count`` that have waited longest."""
        woken = list(self._waiting)[:count]
        for worker in woken:
            self._answer(worker, True)
        if count is None or len(woken) < count:  # someone may be asking right now, and be told that there is nothing
            self.changes += 1
        self.changed.set()

    def dismiss(self, worker: str) -> None:
        """The worker does not wait any more."""
        if worker in self._waiting:
            self._answer(worker, False)

    def _answer(self, worker: str, again: bool) -> None:
        answer = self._waiting.pop(worker)
        if not answer.done():
            answer.set_result(again)
