"""Routes for workers: leases, heartbeats, reports and results. Every message may be repeated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raytune_hpo.checkpoints.fetching import URL
from raytune_hpo.checkpoints.record import Checkpoint
from raytune_hpo.core.machine import ADOPTED
from raytune_hpo.core.messages import Assignment, EndTrial, Told
from raytune_hpo.errors import ObjectiveError
from raytune_hpo.facts import Status, Verdict
from raytune_hpo.results.records import plain
from raytune_hpo.rng import derive
from raytune_hpo.runtime.failing import failure_of
from raytune_hpo.runtime.plan import rules_of
from raytune_hpo.service import floats, shapes
from raytune_hpo.service.answers import Answer
from raytune_hpo.service.bodies import MAX_WORKER_BODY
from raytune_hpo.service.endpoints import Call, Endpoint
from raytune_hpo.service.folds import Fold
from raytune_hpo.service.http_workers import KEPT, HttpWorkers, end_of
from raytune_hpo.service.leases import Lease
from raytune_hpo.service.problems import Problem
from raytune_hpo.service.records import trial_line
from raytune_hpo.trial import Trial


async def lease(call: Call) -> Answer:
    """Take results and hand out trials; waits a while if there are none."""
    asking: shapes.Asking = call.body
    workers = await call.service.studies.workers_of(call.study)
    if workers is None:
        return await _over(call)
    left_s = workers.quarantine.left_s(asking.worker, workers.leases.now_s)
    if left_s > 0 and not asking.finished:
        raise Problem(
            "worker-quarantined",
            f"worker {asking.worker!r} failed one trial after another while others completed theirs; it gets trials again "
            f"in {left_s:.0f} s, or when an editor lifts the quarantine",
            headers={"Retry-After": str(max(1, round(left_s)))},
        )
    for outcome in asking.finished:
        shapes.check_metrics(outcome.metrics)
    ended = [await _end_of(workers, outcome.number, outcome) for outcome in asking.finished]
    held = workers.leases.of_worker(asking.worker, asking.ttl_s)
    wait_s = 0.0 if left_s > 0 else min(asking.wait_s, held.ttl_s / 2)  # else its lease could end while it waits
    told, given = await workers.exchange(held.name, ended, asking.limit, asking.holding, wait_s)
    workers.leases.renew(held.id)
    body = {
        **_term(call, workers, held),
        "assignments": [_assignment(workers, assignment) for assignment in given.assignments],
        "over": given.is_over,
        "finished": [_became(end, became) for end, became in zip(ended, told, strict=True)],
    }
    return Answer(body=body)


async def _over(call: Call) -> Answer:
    """The answer to a worker whose study does not run here.

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


def _term(call: Call, workers: HttpWorkers, held: Lease) -> dict[str, Any]:
    return {
        "lease": held.id,
        "expires_at": call.service.clock.now() + held.ends_at - workers.leases.now_s,
        "heartbeat_s": held.heartbeat_s,
    }


def _assignment(workers: HttpWorkers, given: Assignment) -> dict[str, Any]:
    """A trial as its worker gets it; ``seed`` is for the objective's own random numbers."""
    return {
        "number": given.number,
        "attempt": given.attempt,
        "config": plain(given.config),
        "next_step": given.next_step,
        "from_step": given.from_step,
        "checkpoint": _reference(given.checkpoint),
        "seed": int(derive(workers.spec.seed, "objective", given.number).integers(2**31)),
    }


def _reference(checkpoint: Checkpoint | None) -> str | None:
    """Where a checkpoint is: the reference that an HTTP worker gave, or the folder or URL where a Ray worker saved it."""
    record = {} if checkpoint is None else checkpoint.record
    return str(record.get(KEPT) or record.get(URL) or "") or None


