"""Group commit: what arrives while a transaction is under way goes into the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from raytune_hpo.core.messages import Event, Reply

_T = TypeVar("_T")


class Clerk:
    """The one thread that touches an optimizer, beside the event loop so that messages keep arriving.

    Args:
        decide: handles events in one transaction.
    """

    def __init__(self, decide: Callable[[Sequence[Event]], list[Reply]]) -> None:
        self._decide = decide
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="raytune_hpo-clerk")
        self._inbox: list[tuple[Sequence[Event], asyncio.Future[list[Reply]]]] = []
        self._arrived = asyncio.Event()

    async def handle(self, events: Sequence[Event]) -> list[Reply]:
        """The replies to the events, once the journal holds what they led to."""
        answer: asyncio.Future[list[Reply]] = asyncio.get_running_loop().create_future()
        self._inbox.append((events, answer))
        self._arrived.set()
        return await answer

    async def do(self, function: Callable[..., _T], *args: Any) -> _T:
        """Call a function in the clerk's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    async def work(self) -> None:
        """Handle what arrives, until something goes wrong for good.

        Raises:
            Exception: what the optimizer raised; those who wait get it too.
        """
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            batch, self._inbox = self._inbox, []
            try:
                replies = await self.do(self._decide, [event for events, _ in batch for event in events])
            except BaseException as error:
                for _, answer in [*batch, *self._inbox]:
                    if not answer.done():
                        answer.set_exception(error)
                raise
            begin = 0
            for events, answer in batch:
                end = begin + len(events)
                if not answer.done():  # its caller may have gone
                    answer.set_result(replies[begin:end])
                begin = end
