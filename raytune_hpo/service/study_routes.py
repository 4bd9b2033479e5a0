"""Routes that change studies and tokens."""

from __future__ import annotations

import asyncio
from typing import Any

from raytune_hpo.core.messages import Observation
from raytune_hpo.facts import Status
from raytune_hpo.runtime.failing import failure_of_text
from raytune_hpo.service import shapes
from raytune_hpo.service.answers import Answer
from raytune_hpo.service.bodies import MAX_WORKER_BODY
from raytune_hpo.service.endpoints import Call, Endpoint
from raytune_hpo.service.folds import Fold
from raytune_hpo.service.hosting import HostedStudy
from raytune_hpo.service.jobs import MAX_JOBS, Job, audited
from raytune_hpo.service.models.confirming import KIND
from raytune_hpo.service.problems import Problem
from raytune_hpo.service.reading_routes import existing, tag_of, viewed
from raytune_hpo.service.records import study_resource
from raytune_hpo.service.state import Service


async def _resource(call: Call, name: str) -> dict[str, Any]:
    service = call.service
    found: dict[str, Any] = await service.read(
        name, lambda fold: study_resource(fold, service.studies.kind(fold), service.now(fold))
    )
    return found


async def create(call: Call) -> Answer:
    new: shapes.NewStudy = call.body
    if call.token.study is not None:
        raise Problem("forbidden", "this token is for one study; making others takes a token for all")
    if "/" in new.name or new.name in (".", ".."):
        rule = f"the name of a study over HTTP has no '/', and is neither '.' nor '..'; got {new.name!r}"
        raise Problem("invalid", rule, errors=[("/name", rule)])
    is_new = await call.service.studies.create(new)
    location = call.request.url_for("get_study", study=new.name).path
    return Answer(body=await _resource(call, new.name), status=201 if is_new else 200, headers={"Location": location})


async def extend(call: Call) -> Answer:
    await _check_unchanged(call, is_needed=False)
    given = call.body.limits.model_dump(exclude_unset=True)
    await call.service.studies.extend(call.study, given)
    return Answer(body=await _resource(call, call.study))


async def stop(call: Call) -> Answer:
    await call.service.studies.stop(call.study, call.body.reason)
    return Answer(body=await _resource(call, call.study), status=202)


async def resume(call: Call) -> Answer:
    await call.service.studies.resume(call.study)
    return Answer(body=await _resource(call, call.study), status=202)


async def delete(call: Call) -> Answer:
    await _check_unchanged(call, is_needed=True)
    await call.service.studies.delete(call.study)
    return Answer(status=204)


async def _check_unchanged(call: Call, *, is_needed: bool) -> None:
    """Check the If-Match header: the study must be unchanged since the client last read it.

    Raises:
        Problem: it has changed, or the header is required and missing.
    """
    given = call.request.headers.get("if-match")
    if given is None:
        if is_needed:
            raise Problem(
                "precondition-required", "deleting takes If-Match with the study's ETag, so that you have seen it"
            )
        return
    tag = await call.service.read(call.study, tag_of)
    if given.strip().removeprefix("W/") != tag:
        raise Problem("changed", f"If-Match names the study's ETag, which is now {tag}, got {given}; look at it again")


async def stop_trial(call: Call) -> Answer:
    number = call.number

    def check(fold: Fold) -> None:
        trial = existing(fold, number)
        if trial.status.is_finished:
            raise Problem("already-finished", f"trial {number} has ended: {trial.status}")

    await call.service.read(call.study, check)
    await call.service.studies.stop_trial(call.study, number)
    return Answer(body={"number": number, "stopping": True}, status=202)


async def enqueue(call: Call) -> Answer:
    study = call.service.studies.hosted(call.study)
    configs = call.body.configs
    if study is not None:
        space, errors = study.plan.spec.space, []
        for index, config in enumerate(configs):
            try:
                space.complete(config)
            except ValueError as error:
                errors.append((f"/configs/{index}", str(error)))
        if errors:
            raise Problem("invalid", f"{errors[0][0]}: {errors[0][1]}", errors=errors)
    positions = await call.service.studies.enqueue(call.study, configs)
    waiting = await call.service.read(call.study, lambda fold: len(fold.ledger.enqueued))
    return Answer(body={"enqueued": len(configs), "positions": positions, "waiting": waiting}, status=201)


