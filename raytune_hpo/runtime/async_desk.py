"""A desk on an event loop: group commit, and workers that wait until there is something to do."""

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
from raytune_hpo.runtime.desk import FREE, LAST_CALL_S, OVER, STOP, Desk
from raytune_hpo.runtime.group_commit import GroupCommit
from raytune_hpo.runtime.trial_run import timed_out
from raytune_hpo.runtime.waiting_workers import WAIT_S, WaitingWorkers
from raytune_hpo.runtime.wire import ReportRow

_LOOK_S = 0.05  # how often it is looked whether running trials have saved


class AsyncDesk:
    """Serves many workers at once, whatever carries their messages.

    Attributes:
        commit: the optimizer's thread.
        waiting: workers that have nothing to do now.
        attendance: how long each worker has said nothing.
        over: set once the study has ended, or cannot go on.
    """

    def __init__(self, clock: Clock) -> None:
        self.commit = GroupCommit()
        self.waiting = WaitingWorkers()
        self.attendance = Attendance()
        self.over = asyncio.Event()
        self._desk = Desk()
        self._clock = clock
        self._optimizer: Optimizer | None = None
        self._pauses = False  # whether trials are set aside, and chosen to go on

    @property
    def at_work(self) -> Collection[str]:
        """The names of the workers that have asked for trials and have not left."""
        return self._desk.at_work

    async def serve(self, optimizer: Optimizer) -> None:
        """Let an optimizer handle what arrives, until something goes wrong for good."""
        self._optimizer = optimizer
        self._pauses = optimizer.core.promoter is not None
        await self.commit.work(self._decide)

    def _decide(self, commands: Sequence[Command]) -> list[Reply]:
        assert self._optimizer is not None
        self._optimizer.core.suggestions.drop_stale(max(1, len(self._desk.at_work)))
        return self._optimizer.handle(commands)

    def note_end(self) -> None:
        """Let everyone know if the study has stopped."""
        if self._optimizer is not None and self._optimizer.ledger.stopped is not None:
            self.close()

    def close(self) -> None:
        """Tell every worker, from now on, that the study is over."""
        self._desk.is_over = True
        self.over.set()
        self.waiting.wake()

    async def handle(self, commands: Sequence[Command]) -> list[Reply]:
        """The optimizer's replies, once the journal holds what the commands led to."""
        replies = await self.commit.handle(commands)
        self.note_end()
        return replies

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
        """Take in results, give out a lease; a worker that is holding no trial waits for one, but not for ever."""
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
        """Take in how trials ended, whoever tells it; of each, whether it was news (see ``Told``)."""
        if not ended:
            return []
        replies = await self.handle([replace(end, at=self._clock.now()) for end in ended])
        self.waiting.wake()
        return [told.is_news for told in self._desk.told(replies)]

    async def leave(self, worker: str, ended: Sequence[EndTrial], returned: Sequence[int]) -> None:
        """Take in the results of a worker that wants nothing more."""
        if self._desk.serves(worker):
            await self.handle(self._desk.leave(worker, ended, returned, self._clock.now()))
            self.waiting.wake()

    async def report(self, number: int, attempt: int, reports: Sequence[ReportRow]) -> Answer:
        """Take in a trial's reports; the first final answer, or the answer to the last of them."""
        replies = await self._during_trial(number, self._desk.report(number, attempt, reports, self._clock.now()))
        if replies and self._pauses:
            self.waiting.wake(1)  # where it stands now, another trial may be the one to go on
        return self._desk.answer(replies) if replies else STOP

    async def adopt(self, worker: str, number: int, attempt: int, reports: Sequence[ReportRow]) -> Answer | None:
        """Take in the reports of a trial that was thought to be lost; it goes on with this worker, as its next attempt.

        Args:
            attempt: that in which it was lost.

        Returns:
            As ``report``; None where the trial does not wait any more.
        """
        if self._desk.is_over or self._optimizer is None:
            return None
        answer = await self.commit.do(self._adopt, self._optimizer, worker, number, attempt, reports)
        self.note_end()
        return answer

    def _adopt(
        self, optimizer: Optimizer, worker: str, number: int, attempt: int, reports: Sequence[ReportRow]
    ) -> Answer | None:
        """In the optimizer's thread, so that nobody takes the trial in between."""
        trial = optimizer.ledger.trials[number]
        if trial.status is not Status.WAITING or trial.attempt != attempt or optimizer.ledger.stopped is not None:
            return None
        at = self._clock.now()
        taken = TakeTrial(worker=worker, number=number, at=at)
        return self._desk.answer(optimizer.handle([taken, *self._desk.report(number, attempt + 1, reports, at)]))

    async def keep(self, number: int, attempt: int, step: int, checkpoint: Mapping[str, Any]) -> Answer:
        """Take note of a checkpoint."""
        commands = self._desk.keep(number, attempt, step, checkpoint, self._clock.now())
        replies = await self._during_trial(number, commands)
        return self._desk.answer(replies) if replies else STOP

    async def draw(self, number: int, attempt: int, name: str, domain: Mapping[str, Any]) -> Parameter:
        """What a parameter is in a trial whose objective asks for it."""
        commands = self._desk.draw(number, attempt, name, domain, self._clock.now())
        return self._desk.parameter(await self._during_trial(number, commands))

    async def offer(self, number: int, attempt: int, metrics: Mapping[str, Any]) -> bool:
        """Whether a checkpoint is wanted."""
        commands = self._desk.offer(number, attempt, metrics, self._clock.now())
        return self._desk.is_wanted(await self._during_trial(number, commands))

    async def hold(self) -> bool:
        """Hand out nothing for a while, as the disk is full; whether the study goes on."""
        self._desk.hold(self._clock.now())
        return not self._desk.is_over

    async def _during_trial(self, number: int, commands: Sequence[Command]) -> Sequence[Reply]:
        """The replies to what an objective says while it runs; none when the study is over."""
        if self._desk.is_over or self._optimizer is None:
            return []
        with self.attendance.talking(str(self._optimizer.ledger.trials[number].worker)):
            return await self.handle(commands)

    # -------------------------------------------------------------------------------------------- who works

    async def call_last(self) -> None:
        """Hand out nothing more, and give running trials some seconds to save what they have done."""
        if self._optimizer is None or self._desk.is_over:
            return
        ledger = self._optimizer.ledger
        last_call = await self.commit.do(self._desk.call_last, ledger)
        deadline = asyncio.get_running_loop().time() + LAST_CALL_S
        while await self.commit.do(last_call.is_waited_for, ledger):
            if self._desk.is_over or asyncio.get_running_loop().time() >= deadline:
                return
            await asyncio.sleep(_LOOK_S)

    async def lose(self, worker: str, reason: str, *, blameless: bool) -> None:
        """A worker is gone; its trials are handed out again."""
        commands = self._desk.lose(worker, reason, self._clock.now(), blameless=blameless)
        self.waiting.dismiss(worker)
        self.attendance.forget(worker)
        if not self._desk.is_over:
            await self.handle(commands)
            self.waiting.wake()

    async def silences(self) -> dict[str, tuple[float, tuple[int, ...]]]:
        """By worker that has trials: for how many seconds it has said nothing, and the numbers of its trials.

        Of workers that belong to no pool, nobody here can tell: whoever keeps their leases hears their signs of life.
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
        """Take their trials from workers that should have ended these themselves, and no longer can.

        Args:
            limit_s: what one trial may take; a worker may have one behind it and one before it when it falls silent.
            grace_s: how much later the worker itself would have ended it.

        Returns:
            The names of those workers, whose processes are to be ended.
        """
        hung = []
        for worker, (silence_s, numbers) in (await self.silences()).items():
            if silence_s <= limit_s * min(len(numbers), 2) + grace_s:
                continue
            hung.append(worker)
            reason = f"its worker said nothing for {silence_s:.0f} s, and was ended"
            if len(numbers) == 1:  # so it is known which of them hangs
                attempt = self._attempt(numbers[0])
                late = timed_out(numbers[0], attempt, limit_s, self._clock.now() - silence_s)
                await self.leave(worker, [late], ())
            await self.lose(worker, reason, blameless=len(numbers) == 1)
        return hung

    def _attempt(self, number: int) -> int:
        assert self._optimizer is not None
        return self._optimizer.ledger.trials[number].attempt

    async def replace_workers(self, prefix: str) -> None:
        """New workers have come, whose names begin with ``prefix``; all others are gone."""
        commands = self._desk.replace_workers(prefix, self._clock.now())
        if not self._desk.is_over:
            await self.handle(commands)
        self.waiting.wake()
