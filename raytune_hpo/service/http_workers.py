"""Workers over HTTP of one study, here or on a cluster: their leases, and what follows from what they say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from raytune_hpo.core.ledger import Ledger
from raytune_hpo.core.messages import Answer, EndTrial, Told
from raytune_hpo.core.messages import Lease as Given
from raytune_hpo.display.text import first_line
from raytune_hpo.errors import ObjectiveError
from raytune_hpo.facts import Status, Verdict
from raytune_hpo.runtime.plan import rules_of
from raytune_hpo.runtime.wire import ReportRow
from raytune_hpo.service.leases import TERM_S, Lease, LeaseBook
from raytune_hpo.service.quarantine import Quarantine
from raytune_hpo.spec import StudySpec
from raytune_hpo.trial import Trial

KEPT = "kept"  # in the record of a checkpoint that its worker keeps: where that is, in the worker's words
_T = TypeVar("_T")


class Desk(Protocol):
    """Where workers are listened to: an ``AsyncDesk``, or a ``RemoteDesk`` in front of one on a cluster."""

    async def exchange(
        self,
        worker: str,
        ended: Sequence[EndTrial],
        returned: Sequence[int],
        limit: int,
        holding: Sequence[int],
        wait_s: float,
    ) -> Given: ...

    async def tell(self, ended: Sequence[EndTrial]) -> list[bool]: ...

    async def report(self, number: int, attempt: int, reports: Sequence[ReportRow]) -> Answer: ...

    async def adopt(self, worker: str, number: int, attempt: int, reports: Sequence[ReportRow]) -> Answer | None: ...

    async def keep(self, number: int, attempt: int, step: int, checkpoint: Mapping[str, Any]) -> Answer: ...

    async def lose(self, worker: str, reason: str, *, blameless: bool) -> None: ...


class Look(Protocol):
    """Reads a study's ledger, which knows at least what any worker has been told."""

    def __call__(self, function: Callable[[Ledger], _T], /) -> Awaitable[_T]:
        """What a function makes of it."""
        ...


