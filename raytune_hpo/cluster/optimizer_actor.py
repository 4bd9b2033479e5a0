"""The optimizer of one study as a Ray actor, which workers, the pool and drivers call."""

from __future__ import annotations

import asyncio
import logging
import pickle
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import ray
from ray.util import get_node_ip_address

from raytune_hpo.checkpoints.deleting import Deleter
from raytune_hpo.checkpoints.fetching import NODE, URL, is_local
from raytune_hpo.checkpoints.places import place_of
from raytune_hpo.checkpoints.store import CheckpointStore
from raytune_hpo.cluster.direct import Address, Listener
from raytune_hpo.cluster.environment import is_lost_with_job
from raytune_hpo.cluster.failures import gone_from_memory
from raytune_hpo.cluster.line_here import leave_note
from raytune_hpo.cluster.nodes import know_nodes, this_node
from raytune_hpo.cluster.prefetch import Prefetcher
from raytune_hpo.cluster.pulse import Pulse
from raytune_hpo.cluster.shells import OPTIMIZER, POOL, exists, find, pickler, was_restarted
from raytune_hpo.cluster.trial_worker import BACKSTOP_S
from raytune_hpo.codec import Row
from raytune_hpo.core.collector import rarely_collected
from raytune_hpo.core.keeping import kept_records
from raytune_hpo.core.last_call import LAST_CALL_S
from raytune_hpo.core.ledger import StudyStatus
from raytune_hpo.core.messages import Tick
from raytune_hpo.core.optimizer import Optimizer, WallClock
from raytune_hpo.errors import HpoError, JournalCorrupt, JournalError, SequenceConflict, StudyExists
from raytune_hpo.facts import Status
from raytune_hpo.journal import open_storage
from raytune_hpo.runtime.async_desk import AsyncDesk
from raytune_hpo.runtime.attendance import is_unusual
from raytune_hpo.runtime.plan import RunPlan
from raytune_hpo.runtime.resuming import open_study, reopen_study
from raytune_hpo.runtime.wire import (
    AnswerRow,
    EndedRow,
    LeaseRows,
    ParameterRow,
    ReportRow,
    pack_answer,
    pack_lease,
    pack_parameter,
    unpack_ended,
)

TICK_S = 1.0  # the interval of checks of time limits and of silent workers
REOPEN_S = 600.0  # how long a restarted optimizer waits for its journal
_log = logging.getLogger("raytune_hpo")


