"""Hosted studies: the service is their optimizer, and their workers come over HTTP."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from raytune_hpo import registry
from raytune_hpo.checkpoints.deleting import Deleter
from raytune_hpo.checkpoints.places import place_of
from raytune_hpo.checkpoints.store import CheckpointStore
from raytune_hpo.core.messages import (
    Answer,
    EndTrial,
    EnqueueConfig,
    ExtendStudy,
    Lease,
    Observation,
    Recorded,
    RecordObservations,
    ReportMetrics,
    TakeTrial,
    Tick,
    Told,
    WithdrawConfig,
)
from raytune_hpo.core.optimizer import Optimizer, WallClock
from raytune_hpo.display.text import first_line
from raytune_hpo.errors import JournalCorrupt, JournalError, ObjectiveError, SequenceConflict
from raytune_hpo.facts import Status, Verdict
from raytune_hpo.journal import Storage
from raytune_hpo.runtime.async_desk import AsyncDesk
from raytune_hpo.runtime.plan import RunPlan, not_called
from raytune_hpo.runtime.resuming import open_study, reopen_study
from raytune_hpo.runtime.settings import Settings
from raytune_hpo.service.leases import LeaseBook
from raytune_hpo.service.quarantine import Quarantine
from raytune_hpo.spec import Limits, StudySpec
from raytune_hpo.trial import Trial

RUNTIME = "http"  # in the settings of a study's spec
TICK_S = 0.5
GOODBYE_S = 2.0  # how long a study that closes waits for those who have spoken to be answered
KEPT = "kept"  # in the record of a checkpoint that its worker keeps: where that is, in the worker's words
_log = logging.getLogger("raytune_hpo")


def plan_of(spec: StudySpec) -> RunPlan:
    """The plan of a stored study that came over HTTP, all of which is in its spec."""
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
        leases, quarantine: of its workers.
    """

    def __init__(self, plan: RunPlan, storage: Storage) -> None:
        self.plan, self.rules = plan, plan.rules
        self.leases, self.quarantine = LeaseBook(), Quarantine()
        self._storage, self._clock = storage, WallClock()
        self._desk = AsyncDesk(self._clock)
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

    async def ended(self) -> None:
        """Wait for its end."""
        await self._desk.over.wait()

    async def open(self, *, again: bool = False) -> None:
        """Take the study up: begin a session, or ``again`` go on in that of a service that was there before.

        Raises:
            HpoError: someone else writes it, or its storage cannot be written.
        """
        take_up = reopen_study if again else open_study
        self._optimizer = await self._desk.commit.do(self._opened, take_up)
        self.leases.find_again(self._optimizer.ledger.owned)
        self._desk.note_end()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._serve()), loop.create_task(self._keep_time())]

    def _opened(self, take_up: Any) -> Optimizer:
        optimizer: Optimizer = take_up(self.plan, self._storage, self._clock, delete=self._deleter)
        return optimizer

    async def close(self) -> None:
        """Give the journal back. Trials that run go on at their workers; whoever opens the study again hears of them."""
        self._desk.close()
        deadline = time.monotonic() + GOODBYE_S
        while self._desk.commit.num_unanswered and time.monotonic() < deadline:
            await asyncio.sleep(0.01)  # whoever speaks at this moment is answered
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._optimizer is not None:
            await self._desk.commit.do(self._optimizer.close)
        await asyncio.to_thread(self._deleter.close)

    async def _serve(self) -> None:
        while True:
            try:
                await self._desk.serve(self.optimizer)
            except JournalError as error:  # whoever waited has been told; what was not written has had no effect
                if isinstance(error, (JournalCorrupt, SequenceConflict)):
                    _log.error("study %r cannot go on here: %s", self.name, error)
                    self._desk.close()
                    raise
                _log.warning("study %r could not be written: %s", self.name, error)

    async def _keep_time(self) -> None:
        last = time.monotonic()
        while not self.is_over:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            self.leases.pass_time(now - last)
            last = now
            try:
                await self._desk.handle([Tick(at=self._clock.now())])
                for lease in self.leases.expire():
                    reason = f"no sign of life for {lease.ttl_s:.0f} s"
                    await self._desk.lose(lease.name, reason, blameless=False)
            except JournalError:
                continue  # the storage is away: _serve has said so, and the next tick tries again

    # -------------------------------------------------------------------------------------------- workers

    async def exchange(
        self, name: str, ended: Sequence[EndTrial], limit: int, holding: Sequence[int], wait_s: float
    ) -> tuple[list[Told], Lease]:
        """Take in how trials ended, and give out others; both in one transaction."""
        asking = self._desk.exchange(name, (), (), limit, holding, wait_s)
        told, lease = await asyncio.gather(self.tell(name, ended), asking)
        return told, lease

    async def tell(self, name: str | None, ended: Sequence[EndTrial]) -> list[Told]:
        """Take in how trials ended; what became of each.

        Args:
            name: of the worker in the journal, where it is known.
        """
        told = await self._desk.tell(ended)
        for end, became in zip(ended, told, strict=True):
            lease = self.leases.named(name)
            if became.is_news and lease is not None:
                has_failed = end.status is Status.FAILED
                self.quarantine.note(
                    lease.worker, has_failed=has_failed, duration_s=end.duration_s, now_s=self.leases.now_s
                )
        return told

    def end_of(
        self,
        number: int,
        attempt: int,
        status: str,
        metrics: Mapping[str, Any],
        *,
        error: str | None = None,
        output: str = "",
        duration_s: float | None = None,
        checkpoint: str | None = None,
    ) -> EndTrial:
        """What a worker says of a trial's end, as the core takes it. Metrics that break a rule fail the trial."""
        ending = Status(status)
        plain: Mapping[str, Any] = {}
        if ending is Status.COMPLETED:
            trial = self.trial(number)
            try:
                plain = self.rules.of_result({**(trial.metrics if trial else {}), **metrics})
            except ObjectiveError as wrong:
                ending, error = Status.FAILED, f"ObjectiveError: {wrong}"
        if ending is Status.FAILED:
            error = error or "its worker said that it failed, and no more"
        return EndTrial(
            number=number,
            attempt=attempt,
            status=ending,
            at=0.0,
            metrics=plain,
            error=error if ending is Status.FAILED else None,
            reason=first_line((error or "").strip().rpartition("\n")[2]) if ending is Status.FAILED else None,
            output=output,
            duration_s=duration_s,
            checkpoint=None if checkpoint is None else {KEPT: checkpoint},
        )

    async def report(
        self,
        worker: str | None,
        number: int,
        attempt: int,
        rows: Sequence[tuple[int, Mapping[str, Any]]],
        kept: str | None,
    ) -> tuple[Answer, int]:
        """Take in reports; the answer, and the attempt under which the trial goes on.

        A trial that was thought to be lost, and that nobody has taken over, goes on with whoever reports it.

        Args:
            worker: its name in the journal, for a trial that waits.
            kept: where the worker keeps what it needs to go on after the last of the steps.
        """
        reports = [(step, metrics, kept is not None) for step, metrics in rows]
        trial = self.trial(number)
        if trial is not None and trial.status is Status.WAITING and trial.attempt == attempt and worker is not None:
            adopted = await self._desk.commit.do(self._adopt, worker, number, attempt, reports)
            if adopted is not None:
                return await self._heard(number, attempt + 1, rows[-1], adopted, kept), attempt + 1
        answer = await self._desk.report(number, attempt, reports)
        return await self._heard(number, attempt, rows[-1], answer, kept), attempt

    def _adopt(
        self, worker: str, number: int, attempt: int, reports: Sequence[tuple[int, Mapping[str, Any], bool]]
    ) -> Answer | None:
        """In the optimizer's thread, so that nobody takes the trial in between."""
        ledger = self.optimizer.ledger
        trial = ledger.trials[number]
        if trial.status is not Status.WAITING or trial.attempt != attempt or ledger.stopped is not None:
            return None
        at = self._clock.now()
        told = [
            ReportMetrics(number=number, attempt=attempt + 1, step=step, metrics=metrics, saves=saves, at=at)
            for step, metrics, saves in reports
        ]
        replies = self.optimizer.handle([TakeTrial(worker=worker, number=number, at=at), *told])
        answers = [reply for reply in replies if isinstance(reply, Answer)]
        return next((answer for answer in answers if answer.verdict.is_final), answers[-1])

    async def _heard(
        self, number: int, attempt: int, last: tuple[int, Mapping[str, Any]], answer: Answer, kept: str | None
    ) -> Answer:
        """What follows from a verdict: a trial that pauses or is complete has ended with this report."""
        step, metrics = last
        record = {KEPT: kept or ""}
        at = self._clock.now()
        if answer.verdict is Verdict.PAUSE:
            end = EndTrial(number=number, attempt=attempt, status=Status.PAUSED, at=at, checkpoint=record)
            await self._desk.tell([end])
        elif answer.verdict is Verdict.COMPLETE:
            saved = record if kept is not None else None
            end = EndTrial(
                number=number, attempt=attempt, status=Status.COMPLETED, at=at, metrics=metrics, checkpoint=saved
            )
            await self._desk.tell([end])
        elif kept is not None and not answer.verdict.is_final:
            await self._desk.keep(number, attempt, step, record)
        return answer

    async def give_back(self, name: str) -> None:
        """A worker leaves; its trials are handed out again, and cost nobody a retry."""
        await self._desk.lose(name, "its worker left", blameless=True)

    def trial(self, number: int) -> Trial | None:
        """The trial as it is now; trials are snapshots, so no lock is needed."""
        trials = self.optimizer.ledger.trials
        return trials[number] if 0 <= number < len(trials) else None

    def is_stopping(self, number: int) -> bool:
        """Whether a user wants the trial stopped."""
        return number in self.optimizer.ledger.stop_asked

    # -------------------------------------------------------------------------------------------- users

    async def stop(self, reason: str) -> None:
        await self._desk.commit.do(self.optimizer.stop, reason)
        self._desk.note_end()

    async def stop_trial(self, number: int) -> None:
        await self._desk.commit.do(self.optimizer.stop_trial, number)
        self._desk.waiting.wake()

    async def enqueue(self, configs: Sequence[Mapping[str, Any]]) -> list[int]:
        """Have configurations tried next, in order; their positions in the queue.

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
        """In the optimizer's thread, so that nobody is given it in between."""
        if position not in self.optimizer.ledger.enqueued:
            return False
        self.optimizer.handle([WithdrawConfig(position=position, at=self._clock.now())])
        return True

    async def observe(self, source: str, observations: Sequence[Observation]) -> tuple[int, ...]:
        """Take in trials that were measured elsewhere; their numbers, none where there is no room for all of them."""
        recording = RecordObservations(worker=source, observations=tuple(observations), at=self._clock.now())
        (recorded,) = await self._desk.handle([recording])
        self._desk.waiting.wake()
        assert isinstance(recorded, Recorded)
        return recorded.numbers

    async def extend(self, limits: Limits) -> None:
        """Let other limits hold from now on."""
        await self._desk.handle([ExtendStudy(limits=limits, at=self._clock.now())])
        self._desk.waiting.wake()


def is_hosted(spec: StudySpec) -> bool:
    """Whether a stored study is one that this kind of service hosts."""
    return spec.settings.get("runtime") == RUNTIME
