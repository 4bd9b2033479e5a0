"""Messages between processes, as plain tuples: several times cheaper to pickle than the records they stand for.

One pair of functions packs and unpacks each kind of message. Timestamps are not sent: the optimizer's clock sets them on
arrival.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from raytune_hpo.checkpoints.record import Checkpoint
from raytune_hpo.core.messages import Answer, Assignment, EndTrial, Lease, Parameter
from raytune_hpo.facts import Status, Verdict

EndedRow = tuple[int, int, str, Any, Any, str | None, str | None, str, float | None, float | None, Any, Any]
ReportRow = tuple[int, Mapping[str, Any], bool]  # the step, the metrics, and whether a checkpoint was offered
CheckpointRow = tuple[int, int, Any] | None
LeaseRows = (
    list[tuple[int, int, Any, int | None, int | None, int | None, CheckpointRow, tuple[int, ...], Any, int | None]]
    | None
)  # None: it is over
ParameterRow = tuple[Any, str | None, bool]
AnswerRow = tuple[str, int | None, bool]


def pack_ended(ended: Iterable[EndTrial]) -> list[EndedRow]:
    return [
        (
            e.number,
            e.attempt,
            e.status.value,
            e.metrics,
            e.checkpoint,
            e.error,
            e.reason,
            e.output,
            e.started_at,
            e.duration_s,
            e.asked,
            e.notes,
        )
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
            checkpoint=checkpoint,
            error=error,
            reason=reason,
            output=output,
            started_at=started_at,
            duration_s=duration_s,
            asked=asked,
            notes=notes,
        )
        for (
            number,
            attempt,
            status,
            metrics,
            checkpoint,
            error,
            reason,
            output,
            started_at,
            duration_s,
            asked,
            notes,
        ) in rows
    ]


def pack_lease(lease: Lease) -> LeaseRows:
    if lease.is_over:
        return None
    return [
        (
            a.number,
            a.attempt,
            a.config,
            a.next_step,
            a.last_step,
            a.from_step,
            _pack_checkpoint(a.checkpoint),
            a.order,
            a.domains,
            a.slot,
        )
        for a in lease.assignments
    ]


def unpack_lease(rows: LeaseRows) -> Lease:
    if rows is None:
        return Lease(is_over=True)
    return Lease(
        assignments=tuple(
            [
                Assignment(
                    number=number,
                    attempt=attempt,
                    config=config,
                    next_step=next_step,
                    last_step=last_step,
                    from_step=from_step,
                    checkpoint=None if checkpoint is None else Checkpoint(*checkpoint),
                    order=order,
                    domains=domains,
                    slot=slot,
                )
                for number, attempt, config, next_step, last_step, from_step, checkpoint, order, domains, slot in rows
            ]
        )
    )


def _pack_checkpoint(checkpoint: Checkpoint | None) -> CheckpointRow:
    return None if checkpoint is None else (checkpoint.number, checkpoint.step, checkpoint.record)


def pack_answer(answer: Answer) -> AnswerRow:
    return answer.verdict.value, answer.next_step, answer.is_last_call


def unpack_answer(row: AnswerRow) -> Answer:
    verdict, next_step, is_last_call = row
    return Answer(verdict=Verdict(verdict), next_step=next_step, is_last_call=is_last_call)


def pack_parameter(parameter: Parameter) -> ParameterRow:
    return parameter.value, parameter.problem, parameter.is_held


def unpack_parameter(row: ParameterRow) -> Parameter:
    value, problem, is_held = row
    return Parameter(value=value, problem=problem, is_held=is_held)
