"""Studies on a Ray cluster, which have workers over HTTP beside their own: the optimizer is there, their leases are here."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from raytune_hpo.core.ledger import Ledger
from raytune_hpo.errors import HpoError
from raytune_hpo.service.folds import ReadModel, StillReading
from raytune_hpo.service.http_workers import Desk, HttpWorkers
from raytune_hpo.spec import StudySpec

TICK_S = 0.5
_T = TypeVar("_T")
_log = logging.getLogger("raytune_hpo")


class ClusterStudy:
    """One study whose optimizer is on a cluster, and whose journal is read here.

    What it knows of trials is read from the journal: whatever the optimizer has told a worker was there before.

    Args:
        desk: where the optimizer is spoken to.

    Attributes:
        workers: those over HTTP.
    """

    def __init__(self, spec: StudySpec, desk: Desk, reads: ReadModel) -> None:
        self.name = spec.name
        self.workers = HttpWorkers(spec, desk, self._look)
        self._reads = reads
        self._time: asyncio.Task[None] | None = None

    async def _look(self, function: Callable[[Ledger], _T]) -> _T:
        return await self._reads.read(self.name, lambda fold: function(fold.ledger))

    async def open(self) -> None:
        """Give whole new terms to the workers that have trials, and listen for those that fall silent."""
        self.workers.leases.find_again(await self._look(lambda ledger: list(ledger.owned)))
        self._time = asyncio.get_running_loop().create_task(self._keep_time())

    async def ended(self) -> None:
        """Wait for the study's end, or for that of the listening."""
        assert self._time is not None
        await asyncio.wait([self._time])

    async def close(self) -> None:
        """Listen no more. Trials that run go on at their workers; whoever opens the study here again hears of them."""
        if self._time is not None:
            self._time.cancel()
            await asyncio.gather(self._time, return_exceptions=True)

    async def _keep_time(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            elapsed_s, last = now - last, now
            try:
                if await self._look(lambda ledger: ledger.stopped is not None):
                    return
                await self.workers.pass_time(elapsed_s)
            except (HpoError, StillReading) as error:  # the next tick tries again
                _log.debug("the workers of study %r over HTTP were not looked after: %s", self.name, error)