async def withdraw(call: Call) -> Answer:
    await call.service.studies.withdraw(call.study, call.position)
    return Answer(status=204)


async def observe(call: Call) -> Answer:
    given: shapes.Observations = call.body
    study = await call.service.studies.require_hosted(call.study)
    observations, errors = [], []
    for index, row in enumerate(given.observations):
        try:
            observations.append(_observation(study, row))
        except (ValueError, Problem) as error:
            errors.append((f"/observations/{index}", str(error)))
    if errors:
        raise Problem("invalid", f"{errors[0][0]}: {errors[0][1]}; nothing was recorded", errors=errors)
    numbers = await call.service.studies.observe(call.study, given.source, observations)
    return Answer(body={"numbers": numbers}, status=201)


def _observation(study: HostedStudy, row: shapes.Measured) -> Observation:
    """A row of a request as an observation.

    Raises:
        ValueError, Problem: it is not in the space, or not a valid result.
    """
    shapes.check_metrics(row.metrics)
    space, rules, status = study.plan.spec.space, study.workers.rules, Status(row.status)
    is_failed = status is Status.FAILED
    failure = failure_of_text(row.error or "it failed where it was measured") if is_failed else None
    return Observation(
        config=space.pack(space.complete(row.config)),
        status=status,
        metrics=rules.of_report(row.metrics) if status is not Status.COMPLETED else rules.of_result(row.metrics),
        error=None if failure is None else failure.error,
        reason=None if failure is None else failure.reason,
        duration_s=row.duration_s,
    )


async def begin_audit(call: Call) -> Answer:
    """Begin an audit of the study, which may take long; the answer is the job."""
    await call.service.read(call.study, lambda fold: fold.seq)  # raises if there is no such study
    studies = call.service.studies
    words = studies.words if studies.is_shared else studies.storage
    job = call.service.jobs.begin("audit", call.study, audited, words, call.study, is_aside=studies.is_shared)
    return call.begun(job)


async def begin_confirming(call: Call) -> Answer:
    """Begin to run the best configurations again; the answer is the job."""
    given: shapes.Repeats = call.body
    return call.begun(await confirmed(call.service, call.study, given))


async def confirmed(service: Service, name: str, given: shapes.Repeats) -> Job:
    """Begin the job that confirms the best of a study, or return the one that runs already.

    Raises:
        Problem: the study cannot be confirmed here.
    """
    running = service.jobs.newest(KIND, name)
    if running is not None and running.state == "running":
        return running
    confirming = await service.studies.confirming(name, given.top, given.repeats)
    return service.jobs.begin(KIND, name, confirming, is_aside=service.studies.is_shared)


async def get_job(call: Call) -> Answer:
    key = str(call.request.path_params["job"])
    job = call.service.jobs.find(key)
    if job is None or call.token.study not in (None, job.study):
        raise Problem(
            "not-found", f"there is no job {key[:40]!r}; they are kept while the service runs, {MAX_JOBS} of them"
        )
    return Answer(body=job.record())


async def lift_quarantine(call: Call) -> Answer:
    workers = await call.service.studies.require_workers(call.study)
    worker = str(call.request.path_params["worker"])
    if not workers.quarantine.lift(worker):
        raise Problem("not-found", f"no worker {worker[:64]!r} of this study is in quarantine")
    return Answer(status=204)


# ------------------------------------------------------------------------------------------------ tokens


async def list_tokens(call: Call) -> Answer:
    items = [token.record() for token in call.service.access.tokens.list()]
    return Answer(body={"items": items, "next": None})


