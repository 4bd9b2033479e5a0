"""The asynchronous desk: serves many workers on an event loop, with group commit and long polling."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from raytune_hpo.core.messages import Answer, Command, EndTrial, Lease, Parameter, Reply, TakeTrial
from raytune_hpo.core.optimizer import Optimizer
from raytune_hpo.facts import Status
from raytune_hpo.protocols import Clock
from raytune_hpo.runtime.attendance import Attendance
from raytune_hpo.runtime.desk import FREE, OVER, STOP, Desk
from raytune_hpo.runtime.group_commit import GroupCommit
from raytune_hpo.runtime.trial_run import timed_out
from raytune_hpo.runtime.waiting_workers import WAIT_S, WaitingWorkers
from raytune_hpo.runtime.wire import ReportRow

_LOOK_S = 0.05  # the interval of checks whether running trials have saved


class AsyncDesk:
    """Serves many workers at once, over any transport.

    Attributes:
        commit: the optimizer's thread.
        waiting: workers that wait for a trial.
        attendance: how long each worker has been silent.
        over: set once the study has ended, or cannot continue.
    """

    def __init__(self, clock: Clock) -> None:
        self.commit = GroupCommit()
        self.waiting = WaitingWorkers()
        self.attendance = Attendance()
        self.over = asyncio.Event()
        self._desk = Desk()
        self._clock = clock
        self._optimizer: Optimizer | None = None
        self._pauses = False  # whether the scheduler pauses and promotes trials

    @property
    def at_work(self) -> Collection[str]:
        """The names of the workers that have asked for trials and have not left."""
        return self._desk.at_work

    def open(self, optimizer: Optimizer) -> None:
        """Take the optimizer that is to handle commands."""
        self._optimizer = optimizer
        self._pauses = optimizer.core.promoter is not None

    async def serve(self) -> None:
        """Have the optimizer handle the commands that arrive, until an error that cannot be retried."""
        await self.commit.work(self._decide)

    def _decide(self, commands: Sequence[Command]) -> list[Reply]:
        assert self._optimizer is not None
        self._optimizer.core.suggestions.drop_stale(max(1, len(self._desk.at_work)))
        return self._optimizer.handle(commands)

    def note_end(self) -> None:
        """If the study has stopped, set ``over`` and wake all waiting workers."""
        if self._optimizer is not None and self._optimizer.ledger.stopped is not None:
            self.close()

    def close(self) -> None:
        """Tell every worker, from now on, that the study is over."""
        self._desk.is_over = True
        self.over.set()
        self.waiting.wake()

    async def handle(self, commands: Sequence[Command]) -> list[Reply]:
        """Hand commands to the optimizer, and return its replies once their facts are in the journal."""
        replies = await self.commit.handle(commands)
        self.note_end()
        return replies

    async def stop(self, reason: str) -> None:
        """Stop the study, once running trials have saved what they have done, or have had some seconds for it."""
        if self._optimizer is None or self._desk.is_over:
            return
        while not await self.commit.do(self._optimizer.stop, reason):
            await asyncio.sleep(_LOOK_S)
        self.note_end()

    # -------------------------------------------------------------------------------------------- what workers say

    async def exchange(
        self,
        worker: str,
        ended: Sequence[EndTrial],
        returned: Sequence[int],
        limit: int,
        holding: Sequence[int],
        wait_s: float = WAIT_S,
    ) -> Lease:
        """Record results and return a lease; a worker that holds no trial waits up to ``wait_s`` for one."""
        if not self._desk.serves(worker):
            return OVER
        with self.attendance.talking(worker):
            return await self._serve(worker, ended, returned, limit, holding, wait_s)

    async def _serve(
        self,
        worker: str,
        ended: Sequence[EndTrial],
        returned: Sequence[int],
        limit: int,
        holding: Sequence[int],
        wait_s: float,
    ) -> Lease:
        seen = self.waiting.changes
        lease = await self._ask(worker, ended, returned, limit, holding)
        if ended or returned:
            self.waiting.wake()
        if lease.assignments or lease.is_over or holding:
            return lease
        async for _ in self.waiting.wakings(worker, seen, wait_s):
            if not self._desk.serves(worker):
                return OVER
            lease = await self._ask(worker, (), (), limit, ())
            if lease.assignments or lease.is_over:
                break
        return lease

    async def _ask(
        self, worker: str, ended: Sequence[EndTrial], returned: Sequence[int], limit: int, holding: Sequence[int]
    ) -> Lease:
        commands = self._desk.exchange(worker, ended, returned, limit, holding, self._clock.now())
        return self._desk.lease(await self.handle(commands))

    async def tell(self, ended: Sequence[EndTrial]) -> list[bool]:
        """Record how trials ended, no matter who reports it; for each, whether it was news (see ``Told``)."""
        if not ended:
            return []
        replies = await self.handle([replace(end, at=self._clock.now()) for end in ended])
        self.waiting.wake()
        return [told.is_news for told in self._desk.told(replies)]

    async def leave(self, worker: str, ended: Sequence[EndTrial], returned: Sequence[int]) -> None:
        """Record the last results of a worker that leaves."""
        if self._desk.serves(worker):
            await self.handle(self._desk.leave(worker, ended, returned, self._clock.now()))
            self.waiting.wake()

    async def report(self, number: int, attempt: int, reports: Sequence[ReportRow]) -> Answer:
        """Record a trial's reports; returns the first final answer, or else the answer to the last report."""
        replies = await self._during_trial(number, self._desk.report(number, attempt, reports, self._clock.now()))
        if replies and self._pauses:
            self.waiting.wake(1)  # this report may have made another trial due for promotion
        return self._desk.answer(replies) if replies else STOP

    async def adopt(self, worker: str, number: int, attempt: int, reports: Sequence[ReportRow]) -> Answer | None:
        """Record the reports of a trial that was taken for lost; it continues with this worker, as its next attempt.

        Args:
            attempt: the attempt in which it was lost.

        Returns:
            As ``report``; None if the trial no longer waits to be handed out.
        """
        if self._desk.is_over or self._optimizer is None:
            return None
        answer = await self.commit.do(self._adopt, self._optimizer, worker, number, attempt, reports)
        self.note_end()
        return answer

    def _adopt(
        self, optimizer: Optimizer, worker: str, number: int, attempt: int, reports: Sequence[ReportRow]
    ) -> Answer | None:
        """Runs in the optimizer's thread, so that the trial is not handed out in between."""
        trial = optimizer.ledger.trials[number]
        if trial.status is not Status.WAITING or trial.attempt != attempt or optimizer.ledger.stopped is not None:
            return None
        at = self._clock.now()
        taken = TakeTrial(worker=worker, number=number, at=at)
        return self._desk.answer(optimizer.handle([taken, *self._desk.report(number, attempt + 1, reports, at)]))

    async def keep(self, number: int, attempt: int, step: int, checkpoint: Mapping[str, Any]) -> Answer:
        """Record a checkpoint of a running trial."""
        commands = self._desk.keep(number, attempt, step, checkpoint, self._clock.now())
        replies = await self._during_trial(number, commands)
        return self._desk.answer(replies) if replies else STOP

    async def draw(self, number: int, attempt: int, name: str, domain: Mapping[str, Any]) -> Parameter:
        """The value of a parameter for which a trial's objective asks."""
        commands = self._desk.draw(number, attempt, name, domain, self._clock.now())
        return self._desk.parameter(await self._during_trial(number, commands))

    async def offer(self, number: int, attempt: int, metrics: Mapping[str, Any]) -> bool:
        """Whether a checkpoint is wanted."""
        commands = self._desk.offer(number, attempt, metrics, self._clock.now())
        return self._desk.is_wanted(await self._during_trial(number, commands))

    async def hold(self) -> bool:
        """Hand out no trials for a while, because a disk is full; returns whether the study continues."""
        self._desk.hold(self._clock.now())
        return not self._desk.is_over

    async def _during_trial(self, number: int, commands: Sequence[Command]) -> Sequence[Reply]:
        """The replies to commands of a running trial; none if the study is over."""
        if self._desk.is_over or self._optimizer is None:
            return []
        with self.attendance.talking(str(self._optimizer.ledger.trials[number].worker)):
            return await self.handle(commands)

    # -------------------------------------------------------------------------------------------- workers

    async def lose(self, worker: str, reason: str, *, blameless: bool) -> None:
        """Requeue the trials of a worker that is gone."""
        commands = self._desk.lose(worker, reason, self._clock.now(), blameless=blameless)
        self.waiting.dismiss(worker)
        self.attendance.forget(worker)
        if not self._desk.is_over:
            await self.handle(commands)
            self.waiting.wake()

    async def silences(self) -> dict[str, tuple[float, tuple[int, ...]]]:
        """By worker that has trials: for how many seconds it has been silent, and the numbers of its trials.

        Workers that belong to no pool are left out: their heartbeats go to the service that keeps their leases.
        """
        return await self.commit.do(self._silences)

    def _silences(self) -> dict[str, tuple[float, tuple[int, ...]]]:
        owned = {} if self._optimizer is None else self._optimizer.ledger.owned
        return {
            worker: (self.attendance.silence_s(worker), tuple(numbers))
            for worker, numbers in owned.items()
            if not worker.startswith(FREE)
        }

    async def end_hung(self, limit_s: float, grace_s: float) -> list[str]:
        """End the trials of hung workers, which should have ended these trials themselves.

        Args:
            limit_s: the time limit of one trial; a silent worker may have finished one and be in the next.
            grace_s: how long after the limit the worker itself ends a trial.

        Returns:
            The names of those workers, whose processes are to be ended.
        """
        hung = []
        for worker, (silence_s, numbers) in (await self.silences()).items():
            if silence_s <= limit_s * min(len(numbers), 2) + grace_s:
                continue
            hung.append(worker)
            reason = f"its worker was silent for {silence_s:.0f} s, and was ended"
            if len(numbers) == 1:  # with several, it is unknown which one hangs
                attempt = self._attempt(numbers[0])
                late = timed_out(numbers[0], attempt, limit_s, self._clock.now() - silence_s)
                await self.leave(worker, [late], ())
            await self.lose(worker, reason, blameless=len(numbers) == 1)
        return hung

    def _attempt(self, number: int) -> int:
        assert self._optimizer is not None
        return self._optimizer.ledger.trials[number].attempt

    async def replace_workers(self, prefix: str) -> None:
        """Requeue the trials of all workers whose names do not begin with ``prefix``: a new pool has replaced them."""
        commands = self._desk.replace_workers(prefix, self._clock.now())
        if not self._desk.is_over:
            await self.handle(commands)
        self.waiting.wake()
