"""The worker pool in the driver's process, for a study that ends with its driver: no process has to be started for it."""

from __future__ import annotations

import asyncio
import atexit
import logging
import threading
from contextlib import suppress

from raytune_hpo.cluster.pool import LEAVE_S, PoolSettings, WorkerPool

_MOMENT_S = 0.1
_CLOSE_S = 2 * LEAVE_S
_log = logging.getLogger("raytune_hpo")


class PoolHere:
    """Runs a WorkerPool on an event loop in a thread of its own."""

    def __init__(self, settings: PoolSettings) -> None:
        self._pool = WorkerPool(settings, has_process=False)
        self._loop, self._closing = asyncio.new_event_loop(), asyncio.Event()
        self._thread = threading.Thread(target=self._serve, name="raytune_hpo-pool", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End all workers; those that need more than a moment to leave do so while this process goes on."""
        with suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(_MOMENT_S)
        if self._thread.is_alive():
            atexit.register(self._thread.join, _CLOSE_S)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._live())
        finally:
            self._loop.close()
            atexit.unregister(self._thread.join)

    async def _live(self) -> None:
        run, closing = asyncio.create_task(self._pool.run()), asyncio.create_task(self._closing.wait())
        await asyncio.wait({run, closing}, return_when=asyncio.FIRST_COMPLETED)
        run.cancel()  # or it would tell of an optimizer that goes first
        await self._pool.close()
        goes_on = asyncio.all_tasks() - {asyncio.current_task()}  # calls of workers that have just been killed
        for task in goes_on:
            task.cancel()
        outcomes = await asyncio.gather(run, *goes_on, return_exceptions=True)
        if isinstance(outcomes[0], Exception):
            _log.debug("the pool has lost the cluster; whoever waits for the study is told", exc_info=outcomes[0])
