"""The ASGI application: the routes of all endpoints, wrapped in the guards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from raytune_hpo.service import data_routes, insight_routes, live_routes, reading_routes, study_routes, worker_routes
from raytune_hpo.service.answers import Answer
from raytune_hpo.service.endpoints import Call, Endpoint, app_root_of, problem_response, serve
from raytune_hpo.service.guards import HostGuard, SafeHeaders
from raytune_hpo.service.openapi import document
from raytune_hpo.service.problems import KINDS, Problem
from raytune_hpo.service.segments import WholeSegments, with_segments
from raytune_hpo.service.state import Service
from raytune_hpo.service.web.pages import Pages

ENDPOINTS = (
    *reading_routes.ENDPOINTS,
    *insight_routes.ENDPOINTS,
    *data_routes.ENDPOINTS,
    *study_routes.ENDPOINTS,
    *worker_routes.ENDPOINTS,
    *live_routes.ENDPOINTS,
)


def application(service: Service, hosts: Collection[str], *, root_path: str = "") -> ASGIApp:
    """The ASGI application of a service, which accepts these values of the Host header."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await service.studies.open()
        yield
        service.begin_to_close()
        service.jobs.close()
        await service.studies.close()

    pages = Pages(service)

    async def http_problem(request: Request, error: Exception) -> Response:
        """Starlette's own HTTP errors as problems; below the pages, a browser gets a page."""
        assert isinstance(error, HTTPException)
        kind = "method-not-allowed" if error.status_code == 405 else "not-found"
        path = request.url.path.removeprefix(app_root_of(request))
        if "text/html" in request.headers.get("accept", "") and not path.startswith("/v1/"):
            return pages.missing(request, kind, error.headers)
        detail = f"{request.method} is not answered here; see /v1/openapi.json"
        return problem_response(Problem(kind, detail, headers=error.headers), request)

    resources: dict[str, list[Endpoint]] = {}
    for endpoint in (*ENDPOINTS, _description(root_path)):
        resources.setdefault(endpoint.path, []).append(endpoint)
    api = [_route(path, endpoints, service) for path, endpoints in resources.items()]
    app = Starlette(
        routes=[
            *pages.routes(),
            Route("/healthz", _health),
            Route("/problems/{kind}", _problem_page),
            Mount("/v1", routes=api),
        ],
        lifespan=lifespan,
        exception_handlers={HTTPException: http_problem},
    )
    app.router.redirect_slashes = False
    return HostGuard(SafeHeaders(WholeSegments(app)), hosts)


def _route(path: str, endpoints: Sequence[Endpoint], service: Service) -> Route:
    """One route for all methods of a resource, so that a 405 lists them all; it has the name of the first."""
    by_method = {endpoint.method: endpoint for endpoint in endpoints}

    async def answer(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await serve(by_method[method], service, request)

    return Route(with_segments(path), answer, methods=list(by_method), name=endpoints[0].name)


def _description(root_path: str) -> Endpoint:
    """The endpoint that serves the OpenAPI document."""

    async def answer(call: Call) -> Answer:
        return Answer(body=document(ENDPOINTS, root_path))

    summary = "This document"
    return Endpoint(method="GET", path="/openapi.json", role="viewer", name="openapi", summary=summary, handler=answer)


async def _health(request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _problem_page(request: Request) -> Response:
    """The page that explains a kind of problem; the ``type`` of a problem is its URL."""
    kind = KINDS.get(request.path_params["kind"])
    if kind is None:
        return problem_response(Problem("not-found", "there is no such kind of problem"), request)
    return PlainTextResponse(f"{kind.title} (HTTP {kind.status}).\n")
