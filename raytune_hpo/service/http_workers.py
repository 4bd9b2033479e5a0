"""Workers over HTTP of one study, whose optimizer is here or on a cluster: leases, quarantine, and what requests lead to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from raytune_hpo.core.ledger import Ledger
from raytune_hpo.core.messages import Answer, EndTrial, Told
from raytune_hpo.core.messages import Lease as Given
from raytune_hpo.errors import ObjectiveError
from raytune_hpo.facts import Status, Verdict
from raytune_hpo.metrics import MetricRules
from raytune_hpo.protocols import Clock
from raytune_hpo.runtime.failing import failure_of, failure_of_text
from raytune_hpo.runtime.plan import rules_of
from raytune_hpo.runtime.wire import ReportRow
from raytune_hpo.service.leases import TERM_S, Lease, LeaseBook
from raytune_hpo.service.quarantine import Quarantine
from raytune_hpo.spec import StudySpec
from raytune_hpo.trial import Trial

KEPT = "kept"  # key in the record of a checkpoint that its worker keeps: the worker's own reference to it
_T = TypeVar("_T")


class Desk(Protocol):
    """The optimizer's side of the conversation with workers: an ``AsyncDesk``, or a ``RemoteDesk`` for one on a cluster."""

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
    """Read access to a study's ledger, which includes at least all facts that any worker has learned of."""

    def __call__(self, function: Callable[[Ledger], _T], /) -> Awaitable[_T]:
        """The result of a function of the ledger."""
        ...


class HttpWorkers:
    """The workers over HTTP of one study: their requests become commands, and their leases are kept here.

    Attributes:
        spec: the study's spec; ``rules``: the checks of its metrics.
        leases, quarantine: those of these workers.
        look: read access to the study's ledger.
    """

    def __init__(self, spec: StudySpec, desk: Desk, look: Look, clock: Clock) -> None:
        self.spec, self.rules, self.look = spec, rules_of(spec), look
        self.leases, self.quarantine = LeaseBook(), Quarantine()
        self._desk, self._clock = desk, clock
        self._gone: dict[str, tuple[str, bool]] = {}  # (why, whether it is blameless); not passed on yet

    async def trial(self, number: int) -> Trial | None:
        """A trial as it is now; None: there is none of that number."""
        return await self.look(lambda ledger: _trial(ledger, number))

    async def pass_time(self, elapsed_s: float) -> None:
        """Advance the clock of the leases by ``elapsed_s`` seconds; trials of workers whose leases expire are requeued.

        Raises:
            HpoError: the optimizer could not be told; the next call tries again.
        """
        self.leases.pass_time(elapsed_s)
        for lease in self.leases.expire():
            self._gone[lease.name] = f"no heartbeat for {lease.ttl_s:.0f} s", False
        await self._lose_gone()

    async def give_back(self, key: str) -> bool:
        """End a lease; its trials are handed out again, without using up a retry. False: there is no such lease."""
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
        """Record how a worker's trials ended, and hand out others; in one transaction, if possible.

        Args:
            name: of the worker in the journal.
        """
        ended = await self._timed(ended)
        # The ends go with both messages: else, if the second arrives first, the worker gets trials that it has just ended.
        asking = self._desk.exchange(name, ended, (), limit, holding, wait_s)
        told, given = await asyncio.gather(self.tell(name, ended), asking)
        return told, given

    async def tell(self, name: str | None, ended: Sequence[EndTrial]) -> list[Told]:
        """Record how trials ended, and return what became of each.

        Args:
            name: of the worker in the journal, where it is known.
        """
        if not ended:
            return []
        ended = await self._timed(ended)
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

    async def _timed(self, ended: Sequence[EndTrial]) -> Sequence[EndTrial]:
        """The ends, with the seconds since the worker got its trial where it does not say how long that took."""
        if all(end.duration_s is not None for end in ended):
            return ended
        now = self._clock.now()

        def timed(ledger: Ledger, end: EndTrial) -> EndTrial:
            trial = _trial(ledger, end.number)
            if end.duration_s is not None or trial is None or trial.attempt != end.attempt or trial.started_at is None:
                return end
            return replace(end, duration_s=max(0.0, now - trial.started_at))

        return await self.look(lambda ledger: [timed(ledger, end) for end in ended])

    async def report(
        self, trial: Trial, attempt: int, rows: Sequence[tuple[int, Mapping[str, Any]]], kept: str | None, late: str
    ) -> tuple[Answer, int, Lease | None]:
        """Record reports; return the answer, and the attempt and the lease under which the trial continues.

        A trial that was requeued as lost, and not yet handed out again, continues with the worker that reports it.

        Args:
            trial: as it was when the reports came.
            kept: the worker's reference to its checkpoint of the last of the steps.
            late: the name for a worker that continues a trial after its lease has ended.
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
        """Carry out a verdict: a trial that pauses or is complete ends with this report."""
        step, metrics = last
        record = {KEPT: kept or ""}
        if answer.verdict is Verdict.PAUSE:
            paused = EndTrial(number=number, attempt=attempt, status=Status.PAUSED, at=0.0, checkpoint=record)
            await self._desk.tell(await self._timed([paused]))
        elif answer.verdict is Verdict.COMPLETE:
            saved = record if kept is not None else None
            complete = EndTrial(
                number=number, attempt=attempt, status=Status.COMPLETED, at=0.0, metrics=metrics, checkpoint=saved
            )
            await self._desk.tell(await self._timed([complete]))
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


def end_of(
    trial: Trial | None,
    rules: MetricRules,
    *,
    number: int,
    attempt: int,
    status: str,
    metrics: Mapping[str, Any],
    error: str | None = None,
    output: str = "",
    duration_s: float | None = None,
    checkpoint: str | None = None,
) -> EndTrial:
    """A worker's message about a trial's end as a command. Metrics that break a rule fail the trial.

    Args:
        trial: as it was when the message came.
    """
    ending, failure = Status(status), None
    plain: Mapping[str, Any] = {}
    known = trial.metrics if trial else {}
    try:
        if ending is Status.COMPLETED:
            plain = rules.of_result({**known, **metrics})
        elif ending is Status.PRUNED and metrics:
            plain = rules.of_part({**known, **metrics})
    except ObjectiveError as wrong:
        ending, failure = Status.FAILED, failure_of(wrong)
    if ending is Status.FAILED:
        plain = _valid(rules, metrics)
        failure = failure or failure_of_text(error or "its worker said that it failed, and no more")
    return EndTrial(
        number=number,
        attempt=attempt,
        status=ending,
        at=0.0,
        metrics=plain,
        error=None if failure is None else failure.error,
        reason=None if failure is None else failure.reason,
        output=output,
        duration_s=duration_s,
        checkpoint=None if checkpoint is None else {KEPT: checkpoint},
    )


def _valid(rules: MetricRules, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Those metrics of a failed trial that break no rule."""
    valid: dict[str, Any] = {}
    for name, value in metrics.items():
        with suppress(ObjectiveError):
            valid |= rules.of_part({name: value})
    return valid


def _trial(ledger: Ledger, number: int) -> Trial | None:
    """Trials are snapshots, so no lock is needed."""
    return ledger.trials[number] if 0 <= number < len(ledger.trials) else None
