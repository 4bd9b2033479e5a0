"""The optimizer of one study as an actor: what workers, pool and drivers call."""

from __future__ import annotations

import asyncio
import logging
import pickle
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from raytune_hpo.cluster.direct import Place, Switchboard
from raytune_hpo.cluster.prefetch import Foresight
from raytune_hpo.cluster.shells import was_restarted
from raytune_hpo.codec import Row
from raytune_hpo.core.collector import rarely_collected
from raytune_hpo.core.ledger import StudyStatus
from raytune_hpo.core.messages import Answer, Asked, Event, Lease, Lost, Measured, Mustered, Reply, Returned, Ticked
from raytune_hpo.core.optimizer import Optimizer, WallClock
from raytune_hpo.errors import HpoError, JournalCorrupt, JournalError, SequenceConflict, StudyExists
from raytune_hpo.facts import Verdict
from raytune_hpo.journal import open_storage
from raytune_hpo.runtime.group_commit import Clerk
from raytune_hpo.runtime.plan import Plan
from raytune_hpo.runtime.resuming import open_study, reopen_study
from raytune_hpo.runtime.waiting_workers import Parking
from raytune_hpo.runtime.wire import EndedRow, LeaseRows, pack_lease, unpack_ended
from raytune_hpo.runtime.worker import first_stop

TICK_S = 1.0  # how closely time budgets are kept
REOPEN_S = 600.0  # how long a restarted optimizer waits for its journal
_log = logging.getLogger("raytune_hpo")


