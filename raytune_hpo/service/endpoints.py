"""Endpoints: one table gives each route's name, required role, and the shapes of its request and response.

Routing, authorisation, validation and the OpenAPI document are all made from it, so that they cannot disagree.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_origin

from starlette.requests import Request
from starlette.responses import Response

from raytune_hpo.errors import HpoError
from raytune_hpo.service.access import check_role, within_scope
from raytune_hpo.service.answers import Answer
from raytune_hpo.service.bodies import MAX_BODY, read_json
from raytune_hpo.service.folds import StillReading
from raytune_hpo.service.jobs import Job
from raytune_hpo.service.problems import Problem, problem_of
from raytune_hpo.service.records import to_bytes
from raytune_hpo.service.segments import path_of
from raytune_hpo.service.shapes import NoQuery, Shape, checked
from raytune_hpo.service.state import Service
from raytune_hpo.service.tokens import Token

_log = logging.getLogger("raytune_hpo")


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request that was authorised, with its validated contents."""

    service: Service
    request: Request
    token: Token
    body: Any
    query: Any

    @property
    def study(self) -> str:
        return str(self.request.path_params["study"])

    @property
    def number(self) -> int:
        """The number of a trial, from the path.

        Raises:
            Problem: it is not a whole number.
        """
        return self._whole("number", "a trial has")

    @property
    def position(self) -> int:
        """A position in the queue, from the path.

        Raises:
            Problem: it is not a whole number.
        """
        return self._whole("position", "what waits in the queue has")

    def begun(self, job: Job) -> Answer:
        """The answer to a request that has begun a job: the job, and where to ask for it."""
        location = self.request.url_for("get_job", job=job.id).path
        return Answer(body=job.record(), status=202, headers={"Location": location})

    def _whole(self, name: str, what_has: str) -> int:
        text = str(self.request.path_params[name])
        if not text.isascii() or not text.isdigit() or len(text) > 15:
            raise Problem("not-found", f"{what_has} a whole number, got {text[:40]!r}")
        return int(text)


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One method of one path.

    Attributes:
        path: below ``/v1``, with parameters in braces; ``{study}`` is a study's name.
        role: the lowest role that is allowed.
        body, query: the shapes of the body and of the query.
        form: the name of the form's file, for an endpoint that takes a form instead of JSON.
        errors: the kinds of problems in addition to those that every request may get.
        is_creating: whether it takes an Idempotency-Key.
    """

    method: str
    path: str
    role: str
    name: str
    summary: str
    handler: Callable[[Call], Awaitable[Answer | Response]]
    body: type[Shape] | None = None
    query: type[Shape] = NoQuery
    form: str | None = None
    max_body: int = MAX_BODY
    status: int = 200
    errors: Sequence[str] = ()
    is_creating: bool = False
    media: str = "application/json"


async def serve(endpoint: Endpoint, service: Service, request: Request) -> Response:
    """The response of an endpoint to a request, or a problem."""
    try:
        answer = await _answer(endpoint, service, request)
        return answer if isinstance(answer, Response) else answer.response()
    except Problem as problem:
        return problem_response(problem, request)
    except StillReading as reading:
        share = reading.done / max(1, reading.total)
        if request.method not in ("GET", "HEAD"):
            detail = f"the study is being read, {share:.0%} of {reading.total:,} facts; ask again"
            return problem_response(Problem("unavailable", detail, headers={"Retry-After": "1"}), request)
        body = {"reading": round(share, 3), "detail": f"reading, {share:.0%} of {reading.total:,} facts"}
        return Answer(body=body, status=202, headers={"Retry-After": "1"}).response()
    except HpoError as error:
        if problem_of(error).kind == "internal":
            _log.exception("%s %s", request.method, endpoint.path)
        return problem_response(problem_of(error), request)
    except Exception:
        _log.exception("%s %s", request.method, endpoint.path)
        return problem_response(Problem("internal", "the server met an error that it has written to its log"), request)


def problem_response(problem: Problem, request: Request) -> Response:
    """The HTTP response for a problem."""
    document = problem.document(path_of(request), app_root_of(request))
    return Response(to_bytes(document), problem.status, problem.headers, "application/problem+json")


def app_root_of(request: Request) -> str:
    """The URL prefix of the whole application, also below a mount."""
    return str(request.scope.get("app_root_path", request.scope.get("root_path", "")))


async def _answer(endpoint: Endpoint, service: Service, request: Request) -> Answer | Response:
    token = service.access.token_of(request, request.method)
    check_role(token, endpoint.role, request.path_params.get("study"))
    service.access.check_rate(token, request.method)
    with within_scope(token):
        return await _answer_to(token, endpoint, service, request)


async def _answer_to(token: Token, endpoint: Endpoint, service: Service, request: Request) -> Answer | Response:
    """The answer to a request of a token that may make it."""
    query = checked(endpoint.query, _query_of(request, endpoint.query), is_query=True)
    data, raw = await read_json(request, endpoint.max_body) if endpoint.body is not None else (None, b"")
    body = None if endpoint.body is None else checked(endpoint.body, {} if data is None else data)
    call = Call(service=service, request=request, token=token, body=body, query=query)
    name = request.headers.get("idempotency-key") if endpoint.is_creating else None
    if name is None:
        return await endpoint.handler(call)
    if not 1 <= len(name) <= 255:
        raise Problem("bad-request", "an Idempotency-Key has 1 to 255 characters")
    key = token.id, f"{request.method} {request.url.path}", name
    before = service.kept.begin(key, hashlib.sha256(raw).hexdigest(), time.monotonic())
    if before is not None:
        return before
    answer: Answer | Response | None = None
    try:
        answer = await endpoint.handler(call)
    finally:
        service.kept.end(key, answer if isinstance(answer, Answer) else None)
    return answer


def _query_of(request: Request, shape: type[Shape]) -> dict[str, Any]:
    """The query as a dict. Only names for which the shape has a list may be repeated.

    Raises:
        Problem: a name is repeated, or is that of a token, which would end up in logs.
    """
    items = request.query_params.multi_items()
    lists = {name for name, field in shape.model_fields.items() if get_origin(field.annotation) is list}
    names = [name for name, _ in items if name not in lists]
    if "token" in names:
        raise Problem("bad-request", "a token goes into the header Authorization, not into a query")
    if len(set(names)) < len(names):
        twice = max(names, key=names.count)
        raise Problem("bad-request", f"each name stands once in a query, got {twice[:40]!r} {names.count(twice)} times")
    found = {name: [value for key, value in items if key == name] for name in lists}
    return {**dict(items), **{name: values for name, values in found.items() if values}}
