"""Hosted studies: their optimizer runs in the service, and their workers connect over HTTP."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from raytune_hpo import registry
from raytune_hpo.checkpoints.deleting import Deleter
from raytune_hpo.checkpoints.places import place_of
from raytune_hpo.checkpoints.store import CheckpointStore
from raytune_hpo.core.last_call import LAST_CALL_S
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.core.messages import (
    EnqueueConfig,
    ExtendStudy,
    Observation,
    Recorded,
    RecordObservations,
    Tick,
    WithdrawConfig,
)
from raytune_hpo.core.optimizer import Optimizer, WallClock
from raytune_hpo.errors import HpoError, JournalCorrupt, JournalError, SequenceConflict
from raytune_hpo.journal import Storage
from raytune_hpo.runtime.async_desk import AsyncDesk
from raytune_hpo.runtime.plan import RunPlan, not_called
from raytune_hpo.runtime.resuming import open_study, reopen_study
from raytune_hpo.runtime.settings import Settings
from raytune_hpo.service.http_workers import HttpWorkers
from raytune_hpo.spec import Limits, StudySpec

RUNTIME = "http"  # in the settings of a study's spec
TICK_S = 0.5
GOODBYE_S = 2.0  # how long a study that closes waits until requests in progress are answered
_T = TypeVar("_T")
_log = logging.getLogger("raytune_hpo")


def plan_of(spec: StudySpec) -> RunPlan:
    """The plan of a stored study that was created over HTTP, rebuilt from its spec alone."""
    brought = spec.scheduler
    scheduler = None if brought is None else registry.make("scheduler", {"name": brought.name, **brought.options})
    return RunPlan(
        objective=not_called,
        spec=spec,
        sampler=registry.make("sampler", {"name": spec.sampler.name, **spec.sampler.options}),
        scheduler=scheduler,
        settings=Settings(name=spec.name, seed=spec.seed, metric=[g.metric for g in spec.goals]),
    )


class HostedStudy:
    """One study whose optimizer lives here.

    Attributes:
        workers: the workers over HTTP that run its trials.
    """

    def __init__(self, plan: RunPlan, storage: Storage) -> None:
        self.plan = plan
        self._storage, self._clock = storage, WallClock()
        self._desk = AsyncDesk(self._clock)
        self.workers = HttpWorkers(plan.spec, self._desk, self._look, self._clock)
        self._optimizer: Optimizer | None = None
        self._tasks: list[asyncio.Task[None]] = []
        place = place_of(None, storage.url, plan.spec.name)
        self._deleter = Deleter(CheckpointStore(place))

    @property
    def name(self) -> str:
        return self.plan.spec.name

    @property
    def optimizer(self) -> Optimizer:
        assert self._optimizer is not None
        return self._optimizer

    @property
    def is_over(self) -> bool:
        """Whether the study has ended."""
        return self._desk.over.is_set()

    async def _look(self, function: Callable[[Ledger], _T]) -> _T:
        return function(self.optimizer.ledger)

    async def ended(self) -> None:
        """Wait until the study has ended."""
        await self._desk.over.wait()

    async def open(self, *, again: bool = False) -> None:
        """Take the study up in a new session or, with ``again``, in the session of an earlier process of the service.

        Raises:
            HpoError: someone else writes it, or its storage cannot be written.
        """
        take_up = reopen_study if again else open_study
        self._optimizer = await self._desk.commit.do(self._opened, take_up)
        self.workers.leases.find_again(self._optimizer.ledger.owned)
        self._desk.open(self._optimizer)
        self._desk.note_end()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._serve()), loop.create_task(self._keep_time())]

    def _opened(self, take_up: Any) -> Optimizer:
        optimizer: Optimizer = take_up(self.plan, self._storage, self._clock, delete=self._deleter, grace_s=LAST_CALL_S)
        return optimizer

    async def close(self) -> None:
        """Release the journal. Running trials continue; their results are taken once the study is reopened."""
        self._desk.close()
        deadline = time.monotonic() + GOODBYE_S
        while self._desk.commit.num_unanswered and time.monotonic() < deadline:
            await asyncio.sleep(0.01)  # let requests in progress be answered
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._optimizer is not None:
            await self._desk.commit.do(self._optimizer.close)
        await asyncio.to_thread(self._deleter.close)

    async def _serve(self) -> None:
        """Serve until an error that does not pass: then the study is over here, and its workers are told so."""
        while True:
            try:
                await self._desk.serve()
            except Exception as error:  # callers that waited got it; what was not written has had no effect
                if not isinstance(error, JournalError) or isinstance(error, (JournalCorrupt, SequenceConflict)):
                    is_known = isinstance(error, HpoError)
                    _log.error("study %r cannot continue here: %s", self.name, error, exc_info=not is_known)
                    self._desk.close()
                    raise
                _log.warning("study %r could not be written: %s", self.name, error)

    async def _keep_time(self) -> None:
        last = time.monotonic()
        while not self.is_over:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            elapsed_s, last = now - last, now
            try:
                await self._desk.handle([Tick(at=self._clock.now())])
                await self.workers.pass_time(elapsed_s)
            except JournalError:
                continue  # the storage is away: _serve has said so, and the next tick tries again

    # -------------------------------------------------------------------------------------------- users

    async def stop(self, reason: str) -> None:
        await self._desk.stop(reason)

    def dismiss(self) -> None:
        """End the waits of workers over HTTP: each gets the answer that there is no trial now."""
        for lease in self.workers.leases.all():
            self._desk.waiting.dismiss(lease.name)

    async def stop_trial(self, number: int) -> None:
        await self._desk.commit.do(self.optimizer.stop_trial, number)
        self._desk.waiting.wake()

    async def enqueue(self, configs: Sequence[Mapping[str, Any]]) -> list[int]:
        """Enqueue configurations to be tried next, and return their positions in the queue.

        Raises:
            SpaceError: one of them is not in the space; none is enqueued.
        """
        positions = await self._desk.commit.do(self._enqueue, configs)
        self._desk.waiting.wake()
        return positions

    def _enqueue(self, configs: Sequence[Mapping[str, Any]]) -> list[int]:
        space, first, at = self.plan.spec.space, self.optimizer.ledger.num_enqueued, self._clock.now()
        self.optimizer.handle([EnqueueConfig(config=space.pack(space.complete(c)), at=at) for c in configs])
        return list(range(first, first + len(configs)))

    async def withdraw(self, position: int) -> bool:
        """Take a configuration out of the queue; False where it does not wait there any more."""
        return await self._desk.commit.do(self._withdraw, position)

    def _withdraw(self, position: int) -> bool:
        """Runs in the optimizer's thread, so that the configuration is not handed out in between."""
        if position not in self.optimizer.ledger.enqueued:
            return False
        self.optimizer.handle([WithdrawConfig(position=position, at=self._clock.now())])
        return True

    async def observe(self, source: str, observations: Sequence[Observation]) -> tuple[int, ...]:
        """Add trials that were measured elsewhere, and return their numbers; empty if the limits leave no room for all."""
        recording = RecordObservations(worker=source, observations=tuple(observations), at=self._clock.now())
        (recorded,) = await self._desk.handle([recording])
        self._desk.waiting.wake()
        assert isinstance(recorded, Recorded)
        return recorded.numbers

    async def extend(self, changed: Callable[[Ledger], Limits]) -> None:
        """Change the study's limits to those that a function makes of its ledger; what that raises changes nothing."""
        await self._desk.commit.do(self._extend, changed)
        self._desk.note_end()
        self._desk.waiting.wake()

    def _extend(self, changed: Callable[[Ledger], Limits]) -> None:
        """Runs in the optimizer's thread, so that two who change different limits at once both have their way."""
        optimizer = self.optimizer
        optimizer.handle([ExtendStudy(limits=changed(optimizer.ledger), at=self._clock.now())])


def is_hosted(spec: StudySpec) -> bool:
    """Whether a stored study is one that this kind of service hosts."""
    return spec.settings.get("runtime") == RUNTIME