class OptimizerActor:
    """Lives in an AsyncShell. Restarted by Ray after a crash, it replays the journal and goes on.

    Every method waits until the study is open. When it cannot go on, drivers get the error, and workers are told that
    the study is over.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._clock = WallClock()
        self._open = asyncio.Event()
        self._over = asyncio.Event()
        self._failure: HpoError | None = None
        self._optimizer: Optimizer | None = None
        self._crew: str | None = None
        self._workers: set[str] = set()
        self._gone: set[str] = set()
        self._clerk = Clerk(self._decide)
        self._parking = Parking()
        self._switchboard = Switchboard(self._on_line)
        self._foresight = Foresight(plan, self._clerk, self._parking, self._workers)

    # -------------------------------------------------------------------------------------------- its own life

    async def run(self) -> None:
        try:
            await self._switchboard.open()
            self._storage = open_storage(self._plan.storage)
            self._optimizer = await self._opened()
            self._note_end()
            self._open.set()
            with rarely_collected():
                await asyncio.gather(self._clerk.work(), self._tick(), self._foresight.run(self._optimizer))
        except BaseException as error:
            self.fail_with(error)

    async def _opened(self) -> Optimizer:
        beside = not self._plan.sampler.traits.history_free
        if not was_restarted():
            return await self._clerk.do(self._take_up, open_study, beside)
        deadline, delay_s = self._clock.now() + REOPEN_S, 0.2
        while True:
            try:
                return await self._clerk.do(self._take_up, reopen_study, beside)
            except (JournalError, StudyExists) as error:  # the database is away, or has not noticed that we died
                final = isinstance(error, (JournalCorrupt, SequenceConflict)) or self._plan.storage == "memory"
                if final or self._clock.now() > deadline:
                    raise
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, 5.0)

    def _take_up(self, take_up: Any, beside: bool) -> Optimizer:
        optimizer: Optimizer = take_up(self._plan, self._storage, self._clock, beside=beside)
        optimizer.status()  # replays
        return optimizer

    def fail_with(self, error: BaseException) -> None:
        """The study cannot go on."""
        if self._failure is None:
            self._failure = error if isinstance(error, HpoError) else HpoError(_described(error))
        self._open.set()
        self._end()

    def _end(self) -> None:
        self._over.set()
        self._parking.wake()

    async def _tick(self) -> None:
        while not self._over.is_set():
            await asyncio.sleep(TICK_S)
            await self._handle([Ticked(at=self._clock.now())])

    def _decide(self, events: Sequence[Event]) -> list[Reply]:
        """In the clerk's thread."""
        assert self._optimizer is not None
        self._optimizer.core.shelf.drop_stale(max(1, len(self._workers)))
        return self._optimizer.handle(events)

    async def _handle(self, events: Sequence[Event]) -> list[Reply]:
        replies = await self._clerk.handle(events)
        self._note_end()
        return replies

    def _note_end(self) -> None:
        if self._optimizer is not None and self._optimizer.ledger.stopped is not None:
            self._end()

    # -------------------------------------------------------------------------------------------- for workers

    async def line(self) -> Place | None:
        """Where workers reach this optimizer without Ray; None where they cannot."""
        return self._switchboard.place

    async def _on_line(self, method: str, args: tuple[Any, ...]) -> Any:
        spoken: dict[str, Callable[..., Awaitable[Any]]] = {"exchange": self.exchange, "report": self.report}
        return await spoken[method](*args)

    async def exchange(
        self, worker: str, ended: Sequence[EndedRow], returned: Sequence[int], limit: int, holding: Sequence[int]
    ) -> LeaseRows:
        """Take in results, give back a lease; a worker that is holding none waits for it, but not for ever."""
        await self._open.wait()
        if self._over.is_set() or not self._is_known(worker):
            return None
        self._workers.add(worker)
        seen = self._parking.changes
        lease = await self._ask(worker, limit, holding, self._told(worker, ended, returned))
        if not lease.assignments and not lease.is_over and not holding:
            lease = await self._wait_for_work(worker, limit, seen)
        return pack_lease(lease)

    async def tell(self, worker: str, ended: Sequence[EndedRow], returned: Sequence[int]) -> None:
        """Take in the results of a worker that wants nothing more."""
        await self._open.wait()
        if not self._over.is_set() and self._is_known(worker):
            await self._handle(self._told(worker, ended, returned))
            self._parking.wake()
            self._workers.discard(worker)

    async def leave(self, worker: str, ended: Sequence[EndedRow], reason: str) -> None:
        """A worker ends itself because of one trial; the rest of its lease goes back unspent."""
        await self.tell(worker, ended, ())
        await self.lost(worker, reason, True)

    async def report(self, number: int, attempt: int, reports: Sequence[tuple[int, Any]]) -> tuple[str, int | None]:
        await self._open.wait()
        if self._over.is_set():
            return Verdict.STOP.value, None
        at = self._clock.now()
        events = [Measured(number=number, attempt=attempt, step=s, metrics=m, at=at) for s, m in reports]
        answer = first_stop([reply for reply in await self._handle(events) if isinstance(reply, Answer)])
        return answer.verdict.value, answer.next_step

    def _is_known(self, worker: str) -> bool:
        return worker not in self._gone and (self._crew is None or worker.startswith(self._crew))

    def _told(self, worker: str, ended: Sequence[EndedRow], returned: Sequence[int]) -> list[Event]:
        at = self._clock.now()
        back = [Returned(worker=worker, numbers=tuple(returned), at=at)] if returned else []
        return [*unpack_ended(ended, at), *back]

    async def _ask(self, worker: str, limit: int, holding: Sequence[int] = (), told: Sequence[Event] = ()) -> Lease:
        asked = Asked(worker=worker, limit=limit, at=self._clock.now(), holding=frozenset(holding))
        replies = await self._handle([*told, asked])
        if told:
            self._parking.wake()
        lease = replies[-1]
        assert isinstance(lease, Lease)
        return lease

    async def _wait_for_work(self, worker: str, limit: int, seen: int) -> Lease:
        lease = Lease()
        async for _ in self._parking.wakings(worker, seen):
            if not self._is_known(worker) or self._failure is not None:
                return Lease(is_over=True)
            lease = await self._ask(worker, limit)
            if lease.assignments or lease.is_over:
                break
        return lease

    # -------------------------------------------------------------------------------------------- for the pool

    async def muster(self, crew: str) -> None:
        """A new pool has come; workers whose names do not begin with ``crew`` are gone."""
        await self._open.wait()
        self._crew = crew
        self._workers.clear()
        if not self._over.is_set():
            await self._handle([Mustered(crew=crew, at=self._clock.now())])
        self._parking.wake()

    async def lost(self, worker: str, reason: str, blameless: bool) -> None:
        await self._open.wait()
        self._gone.add(worker)
        self._workers.discard(worker)
        self._parking.dismiss(worker)
        if not self._over.is_set():
            await self._handle([Lost(worker=worker, reason=reason, blameless=blameless, at=self._clock.now())])
            self._parking.wake()

    async def pulse(self, timeout_s: float) -> tuple[bool, int | None]:
        """Whether the study is over, as soon as it is, and how many trials wait to be handed out (None: no end of them)."""
        await self._open.wait()
        over = await self._over_within(timeout_s)
        if over or self._optimizer is None:
            return True, 0
        ledger = self._optimizer.ledger
        limit = ledger.spec.limits.num_trials
        return False, None if limit is None else limit - len(ledger.trials) + len(ledger.requeued)

    async def fail(self, error: HpoError) -> None:
        """The pool cannot go on, so the study cannot."""
        self.fail_with(error)

    # -------------------------------------------------------------------------------------------- for drivers

    async def opened(self) -> Any:
        """The storage, once the study is open there.

        Raises:
            HpoError: it cannot be opened.
        """
        await self._open.wait()
        self._raise_failure()
        return self._plan.storage

    async def status(self) -> StudyStatus:
        return await self._clerk.do((await self._opened_study()).status)

    async def snapshot(self) -> bytes:
        """A Snapshot, pickled: Ray's client server, which may have another version of this package, passes bytes on as
        they are.
        """
        optimizer = await self._opened_study()
        self._raise_failure()  # a picture that goes on changing would say that all is well
        return pickle.dumps(await self._clerk.do(optimizer.snapshot))

    async def _opened_study(self) -> Optimizer:
        await self._open.wait()
        if self._optimizer is None:
            self._raise_failure()
        assert self._optimizer is not None
        return self._optimizer

    async def wait(self, timeout_s: float) -> bool:
        """Whether the study ends within the time.

        Raises:
            HpoError: it cannot go on.
        """
        await self._open.wait()
        over = await self._over_within(timeout_s)
        self._raise_failure()
        return over

    async def facts(self, start: int, limit: int) -> list[Row]:
        """Encoded facts from a position on: kind, version and body."""
        await self._open.wait()
        return await asyncio.to_thread(self._encoded, start, limit)

    async def stop(self, reason: str) -> None:
        await self._open.wait()
        if self._optimizer is not None and not self._over.is_set():
            await self._clerk.do(self._optimizer.stop, reason)
            self._note_end()

    async def enqueue(self, config: Mapping[str, Any]) -> None:
        """Have a configuration tried next.

        Raises:
            SpaceError: it is not in the space.
        """
        await self._open.wait()
        self._raise_failure()
        assert self._optimizer is not None
        await self._clerk.do(self._optimizer.enqueue, config)
        self._parking.wake()

    async def close(self) -> None:
        """Give the journal back; the actor is killed next."""
        if self._optimizer is not None:
            await self._clerk.do(self._optimizer.close)

    def _encoded(self, start: int, limit: int) -> list[Row]:
        return list(islice(self._storage.rows(self._plan.spec.name, start), limit))

    async def _over_within(self, timeout_s: float) -> bool:
        try:
            await asyncio.wait_for(self._over.wait(), timeout_s)
        except asyncio.TimeoutError:
            return False
        return True

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def _described(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error)).rstrip()
    return f"the optimizer cannot go on; what was recorded is safe. {text}"