async def renew(call: Call) -> Answer:
    """Take a heartbeat, and answer with the trials that are to end."""
    workers = await _with_leases(call)
    held = workers.leases.renew(_key(call), call.body.ttl_s)
    if held is None:
        raise _expired()
    name = held.name
    stopping = await workers.look(
        lambda ledger: {number: number in ledger.stop_asked for number in sorted(ledger.owned.get(name, ()))}
    )
    verdicts = [{"number": n, "verdict": "stop" if is_asked else "continue"} for n, is_asked in stopping.items()]
    return Answer(body={**_term(call, workers, held), "verdicts": verdicts})


async def give_back(call: Call) -> Answer:
    workers = await _with_leases(call)
    if not await workers.give_back(_key(call)):
        raise _expired()
    return Answer(status=204)


async def _with_leases(call: Call) -> HttpWorkers:
    """The study's workers; raises a problem if the study has ended, and its leases with it."""
    workers = await call.service.studies.workers_of(call.study)
    if workers is None:
        await call.service.read(call.study, lambda fold: fold.seq)  # raises if there is no such study
        raise _expired()
    return workers


def _key(call: Call) -> str:
    return str(call.request.path_params["lease"])


def _expired() -> Problem:
    return Problem("lease-expired", "the lease is over, and its trials go to others; end them here, and ask anew")


async def report(call: Call) -> Answer:
    """Take metrics at steps, and answer with the verdict."""
    given: shapes.ReportsOfAttempt = call.body
    workers, number = await call.service.studies.require_workers(call.study), call.number
    trial = await _known(workers, number, given.attempt)
    _check_steps(trial, given)
    rows, wrong = _checked(workers, given)
    attempt, held = given.attempt, workers.leases.named(trial.worker)
    heard: dict[str, Any] = {"verdict": Verdict.CONTINUE.value, "next_step": None}
    if rows:
        late, kept = f"{call.token.id}-late-{number}", given.checkpoint if wrong is None else None
        answer, attempt, held = await workers.report(trial, attempt, rows, kept, late)
        heard = {"verdict": answer.verdict.value, "next_step": answer.next_step}
    if wrong is not None and heard["verdict"] == Verdict.CONTINUE:  # else the reports before it have ended the trial
        failure = failure_of(wrong)._asdict()
        end = EndTrial(number=number, attempt=attempt, status=Status.FAILED, at=0.0, **failure)
        await workers.tell(trial.worker if held is None else held.name, [end])
        heard = {"verdict": Verdict.STOP.value, "next_step": None, "error": str(wrong)}
    return Answer(body={**heard, "attempt": attempt, **_renewed(call, workers, held)})


def _checked(
    workers: HttpWorkers, given: shapes.ReportsOfAttempt
) -> tuple[list[tuple[int, Mapping[str, Any]]], ObjectiveError | None]:
    """The steps and metrics of the reports before the first one that breaks a rule, and what is wrong with that one."""
    for row in given.reports:
        shapes.check_metrics(row.metrics)
    rows: list[tuple[int, Mapping[str, Any]]] = []
    for row in given.reports:
        try:
            rows.append((row.step, workers.rules.of_report(row.metrics)))
        except ObjectiveError as wrong:
            return rows, wrong
    return rows, None


def _renewed(call: Call, workers: HttpWorkers, held: Lease | None) -> dict[str, Any]:
    """Renew a lease, and return when it ends."""
    renewed = None if held is None else workers.leases.renew(held.id)
    return {"expires_at": None if renewed is None else call.service.clock.now() + renewed.ttl_s}