class OptimizerActor:
    """The optimizer of one study. Runs in an AsyncShell; if Ray restarts it after a crash, it replays the journal.

    Every method waits until the study is open. If the study cannot continue, drivers get the error, and workers are told
    that it is over.

    Args:
        orphan_s: how often to check whether there is a pool; if there is none, because the driver died before creating it,
            the actor ends. None: it ends with its driver.
    """

    def __init__(self, plan: RunPlan, orphan_s: float | None = None) -> None:
        self._plan, self._orphan_s = plan, orphan_s
        self._notes: list[str] = []
        self._hung: list[str] = []
        self._quiet_s = 0.0
        self._unusual: set[tuple[str, tuple[int, ...]]] = set()  # silences that were reported
        self._clock = WallClock()
        self._open = asyncio.Event()
        self._failure: HpoError | None = None
        self._optimizer: Optimizer | None = None
        self._desk = AsyncDesk(self._clock)
        self._listener = Listener(self._on_call, pickler.dumps)
        self._note: Path | None = None
        self._has_told_of_nodes = self._has_told_of_full_disk = False
        know_nodes()

    # -------------------------------------------------------------------------------------------- life cycle

    async def run(self) -> None:
        if self._orphan_s is not None:
            self._watching = asyncio.get_running_loop().create_task(self._end_as_orphan(self._orphan_s))
        try:
            await self._listener.open(get_node_ip_address())  # type: ignore[no-untyped-call]
            noting = asyncio.create_task(asyncio.to_thread(self._noted))
            self._storage = open_storage(self._plan.settings.storage)
            if is_lost_with_job(self._storage.url):
                self.add_note(
                    f"the storage {self._storage.url} is in this job's working directory, a copy that Ray deletes: no other "
                    f"job can continue the study; give an absolute path or a URL, or leave storage out"
                )
            place = place_of(self._plan.settings.checkpoints, self._storage.url, self._plan.spec.name)
            self._store = CheckpointStore(place, node=this_node())
            self._deleter = Deleter(self._store)
            self._optimizer = await self._opened()
            self._desk.open(self._optimizer)
            self._desk.note_end()
            self._note = await noting
            self._open.set()
            prefetcher = Prefetcher(self._plan, self._desk, self.add_note)
            with rarely_collected():
                await asyncio.gather(self._desk.serve(), self._tick(), prefetcher.run(self._optimizer))
        except BaseException as error:
            self.fail_with(error)

    async def _opened(self) -> Optimizer:
        # A growing space is up to date only here: another process would suggest in an older one.
        ahead = not self._plan.sampler.traits.history_free and not self._plan.spec.grows
        if not was_restarted():
            optimizer = await self._desk.commit.do(self._take_up, partial(open_study, suspect=True), ahead)
            await asyncio.to_thread(self._store.sweep_unknown, list(kept_records(optimizer.ledger)))
            return optimizer
        if self._plan.settings.storage == "memory":
            raise gone_from_memory(self._plan.spec.name)
        deadline, delay_s = self._clock.now() + REOPEN_S, 0.2
        while True:
            try:
                return await self._desk.commit.do(self._take_up, reopen_study, ahead)
            except (JournalError, StudyExists) as error:  # the database is away, or has not noticed that we died
                if isinstance(error, (JournalCorrupt, SequenceConflict)) or self._clock.now() > deadline:
                    raise
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, 5.0)

    def _take_up(self, take_up: Callable[..., Optimizer], ahead: bool) -> Optimizer:
        return take_up(self._plan, self._storage, self._clock, ahead=ahead, delete=self._deleter, grace_s=LAST_CALL_S)

    def _noted(self) -> Path | None:
        """Write the note by which commands on this machine find the listener; its path, or None."""
        if self._listener.address is None:
            return None
        try:
            gcs: str = ray.get_runtime_context().gcs_address
            return leave_note(self._plan.spec.name, gcs, self._listener.address)
        except (HpoError, OSError) as error:
            _log.debug("commands on this machine will reach study %r through Ray: %s", self._plan.spec.name, error)
            return None

    def fail_with(self, error: BaseException) -> None:
        """End the study with an error."""
        if self._failure is None:
            text = "".join(traceback.format_exception(error)).rstrip()
            unknown = HpoError(f"the optimizer cannot continue; what was recorded is safe. {text}")
            self._failure = error if isinstance(error, HpoError) else unknown
        self._open.set()
        self._desk.close()

    async def _end_as_orphan(self, pause_s: float) -> None:
        name = self._plan.spec.name
        while True:
            await asyncio.sleep(pause_s)
            if not await asyncio.to_thread(exists, POOL, name):
                _log.warning("study %r has no worker pool: its driver ended while it started the study", name)
                await self.close()
                ray.kill(find(OPTIMIZER, name))

    async def _tick(self) -> None:
        limit_s, last = self._plan.settings.trial_timeout_s, time.monotonic()
        while not self._desk.over.is_set():
            await asyncio.sleep(TICK_S)
            await self._desk.handle([Tick(at=self._clock.now())])
            now = time.monotonic()
            self._desk.attendance.pass_time(now - last)
            last = now
            if limit_s is not None:
                self._hung += await self._desk.end_hung(limit_s, BACKSTOP_S + 5 * TICK_S)
            silences = await self._desk.silences()
            self._quiet_s = min((silence_s for silence_s, _ in silences.values()), default=0.0)
            self._warn_of_unusual(silences)

    def _warn_of_unusual(self, silences: Mapping[str, tuple[float, tuple[int, ...]]]) -> None:
        """Warn of unusual silences, once for each."""
        longest_s = self._desk.attendance.longest_s
        for worker, (silence_s, numbers) in silences.items():
            if longest_s > 0.0 and is_unusual(silence_s, longest_s) and (worker, numbers) not in self._unusual:
                self._unusual.add((worker, numbers))
                self.add_note(
                    f"worker {worker} sent nothing about trial {numbers[0]} for {silence_s / 60:.0f} minutes, the longest "
                    f"silence before was {longest_s:.0f} s; with trial_timeout_s, a worker that hangs is ended"
                )

    def add_note(self, text: str) -> None:
        """Add a note, which is shown to the users who follow the study."""
        _log.warning("%s", text)
        self._notes.append(text)

    # -------------------------------------------------------------------------------------------- for workers

    async def address(self) -> Address | None:
        """The address at which workers reach this optimizer directly; None if there is none."""
        return self._listener.address

    async def checkpoint_place(self) -> str:
        """The folder, or URL, of this study's checkpoints."""
        await self._open.wait()
        return self._store.url

    async def _on_call(self, method: str, args: tuple[Any, ...]) -> Any:
        """Handle a call on a direct connection. Errors of commands are sent as answers; those of workers close it."""
        commands: dict[str, Callable[..., Awaitable[Any]]] = {
            "stop": self.stop,
            "stop_trial": self.stop_trial,
            "enqueue": self.enqueue,
        }
        if method in commands:
            try:
                await commands[method](*args)
            except HpoError as error:
                return error
            return None
        spoken: dict[str, Callable[..., Awaitable[Any]]] = {
            "exchange": self.exchange,
            "report": self.report,
            "keep": self.keep,
            "draw": self.draw,
            "offer": self.offer,
            "hold": self.hold,
        }
        return await spoken[method](*args)

    async def exchange(
        self, worker: str, ended: Sequence[EndedRow], returned: Sequence[int], limit: int, holding: Sequence[int]
    ) -> LeaseRows:
        """See AsyncDesk.exchange."""
        await self._open.wait()
        told = unpack_ended(ended)
        for end in told:
            self._look_where_it_lies(end.checkpoint)
        return pack_lease(await self._desk.exchange(worker, told, returned, limit, holding))

    async def tell(self, worker: str, ended: Sequence[EndedRow], returned: Sequence[int]) -> None:
        """Record the last results of a worker that leaves."""
        await self._open.wait()
        await self._desk.leave(worker, unpack_ended(ended), returned)

    async def leave(self, worker: str, ended: Sequence[EndedRow], reason: str) -> None:
        """A worker ends itself because of one trial; the others of its lease are requeued without using up a retry."""
        await self.tell(worker, ended, ())
        await self.lost(worker, reason, True)

    async def report(self, number: int, attempt: int, reports: Sequence[ReportRow]) -> AnswerRow:
        await self._open.wait()
        return pack_answer(await self._desk.report(number, attempt, reports))

    async def keep(self, number: int, attempt: int, step: int, checkpoint: Mapping[str, Any]) -> AnswerRow:
        await self._open.wait()
        self._look_where_it_lies(checkpoint)
        return pack_answer(await self._desk.keep(number, attempt, step, checkpoint))

    async def draw(self, number: int, attempt: int, name: str, domain: Mapping[str, Any]) -> ParameterRow:
        await self._open.wait()
        return pack_parameter(await self._desk.draw(number, attempt, name, domain))

    async def offer(self, number: int, attempt: int, metrics: Mapping[str, Any]) -> bool:
        await self._open.wait()
        return await self._desk.offer(number, attempt, metrics)

    async def hold(self, number: int) -> bool:
        await self._open.wait()
        if not self._has_told_of_full_disk:
            self._has_told_of_full_disk = True
            self.add_note(
                f"the disk is full: trial {number} waits to save its checkpoint, and no trial starts until there is room"
            )
        return await self._desk.hold()

    def _look_where_it_lies(self, checkpoint: Mapping[str, Any] | None) -> None:
        """Warn once that checkpoints are on the disks of nodes that may be lost."""
        if checkpoint is None or URL not in checkpoint or self._has_told_of_nodes or not is_local(str(checkpoint[URL])):
            return
        if checkpoint.get(NODE) != self._store.node and not Path(str(checkpoint[URL])).is_dir():
            self._has_told_of_nodes = True
            self.add_note(
                "checkpoints are kept on the disks of the nodes that save them: if a node is lost, its trials "
                "start over; set checkpoints= to a shared folder or a URL such as s3://bucket/path, and nothing is lost"
            )

    # -------------------------------------------------------------------------------------------- for workers over HTTP

    async def exchange_packed(
        self,
        worker: str,
        ended: Sequence[EndedRow],
        returned: Sequence[int],
        limit: int,
        holding: Sequence[int],
        wait_s: float,
    ) -> LeaseRows:
        """``exchange`` with packed configurations, for callers that may lack the classes of the objects in them."""
        await self._open.wait()
        lease = await self._desk.exchange(worker, unpack_ended(ended), returned, limit, holding, wait_s)
        pack = self._plan.spec.space.pack
        given = tuple(replace(assignment, config=pack(assignment.config)) for assignment in lease.assignments)
        return pack_lease(replace(lease, assignments=given))

    async def tell_ends(self, ended: Sequence[EndedRow]) -> list[bool]:
        """See AsyncDesk.tell."""
        await self._open.wait()
        self._raise_failure()
        return await self._desk.tell(unpack_ended(ended))

    async def adopt(self, worker: str, number: int, attempt: int, reports: Sequence[ReportRow]) -> AnswerRow | None:
        """See AsyncDesk.adopt."""
        await self._open.wait()
        answer = await self._desk.adopt(worker, number, attempt, reports)
        return None if answer is None else pack_answer(answer)

    # -------------------------------------------------------------------------------------------- for the pool

    async def replace_workers(self, prefix: str) -> None:
        """A new pool has started; workers whose names do not begin with ``prefix`` are gone."""
        await self._open.wait()
        await self._desk.replace_workers(prefix)

    async def lost(self, worker: str, reason: str, blameless: bool) -> None:
        await self._open.wait()
        await self._desk.lose(worker, reason, blameless=blameless)

    async def pulse(self, timeout_s: float) -> Pulse:
        """The pulse of the study, after ``timeout_s`` seconds or as soon as it is over."""
        await self._open.wait()
        over = await self._over_within(timeout_s)
        if over or self._optimizer is None:
            return Pulse(is_over=True, num_waiting=0)
        num_waiting = await self._desk.commit.do(self._num_waiting, self._optimizer)
        return Pulse(False, num_waiting, tuple(self._hung), self._quiet_s)

    def _num_waiting(self, optimizer: Optimizer) -> int | None:
        """How many trials wait for a worker; None if their number is unlimited."""
        ledger, core = optimizer.ledger, optimizer.core
        if ledger.num_left is None:
            return None
        goes_on = core.sampler.traits.continues and bool(ledger.paused)
        goes_on = goes_on or core.promotion(final=ledger.is_settled) is not None
        return ledger.num_left + ledger.counts[Status.WAITING] + goes_on

    async def note(self, text: str) -> None:
        """See add_note."""
        self.add_note(text)

    async def fail(self, error: HpoError) -> None:
        """End the study with an error of the pool."""
        self.fail_with(error)

    # -------------------------------------------------------------------------------------------- for drivers

    async def has_driver(self) -> bool:
        """Whether it ends with its driver."""
        return self._orphan_s is None

    async def opened(self) -> tuple[Any, str]:
        """The storage and the id of its node, once the study is open.

        Raises:
            HpoError: it cannot be opened.
        """
        await self._open.wait()
        self._raise_failure()
        return self._plan.settings.storage, ray.get_runtime_context().get_node_id()

    async def status(self) -> StudyStatus:
        return await self._desk.commit.do((await self._opened_study()).status)

    async def snapshot(self) -> bytes:
        """A pickled Snapshot: Ray Client's server, which may have another version of this package, passes bytes on
        unchanged.
        """
        optimizer = await self._opened_study()
        self._raise_failure()  # further snapshots would suggest that all is well
        return pickle.dumps(await self._desk.commit.do(optimizer.snapshot))

    async def _opened_study(self) -> Optimizer:
        await self._open.wait()
        if self._optimizer is None:
            self._raise_failure()
        assert self._optimizer is not None
        return self._optimizer

    async def wait(self, timeout_s: float, num_notes: int = 0) -> tuple[bool, list[str]]:
        """Whether the study ends within the time, and the notes beyond the first ``num_notes``.

        Raises:
            HpoError: it cannot continue.
        """
        await self._open.wait()
        over = await self._over_within(timeout_s)
        self._raise_failure()
        return over, self._notes[num_notes:]

    async def facts(self, start: int, limit: int) -> list[Row]:
        """Encoded facts from a position on: kind, version and body."""
        await self._open.wait()
        return await asyncio.to_thread(lambda: list(islice(self._storage.rows(self._plan.spec.name, start), limit)))

    async def stop(self, reason: str) -> None:
        await self._open.wait()
        await self._desk.stop(reason)

    async def stop_trial(self, number: int) -> None:
        """End one trial as pruned, at its next report.

        Raises:
            SpecError: there is no such trial.
        """
        optimizer = await self._opened_study()
        self._raise_failure()
        await self._desk.commit.do(optimizer.stop_trial, number)
        self._desk.waiting.wake()

    async def enqueue(self, config: Mapping[str, Any], is_sent: bool = False) -> None:
        """Enqueue a configuration, to be tried next.

        Args:
            is_sent: whether it comes from ``Space.to_send``.

        Raises:
            SpaceError: it is not in the space.
        """
        await self._open.wait()
        self._raise_failure()
        assert self._optimizer is not None
        point = self._plan.spec.space.received(config) if is_sent else config
        await self._desk.commit.do(self._optimizer.enqueue, point)
        self._desk.waiting.wake()

    async def close(self) -> None:
        """Release the journal; the actor is killed next."""
        if self._note is not None:
            self._note.unlink(missing_ok=True)
        if self._optimizer is not None:
            await self._desk.commit.do(self._optimizer.close)
            await asyncio.to_thread(self._deleter.close)

    async def _over_within(self, timeout_s: float) -> bool:
        if self._desk.over.is_set():  # which wait_for does not notice with a timeout of 0
            return True
        try:
            await asyncio.wait_for(self._desk.over.wait(), timeout_s)
        except asyncio.TimeoutError:
            return False
        return True

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
