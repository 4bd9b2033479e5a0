"""Group commit: all commands that arrive while a transaction is under way go into the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from raytune_hpo.core.messages import Command, Reply

_T = TypeVar("_T")


class GroupCommit:
    """The only thread that touches an optimizer; the event loop meanwhile receives further messages.

    Attributes:
        num_unanswered: messages that wait for their replies.
    """

    def __init__(self) -> None:
        self.num_unanswered = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="raytune_hpo-optimizer")
        self._inbox: list[tuple[Sequence[Command], asyncio.Future[list[Reply]]]] = []
        self._arrived = asyncio.Event()
        self._failure: BaseException | None = None  # with which ``work`` has ended

    async def handle(self, commands: Sequence[Command]) -> list[Reply]:
        """Submit commands, and return the replies once their facts are in the journal.

        Raises:
            Exception: that with which ``work`` ends, or has ended: nobody else would answer.
        """
        if self._failure is not None:
            raise self._failure
        answer: asyncio.Future[list[Reply]] = asyncio.get_running_loop().create_future()
        self._inbox.append((commands, answer))
        self._arrived.set()
        self.num_unanswered += 1
        try:
            return await answer
        finally:
            self.num_unanswered -= 1

    async def do(self, function: Callable[..., _T], *args: Any) -> _T:
        """Call a function in the optimizer's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    async def work(self, decide: Callable[[Sequence[Command]], list[Reply]]) -> None:
        """Handle the commands that arrive, until ``decide`` raises; it may be called again after that.

        Args:
            decide: handles commands in one transaction; called in the optimizer's thread.

        Raises:
            Exception: what ``decide`` raised; all waiting callers get it too.
        """
        self._failure = None
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            batch, self._inbox = self._inbox, []
            try:
                replies = await self.do(decide, [command for commands, _ in batch for command in commands])
            except BaseException as error:
                self._failure = error
                for _, answer in [*batch, *self._inbox]:
                    if not answer.done():
                        answer.set_exception(error)
                raise
            begin = 0
            for commands, answer in batch:
                end = begin + len(commands)
                if not answer.done():  # its caller may have been cancelled
                    answer.set_result(replies[begin:end])
                begin = end
