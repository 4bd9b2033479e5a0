"""Messages between processes, as plain tuples: several times cheaper to pickle than the records they stand for.

One pair of functions for each message knows the places of its row. Times are not sent: the optimizer's clock stamps what
arrives.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from raytune_hpo.core.messages import Answer, Assignment, EndTrial, Lease
from raytune_hpo.facts import Status, Verdict

EndedRow = tuple[int, int, str, Any, str | None, str | None, str, float | None, float | None]
LeaseRows = list[tuple[int, int, Any, int | None]] | None  # None: the study is over
AnswerRow = tuple[str, int | None]


def pack_ended(ended: Iterable[EndTrial]) -> list[EndedRow]:
    return [
        (e.number, e.attempt, e.status.value, e.metrics, e.error, e.reason, e.output, e.started_at, e.duration_s)
        for e in ended
    ]


def unpack_ended(rows: Iterable[EndedRow]) -> list[EndTrial]:
    return [
        EndTrial(
            number=number,
            attempt=attempt,
            status=Status(status),
            at=0.0,
            metrics=metrics,
            error=error,
            reason=reason,
            output=output,
            started_at=started_at,
            duration_s=duration_s,
        )
        for number, attempt, status, metrics, error, reason, output, started_at, duration_s in rows
    ]


def pack_lease(lease: Lease) -> LeaseRows:
    if lease.is_over:
        return None
    return [(a.number, a.attempt, a.config, a.next_step) for a in lease.assignments]


def unpack_lease(rows: LeaseRows) -> Lease:
    if rows is None:
        return Lease(is_over=True)
    return Lease(assignments=tuple([Assignment(number=n, attempt=a, config=c, next_step=s) for n, a, c, s in rows]))


def pack_answer(answer: Answer) -> AnswerRow:
    return answer.verdict.value, answer.next_step


def unpack_answer(row: AnswerRow) -> Answer:
    verdict, next_step = row
    return Answer(verdict=Verdict(verdict), next_step=next_step)