async def create_token(call: Call) -> Answer:
    new: shapes.NewToken = call.body
    secret, token = await asyncio.to_thread(
        lambda: call.service.access.tokens.create(
            new.role, study=new.study, expires_in_s=new.expires_in_s, label=new.label
        )
    )
    return Answer(body={**token.record(), "token": secret}, status=201)


async def revoke_token(call: Call) -> Answer:
    await asyncio.to_thread(call.service.access.revoke, str(call.request.path_params["token"]))
    return Answer(status=204)


def edited(method: str, path: str, name: str, summary: str, handler: Any, **more: Any) -> Endpoint:
    """An endpoint that needs a token of an editor."""
    return Endpoint(method=method, path=path, role="editor", name=name, summary=summary, handler=handler, **more)


def _admin(method: str, path: str, name: str, summary: str, handler: Any, **more: Any) -> Endpoint:
    return Endpoint(method=method, path=path, role="admin", name=name, summary=summary, handler=handler, **more)


ENDPOINTS = (
    edited(
        "POST",
        "/studies",
        "create_study",
        "Make a study whose workers come over HTTP",
        create,
        body=shapes.NewStudy,
        status=201,
        errors=["spec-mismatch"],
        is_creating=True,
    ),
    edited(
        "PATCH",
        "/studies/{study}",
        "extend_study",
        "Change the limits; a study that had ended continues",
        extend,
        body=shapes.Extension,
        errors=["limit-too-small", "changed"],
    ),
    edited(
        "POST",
        "/studies/{study}/stop",
        "stop_study",
        "Stop a study",
        stop,
        body=shapes.Reason,
        status=202,
        errors=["not-running"],
    ),
    edited(
        "POST",
        "/studies/{study}/continue",
        "continue_study",
        "Continue a study that has ended",
        resume,
        status=202,
        errors=["not-running", "study-busy"],
    ),
    _admin(
        "DELETE",
        "/studies/{study}",
        "delete_study",
        "Delete a study",
        delete,
        status=204,
        errors=["running", "changed", "precondition-required"],
    ),
    edited(
        "POST",
        "/studies/{study}/trials/{number}/stop",
        "stop_trial",
        "Stop a trial at its next report",
        stop_trial,
        status=202,
        errors=["already-finished"],
    ),
    edited(
        "POST",
        "/studies/{study}/queue",
        "enqueue",
        "Have configurations tried next",
        enqueue,
        body=shapes.Configs,
        status=201,
        errors=["not-running"],
        is_creating=True,
    ),
    edited(
        "DELETE",
        "/studies/{study}/queue/{position}",
        "withdraw",
        "Take a configuration out of the queue",
        withdraw,
        status=204,
        errors=["not-running", "handed-out"],
    ),
    edited(
        "POST",
        "/studies/{study}/observations",
        "observe",
        "Take in trials that were measured elsewhere, all or none",
        observe,
        body=shapes.Observations,
        max_body=MAX_WORKER_BODY,
        status=201,
        errors=["not-running", "limit-too-small"],
        is_creating=True,
    ),
    edited(
        "POST",
        "/studies/{study}/audit",
        "begin_audit",
        "Recompute the study, as a job",
        begin_audit,
        status=202,
        is_creating=True,
    ),
    edited(
        "POST",
        "/studies/{study}/confirm",
        "begin_confirming",
        "Run the best configurations again, as a job",
        begin_confirming,
        body=shapes.Repeats,
        status=202,
        errors=["not-running", "no-result-yet"],
        is_creating=True,
    ),
    viewed("/jobs/{job}", "get_job", "A job, and what came of it", get_job),
    edited(
        "DELETE",
        "/studies/{study}/quarantine/{worker}",
        "lift_quarantine",
        "Let a worker have trials again",
        lift_quarantine,
        status=204,
    ),
    _admin("GET", "/tokens", "list_tokens", "The tokens, without their secrets", list_tokens),
    _admin("POST", "/tokens", "create_token", "Make a token", create_token, body=shapes.NewToken, status=201),
    _admin(
        "DELETE", "/tokens/{token}", "revoke_token", "Revoke a token", revoke_token, status=204, errors=["last-admin"]
    ),
)
