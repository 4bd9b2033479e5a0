"""Open event streams: their count, with its limits, and the reads of studies that they share."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any

from raytune_hpo.service.problems import Problem

MAX_STREAMS, MAX_OF_TOKEN = 500, 8


class Streams:
    """Counts open streams, in all and for each token."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def enter(self, token: str) -> None:
        """Count one more.

        Raises:
            Problem: too many are open.
        """
        if sum(self._open.values()) >= MAX_STREAMS or self._open.get(token, 0) >= MAX_OF_TOKEN:
            raise Problem(
                "too-many-streams",
                f"a token has at most {MAX_OF_TOKEN} event streams, all have {MAX_STREAMS}; close one, or poll",
                headers={"Retry-After": "15"},
            )
        self._open[token] = self._open.get(token, 0) + 1

    def leave(self, token: str) -> None:
        self._open[token] -= 1
        if not self._open[token]:
            del self._open[token]


class SharedReads:
    """The newest read of each study, which all its event streams share: hundreds of them cost one read."""

    def __init__(self) -> None:
        self._newest: dict[str, tuple[float, asyncio.Task[Any]]] = {}

    async def newest(self, study: str, read: Callable[[], Coroutine[Any, Any, Any]], max_age_s: float) -> Any:
        """The result of the newest read of a study, or of a new one if that began more than ``max_age_s`` ago.

        Args:
            read: gives the same result for all streams of a study.
        """
        now = asyncio.get_running_loop().time()
        begun, task = self._newest.get(study, (-math.inf, None))
        if task is None or now - begun >= max_age_s:
            task = asyncio.create_task(read())
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # all its streams may be closed
            self._newest[study] = now, task
        return await asyncio.shield(task)
