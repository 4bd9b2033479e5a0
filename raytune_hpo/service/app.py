"""The ASGI application: the table of endpoints as routes, inside the guards."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from raytune_hpo.core.optimizer import WallClock
from raytune_hpo.service import data_routes, insight_routes, live_routes, reading_routes, study_routes, worker_routes
from raytune_hpo.service.access import Access
from raytune_hpo.service.endpoints import Answer, Call, Endpoint, KeptAnswers, problem_response, serve
from raytune_hpo.service.events import Streams
from raytune_hpo.service.folds import Fold
from raytune_hpo.service.guards import HostGuard, SafeHeaders
from raytune_hpo.service.jobs import Jobs
from raytune_hpo.service.live_studies import LiveStudies
from raytune_hpo.service.models.tables import Tables
from raytune_hpo.service.openapi import document
from raytune_hpo.service.problems import KINDS, Problem
from raytune_hpo.service.records import study_line
from raytune_hpo.service.studies import Studies
from raytune_hpo.service.tokens import TokenStore
from raytune_hpo.service.web.pages import Pages

ENDPOINTS = (
    *reading_routes.ENDPOINTS,
    *insight_routes.ENDPOINTS,
    *data_routes.ENDPOINTS,
    *study_routes.ENDPOINTS,
    *worker_routes.ENDPOINTS,
    *live_routes.ENDPOINTS,
)
_T = TypeVar("_T")


class Service:
    """What all requests share.

    Args:
        storage: as for Tuner.
        tokens: who may do what.
        address: of the Ray cluster whose studies are controlled, if there is one.
        data: the folder of uploaded tables; by default beside the tokens.
        objectives: the folder of installed objectives, if there is one.

    Attributes:
        is_closing: streams end, so that the server can.
    """

    def __init__(
        self,
        storage: Any,
        tokens: TokenStore,
        *,
        address: str | None = None,
        data: Path | None = None,
        objectives: Path | None = None,
        is_secure: bool = False,
        memory_bytes: float = 2**30,
    ) -> None:
        self.clock = WallClock()
        self.studies = Studies(
            storage,
            time.monotonic,
            Tables(tokens.path.with_name("tables") if data is None else data),
            folder=objectives,
            address=address,
            memory_bytes=memory_bytes,
        )
        self.access = Access(tokens, time.monotonic, is_secure=is_secure)
        self.streams, self.kept = Streams(), KeptAnswers()
        self.jobs = Jobs(self.clock)
        self.live = LiveStudies(self.studies, self.clock)
        self.is_closing = False

    async def read(self, name: str, function: Callable[[Fold], _T]) -> _T:
        """What a function makes of a study as it is now; see ``ReadModel.read``."""
        return await self.studies.reads.read(name, function)

    def line(self, fold: Fold) -> dict[str, Any]:
        """A study as it stands in a list."""
        return study_line(fold, self.studies.kind(fold), self.clock.now())


def application(service: Service, hosts: Collection[str], *, root_path: str = "") -> ASGIApp:
    """The application of a service that answers to these values of Host."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await service.studies.open()
        yield
        service.is_closing = True
        service.jobs.close()
        await service.studies.close()

    resources: dict[str, list[Endpoint]] = {}
    for endpoint in (*ENDPOINTS, _description(root_path)):
        resources.setdefault(endpoint.path, []).append(endpoint)
    api = [_route(path, endpoints, service) for path, endpoints in resources.items()]
    app = Starlette(
        routes=[
            *Pages(service).routes(),
            Route("/healthz", _health),
            Route("/problems/{kind}", _problem_page),
            Mount("/v1", routes=api),
        ],
        lifespan=lifespan,
        exception_handlers={HTTPException: _http_problem},
    )
    app.router.redirect_slashes = False
    return HostGuard(SafeHeaders(app), hosts)


def _route(path: str, endpoints: Sequence[Endpoint], service: Service) -> Route:
    """The route of all methods of a resource, which carries the name of the first: whoever uses another hears of all."""
    by_method = {endpoint.method: endpoint for endpoint in endpoints}

    async def answer(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await serve(by_method[method], service, request)

    return Route(path, answer, methods=list(by_method), name=endpoints[0].name)


def _description(root_path: str) -> Endpoint:
    """The document of all endpoints, which is one itself."""

    async def answer(call: Call) -> Answer:
        return Answer(body=document(ENDPOINTS, root_path))

    summary = "This document"
    return Endpoint(method="GET", path="/openapi.json", role="viewer", name="openapi", summary=summary, handler=answer)


async def _health(request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _problem_page(request: Request) -> Response:
    """What a kind of problem means: where the ``type`` of a problem leads to."""
    kind = KINDS.get(request.path_params["kind"])
    if kind is None:
        return problem_response(Problem("not-found", "there is no such kind of problem"), request)
    return PlainTextResponse(f"{kind.title} (HTTP {kind.status}).\n")


async def _http_problem(request: Request, error: Exception) -> Response:
    """What Starlette refuses by itself, in our words."""
    assert isinstance(error, HTTPException)
    kind = "method-not-allowed" if error.status_code == 405 else "not-found"
    problem = Problem(kind, f"{request.method} is not answered here; see /v1/openapi.json", headers=error.headers)
    return problem_response(problem, request)