def _check_steps(trial: Trial, given: shapes.ReportsOfAttempt) -> None:
    """Check that the steps rise, and that repeated reports are the same as before.

    Raises:
        Problem: they do not.
    """
    steps = [row.step for row in given.reports]
    if steps != sorted(set(steps)):
        raise Problem("step-falls", f"the steps of reports rise; got {steps[:20]}")
    if trial.attempt != given.attempt or not trial.reports or steps[0] > trial.reports[-1].step:
        return
    known = {r.step: floats.written(r.metrics) for r in trial.reports}  # in this form, NaN is equal to NaN
    begun_at = -1 if trial.from_step is None else trial.from_step
    for row in given.reports:
        if row.step <= begun_at:
            continue  # a worker that cannot read the checkpoint starts over, and need not measure the same
        before = known.get(row.step)
        now = floats.written(row.metrics)
        falls = before is None and row.step <= trial.reports[-1].step
        if falls or (before is not None and any(before[k] != v for k, v in now.items() if k in before)):
            raise Problem(
                "step-falls", f"trial {trial.number} has come to step {trial.last_step}; step {row.step} comes too late"
            )


async def _known(workers: HttpWorkers, number: int, attempt: int) -> Trial:
    """The trial that a message is about.

    Raises:
        Problem: there is none, or its attempt has not begun.
    """
    trial = await workers.trial(number)
    if trial is None:
        raise Problem("not-found", f"study {workers.spec.name!r} has handed out no trial {number}")
    if attempt > trial.attempt:
        raise Problem("superseded", f"trial {number} is in attempt {trial.attempt}; attempt {attempt} has not begun")
    return trial


async def result(call: Call) -> Answer:
    """Take a trial's result."""
    outcome: shapes.Outcome = call.body
    number = call.number
    workers = await call.service.studies.workers_of(call.study)
    if workers is None:
        return await _late_result(call, number, outcome)
    trial = await _known(workers, number, outcome.attempt)
    shapes.check_metrics(outcome.metrics)
    end = await _end_of(workers, number, outcome)
    (told,) = await workers.tell(trial.worker, [end])
    problem = refusal(end, told)
    if problem is not None:
        raise problem
    assert told.trial is not None
    return Answer(body=trial_line(told.trial))


async def _late_result(call: Call, number: int, outcome: shapes.Outcome) -> Answer:
    """Answer a result that comes after the study's end: it may repeat one that was recorded."""

    def read(fold: Fold) -> tuple[EndTrial, Trial | None]:
        trials, rules = fold.ledger.trials, rules_of(fold.ledger.spec)
        trial = trials[number] if number < len(trials) else None
        return end_of(trial, rules, **{"number": number, **vars(outcome)}), trial

    end, trial = await call.service.read(call.study, read)
    problem = refusal(end, Told(trial=trial, is_news=False))
    if problem is not None:
        raise problem
    return Answer(body=trial_line(trial)) if trial is not None else Answer(status=404)


def refusal(end: EndTrial, told: Told) -> Problem | None:
    """Why a result was not recorded; None if it was, now or earlier."""
    trial = told.trial
    if told.is_news:
        return None
    if trial is None:
        return Problem("not-found", f"there is no trial {end.number}")
    is_own = end.attempt == trial.attempt or (trial.worker == ADOPTED and end.attempt == trial.attempt - 1)
    if trial.status.is_finished and is_own:
        known = floats.written(trial.metrics)  # in this form, NaN is equal to NaN
        same = trial.status is end.status and all(known.get(k) == v for k, v in floats.written(end.metrics).items())
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
    """What became of a result that came with a request for trials."""
    problem = refusal(end, told)
    status = None if told.trial is None else told.trial.status.value
    return {
        "number": end.number,
        "recorded": problem is None,
        "status": status,
        **({} if problem is None else {"problem": {"kind": problem.kind, "detail": problem.detail}}),
    }


async def _end_of(workers: HttpWorkers, number: int, outcome: shapes.Outcome) -> EndTrial:
    return end_of(await workers.trial(number), workers.rules, **{"number": number, **vars(outcome)})


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
    _work("PUT", "/leases/{lease}", "renew_lease", "A heartbeat", renew, body=shapes.Renewal, errors=["lease-expired"]),
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
        "Metrics at steps; the answer says whether to continue",
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
