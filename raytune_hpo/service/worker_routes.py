"""Routes for workers: leases, signs of life, reports and results. Every message may be repeated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raytune_hpo.checkpoints.record import Checkpoint
from raytune_hpo.core.machine import ADOPTED
from raytune_hpo.core.messages import Assignment, EndTrial, Told
from raytune_hpo.errors import ObjectiveError
from raytune_hpo.facts import Status, Verdict
from raytune_hpo.results.records import plain
from raytune_hpo.rng import derive
from raytune_hpo.service import shapes
from raytune_hpo.service.answers import Answer
from raytune_hpo.service.bodies import MAX_WORKER_BODY
from raytune_hpo.service.endpoints import Call, Endpoint
from raytune_hpo.service.hosting import KEPT, HostedStudy
from raytune_hpo.service.leases import Lease
from raytune_hpo.service.problems import Problem
from raytune_hpo.service.records import trial_line
from raytune_hpo.trial import Trial


async def lease(call: Call) -> Answer:
    """Results in, trials out; waits a while where there are none."""
    asking: shapes.Asking = call.body
    study = call.service.studies.hosted(call.study)
    if study is None:
        return await _over(call)
    left_s = study.quarantine.left_s(asking.worker, study.leases.now_s)
    if left_s > 0 and not asking.finished:
        raise Problem(
            "worker-quarantined",
            f"worker {asking.worker!r} failed one trial after another while others completed theirs; it gets trials again "
            f"in {left_s:.0f} s, or when an editor lifts the quarantine",
            headers={"Retry-After": str(max(1, round(left_s)))},
        )
    for outcome in asking.finished:
        shapes.check_metrics(outcome.metrics)
    ended = [_end_of(study, outcome.number, outcome) for outcome in asking.finished]
    held = study.leases.of_worker(asking.worker, asking.ttl_s)
    wait_s = 0.0 if left_s > 0 else asking.wait_s
    told, given = await study.exchange(held.name, ended, asking.limit, asking.holding, wait_s)
    study.leases.renew(held.id)
    body = {
        **_term(call, study, held),
        "assignments": [_assignment(study, assignment) for assignment in given.assignments],
        "over": given.is_over,
        "finished": [_became(end, became) for end, became in zip(ended, told, strict=True)],
    }
    return Answer(body=body)


async def _over(call: Call) -> Answer:
    """What a worker hears of a study that does not run here.

    Raises:
        Problem: it may run elsewhere.
    """
    stopped = await call.service.read(call.study, lambda fold: fold.ledger.stopped)
    if stopped is None:
        await call.service.studies.require_hosted(call.study)
    body: dict[str, Any] = {
        "lease": None,
        "expires_at": None,
        "heartbeat_s": None,
        "assignments": [],
        "over": True,
        "finished": [],
    }
    return Answer(body={**body, "reason": stopped})


def _term(call: Call, study: HostedStudy, held: Lease) -> dict[str, Any]:
    return {
        "lease": held.id,
        "expires_at": call.service.clock.now() + held.ends_at - study.leases.now_s,
        "heartbeat_s": held.heartbeat_s,
    }


def _assignment(study: HostedStudy, given: Assignment) -> dict[str, Any]:
    """A trial as its worker gets it; ``seed`` is for whatever the objective draws."""
    return {
        "number": given.number,
        "attempt": given.attempt,
        "config": plain(given.config),
        "next_step": given.next_step,
        "from_step": given.from_step,
        "checkpoint": _reference(given.checkpoint),
        "seed": int(derive(study.plan.spec.seed, "objective", given.number).integers(2**31)),
    }


def _reference(checkpoint: Checkpoint | None) -> str | None:
    """Where the worker that saved it keeps a checkpoint, in its own words."""
    return None if checkpoint is None else str(checkpoint.record.get(KEPT) or "") or None


async def renew(call: Call) -> Answer:
    """A sign of life; the trials that are to end."""
    study = await _hosted(call)
    held = study.leases.renew(_key(call), call.body.ttl_s)
    if held is None:
        raise _expired()
    numbers = sorted(study.optimizer.ledger.owned.get(held.name, ()))
    verdicts = {number: "stop" if study.is_stopping(number) else "continue" for number in numbers}
    return Answer(
        body={**_term(call, study, held), "verdicts": [{"number": n, "verdict": v} for n, v in verdicts.items()]}
    )


async def give_back(call: Call) -> Answer:
    study = await _hosted(call)
    held = study.leases.end(_key(call))
    if held is None:
        raise _expired()
    await study.give_back(held.name)
    return Answer(status=204)


async def _hosted(call: Call) -> HostedStudy:
    """The study; one that has ended has no leases any more."""
    study = call.service.studies.hosted(call.study)
    if study is None:
        await call.service.read(call.study, lambda fold: fold.seq)  # or there is no such study
        raise _expired()
    return study


def _key(call: Call) -> str:
    return str(call.request.path_params["lease"])


def _expired() -> Problem:
    return Problem("lease-expired", "the lease is over, and its trials go to others; end them here, and ask anew")


async def report(call: Call) -> Answer:
    """Metrics at steps; whether to go on."""
    given: shapes.ReportsOfAttempt = call.body
    study, number = await call.service.studies.require_hosted(call.study), call.number
    trial = _known(study, number, given.attempt)
    _check_steps(trial, given)
    rows: list[tuple[int, Mapping[str, Any]]] = []
    for row in given.reports:
        shapes.check_metrics(row.metrics)
        try:
            rows.append((row.step, study.rules.of_report(row.metrics)))
        except ObjectiveError as wrong:
            end = EndTrial(
                number=number,
                attempt=given.attempt,
                status=Status.FAILED,
                at=0.0,
                error=f"ObjectiveError: {wrong}",
                reason=f"ObjectiveError: {wrong}",
            )
            await study.tell(trial.worker, [end])
            return _answered(call, study, number, Verdict.STOP, None, given.attempt, error=str(wrong))
    worker = trial.worker or f"http-{call.token.id}.late"
    answer, attempt = await study.report(worker, number, given.attempt, rows, given.checkpoint)
    return _answered(call, study, number, answer.verdict, answer.next_step, attempt)


def _answered(
    call: Call,
    study: HostedStudy,
    number: int,
    verdict: Verdict,
    next_step: int | None,
    attempt: int,
    error: str | None = None,
) -> Answer:
    trial = study.trial(number)
    held = study.leases.named(trial.worker if trial else None)
    term: dict[str, Any] = {"expires_at": None}
    if held is not None:
        study.leases.renew(held.id)
        term = {"expires_at": call.service.clock.now() + held.ttl_s}
    body = {"verdict": verdict.value, "next_step": next_step, "attempt": attempt, **term}
    return Answer(body=body if error is None else {**body, "error": error})


def _check_steps(trial: Trial, given: shapes.ReportsOfAttempt) -> None:
    """Whether the steps rise; those that were reported before are repetitions, and say the same.

    Raises:
        Problem: they do not.
    """
    steps = [row.step for row in given.reports]
    if steps != sorted(set(steps)):
        raise Problem("step-falls", f"the steps of reports rise; got {steps[:20]}")
    if trial.attempt != given.attempt or not trial.reports or steps[0] > trial.reports[-1].step:
        return
    known = {r.step: r.metrics for r in trial.reports}
    for row in given.reports:
        before = known.get(row.step)
        falls = before is None and row.step <= trial.reports[-1].step
        if falls or (before is not None and any(before.get(k) != v for k, v in row.metrics.items() if k in before)):
            raise Problem(
                "step-falls", f"trial {trial.number} has come to step {trial.last_step}; step {row.step} comes too late"
            )


def _known(study: HostedStudy, number: int, attempt: int) -> Trial:
    """The trial that a message is about.

    Raises:
        Problem: there is none, or its attempt has not begun.
    """
    trial = study.trial(number)
    if trial is None:
        raise Problem("not-found", f"study {study.name!r} has handed out no trial {number}")
    if attempt > trial.attempt:
        raise Problem("superseded", f"trial {number} is in attempt {trial.attempt}; attempt {attempt} has not begun")
    return trial


async def result(call: Call) -> Answer:
    """How a trial has ended."""
    outcome: shapes.Outcome = call.body
    number = call.number
    study = call.service.studies.hosted(call.study)
    if study is None:
        return await _late_result(call, number, outcome)
    _known(study, number, outcome.attempt)
    shapes.check_metrics(outcome.metrics)
    trial = study.trial(number)
    end = _end_of(study, number, outcome)
    (told,) = await study.tell(trial.worker if trial else None, [end])
    problem = refusal(end, told)
    if problem is not None:
        raise problem
    assert told.trial is not None
    return Answer(body=trial_line(told.trial))


async def _late_result(call: Call, number: int, outcome: shapes.Outcome) -> Answer:
    """A result that comes when the study has ended: perhaps the repetition of one that was recorded."""
    trial = await call.service.read(
        call.study, lambda fold: fold.ledger.trials[number] if number < len(fold.ledger.trials) else None
    )
    end = EndTrial(
        number=number, attempt=outcome.attempt, status=Status(outcome.status), at=0.0, metrics=outcome.metrics
    )
    problem = refusal(end, Told(trial=trial, is_news=False))
    if problem is not None:
        raise problem
    return Answer(body=trial_line(trial)) if trial is not None else Answer(status=404)


def refusal(end: EndTrial, told: Told) -> Problem | None:
    """Why a result was not recorded; None where it was, now or when it came first."""
    trial = told.trial
    if told.is_news:
        return None
    if trial is None:
        return Problem("not-found", f"there is no trial {end.number}")
    is_own = end.attempt == trial.attempt or (trial.worker == ADOPTED and end.attempt == trial.attempt - 1)
    if trial.status.is_finished and is_own:
        same = trial.status is end.status and all(trial.metrics.get(k) == v for k, v in end.metrics.items())
        if same or trial.status is Status.PRUNED:
            return None
        detail = f"trial {trial.number} has ended as {trial.status}, with other metrics or another status than these"
        return Problem("already-finished", detail, more={"trial": trial_line(trial)})
    if trial.status is Status.PAUSED and is_own:
        return None
    if trial.status is Status.WAITING and is_own:
        return Problem("not-running", "the study has ended, and this trial waits for it to be continued")
    return Problem(
        "superseded",
        f"trial {trial.number} is in attempt {trial.attempt}, {trial.status}; attempt {end.attempt} counts no more",
        more={"trial": trial_line(trial)},
    )


def _became(end: EndTrial, told: Told) -> dict[str, Any]:
    """What became of a result that came with a request for more."""
    problem = refusal(end, told)
    status = None if told.trial is None else told.trial.status.value
    return {
        "number": end.number,
        "recorded": problem is None,
        "status": status,
        **({} if problem is None else {"problem": {"kind": problem.kind, "detail": problem.detail}}),
    }


def _end_of(study: HostedStudy, number: int, outcome: shapes.Outcome) -> EndTrial:
    return study.end_of(
        number,
        outcome.attempt,
        outcome.status,
        outcome.metrics,
        error=outcome.error,
        output=outcome.output,
        duration_s=outcome.duration_s,
        checkpoint=outcome.checkpoint,
    )


def _work(method: str, path: str, name: str, summary: str, handler: Any, **more: Any) -> Endpoint:
    return Endpoint(
        method=method,
        path=f"/studies/{{study}}{path}",
        role="worker",
        name=name,
        summary=summary,
        handler=handler,
        max_body=MAX_WORKER_BODY,
        **more,
    )


ENDPOINTS = (
    _work(
        "POST",
        "/leases",
        "lease",
        "Ask for trials",
        lease,
        body=shapes.Asking,
        errors=["not-running", "worker-quarantined"],
    ),
    _work(
        "PUT", "/leases/{lease}", "renew_lease", "A sign of life", renew, body=shapes.Renewal, errors=["lease-expired"]
    ),
    _work(
        "DELETE",
        "/leases/{lease}",
        "give_back",
        "Leave; the trials go to others",
        give_back,
        status=204,
        errors=["lease-expired"],
    ),
    _work(
        "POST",
        "/trials/{number}/reports",
        "report",
        "Metrics at steps; whether to go on",
        report,
        body=shapes.ReportsOfAttempt,
        errors=["step-falls", "not-running", "superseded"],
    ),
    _work(
        "PUT",
        "/trials/{number}/result",
        "tell",
        "How a trial has ended",
        result,
        body=shapes.Outcome,
        errors=["already-finished", "superseded", "not-running"],
    ),
)