class HttpWorkers:
    """What is said between a study and its workers over HTTP.

    Attributes:
        spec: of the study; ``rules``: what its metrics must keep.
        leases, quarantine: of these workers.
        look: reads the study.
    """

    def __init__(self, spec: StudySpec, desk: Desk, look: Look) -> None:
        self.spec, self.rules, self.look = spec, rules_of(spec), look
        self.leases, self.quarantine = LeaseBook(), Quarantine()
        self._desk = desk
        self._gone: dict[str, tuple[str, bool]] = {}  # why, and whether it is blameless; nobody could be told of it yet

    async def trial(self, number: int) -> Trial | None:
        """A trial as it is now; None: there is none of that number."""
        return await self.look(lambda ledger: _trial(ledger, number))

    async def pass_time(self, elapsed_s: float) -> None:
        """So much time has passed since the last call, in seconds: trials of workers whose terms are over go to others.

        Raises:
            HpoError: nobody could be told; the next call tries again.
        """
        self.leases.pass_time(elapsed_s)
        for lease in self.leases.expire():
            self._gone[lease.name] = f"no sign of life for {lease.ttl_s:.0f} s", False
        await self._lose_gone()

    async def give_back(self, key: str) -> bool:
        """A worker leaves; its trials are handed out again, and cost nobody a retry. False: there is no such lease."""
        lease = self.leases.end(key)
        if lease is not None:
            self._gone[lease.name] = "its worker left", True
            await self._lose_gone()
        return lease is not None

    async def _lose_gone(self) -> None:
        for name, (reason, is_blameless) in list(self._gone.items()):
            await self._desk.lose(name, reason, blameless=is_blameless)
            self._gone.pop(name, None)

    async def exchange(
        self, name: str, ended: Sequence[EndTrial], limit: int, holding: Sequence[int], wait_s: float
    ) -> tuple[list[Told], Given]:
        """Take in how trials of a worker ended, and give out others; both in one transaction, if it can be.

        Args:
            name: of the worker in the journal.
        """
        # The ends go with both messages: else, if the second comes first, it is given again what it has just ended.
        asking = self._desk.exchange(name, ended, (), limit, holding, wait_s)
        told, given = await asyncio.gather(self.tell(name, ended), asking)
        return told, given

    async def tell(self, name: str | None, ended: Sequence[EndTrial]) -> list[Told]:
        """Take in how trials ended; what became of each.

        Args:
            name: of the worker in the journal, where it is known.
        """
        if not ended:
            return []
        news = await self._desk.tell(ended)
        lease = self.leases.named(name)
        for end, is_news in zip(ended, news, strict=True):
            if is_news and lease is not None:
                has_failed = end.status is Status.FAILED
                self.quarantine.note(
                    lease.worker, has_failed=has_failed, duration_s=end.duration_s, now_s=self.leases.now_s
                )
        trials = await self.look(lambda ledger: [_trial(ledger, end.number) for end in ended])
        return [Told(trial=trial, is_news=is_news) for trial, is_news in zip(trials, news, strict=True)]

    async def end_of(
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
            trial = await self.trial(number)
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
        self, trial: Trial, attempt: int, rows: Sequence[tuple[int, Mapping[str, Any]]], kept: str | None, late: str
    ) -> tuple[Answer, int, Lease | None]:
        """Take in reports; the answer, the attempt under which the trial goes on, and the lease under which it does.

        A trial that was thought to be lost, and that nobody has taken over, goes on with whoever reports it.

        Args:
            trial: as it was when the reports came.
            kept: where the worker keeps what it needs to go on after the last of the steps.
            late: what a worker is called that goes on with a trial for which it has no lease any more.
        """
        reports = [(step, metrics, kept is not None) for step, metrics in rows]
        if trial.status is Status.WAITING and trial.attempt == attempt:
            lease = self.leases.of_worker(late, TERM_S)
            adopted = await self._desk.adopt(lease.name, trial.number, attempt, reports)
            if adopted is not None:
                await self._follow(trial.number, attempt + 1, rows[-1], adopted, kept)
                return adopted, attempt + 1, lease
            self.leases.end(lease.id)
        answer = await self._desk.report(trial.number, attempt, reports)
        await self._follow(trial.number, attempt, rows[-1], answer, kept)
        return answer, attempt, self.leases.named(trial.worker if trial.attempt == attempt else None)

    async def _follow(
        self, number: int, attempt: int, last: tuple[int, Mapping[str, Any]], answer: Answer, kept: str | None
    ) -> None:
        """What follows from a verdict: a trial that pauses or is complete has ended with this report."""
        step, metrics = last
        record = {KEPT: kept or ""}
        if answer.verdict is Verdict.PAUSE:
            paused = EndTrial(number=number, attempt=attempt, status=Status.PAUSED, at=0.0, checkpoint=record)
            await self._desk.tell([paused])
        elif answer.verdict is Verdict.COMPLETE:
            saved = record if kept is not None else None
            complete = EndTrial(
                number=number, attempt=attempt, status=Status.COMPLETED, at=0.0, metrics=metrics, checkpoint=saved
            )
            await self._desk.tell([complete])
        elif kept is not None and not answer.verdict.is_final:
            await self._desk.keep(number, attempt, step, record)

    async def records(self) -> list[dict[str, Any]]:
        """The workers, each with its lease, its trials and its quarantine."""
        owned = await self.look(lambda ledger: {name: sorted(numbers) for name, numbers in ledger.owned.items()})
        return [
            {
                "study": self.spec.name,
                "worker": lease.worker,
                "lease": lease.id,
                "trials": owned.get(lease.name, []),
                "ends_in_s": max(0.0, lease.ends_at - self.leases.now_s),
                "quarantined_for_s": self.quarantine.left_s(lease.worker, self.leases.now_s),
            }
            for lease in self.leases.all()
        ]


def _trial(ledger: Ledger, number: int) -> Trial | None:
    """Trials are snapshots, so no lock is needed."""
    return ledger.trials[number] if 0 <= number < len(ledger.trials) else None
