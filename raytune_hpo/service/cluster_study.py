"""Workers over HTTP for studies on a Ray cluster: the optimizer runs there, the leases of these workers are kept here."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from raytune_hpo.core.ledger import Ledger
from raytune_hpo.core.optimizer import WallClock
from raytune_hpo.errors import HpoError
from raytune_hpo.service.folds import ReadModel, StillReading
from raytune_hpo.service.http_workers import Desk, HttpWorkers
from raytune_hpo.spec import StudySpec

TICK_S = 0.5
_T = TypeVar("_T")
_log = logging.getLogger("raytune_hpo")


class ClusterStudy:
    """A study whose optimizer runs on a Ray cluster, and whose journal is read here.

    The state of trials is read from the journal, which is never behind: the optimizer journals facts before it replies.

    Args:
        desk: the connection to the optimizer.

    Attributes:
        workers: the study's workers over HTTP.
    """

    def __init__(self, spec: StudySpec, desk: Desk, reads: ReadModel) -> None:
        self.name = spec.name
        self.workers = HttpWorkers(spec, desk, self._look, WallClock())
        self._reads = reads
        self._time: asyncio.Task[None] | None = None

    async def _look(self, function: Callable[[Ledger], _T]) -> _T:
        return await self._reads.read(self.name, lambda fold: function(fold.ledger))

    async def open(self) -> None:
        """Start the full term of the lease of each worker that has trials, and begin to watch for leases that expire."""
        self.workers.leases.find_again(await self._look(lambda ledger: list(ledger.owned)))
        self._time = asyncio.get_running_loop().create_task(self._keep_time())

    async def ended(self) -> None:
        """Wait until the study ends, or until it is no longer watched."""
        assert self._time is not None
        await asyncio.wait([self._time])

    async def close(self) -> None:
        """Stop watching leases. Running trials continue; their workers are served again once the study is reopened."""
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
