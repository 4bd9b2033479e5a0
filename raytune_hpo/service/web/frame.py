"""The frame of all pages: access by role, the values that every template gets, and error pages."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from jinja2 import Environment, PackageLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from raytune_hpo.display.text import number, size, writable
from raytune_hpo.errors import HpoError
from raytune_hpo.progress.words import age
from raytune_hpo.service.access import check_role, within_scope
from raytune_hpo.service.folds import Fold, StillReading
from raytune_hpo.service.problems import KINDS, Problem, problem_of
from raytune_hpo.service.segments import with_segments
from raytune_hpo.service.state import Service
from raytune_hpo.service.tokens import Token
from raytune_hpo.service.web.addresses import base_of, root_of, study_address, urlpart
from raytune_hpo.service.web.static_files import version

_log = logging.getLogger("raytune_hpo")
Handler = Callable[[Request, Token], Awaitable[Response]]


class Frame:
    """What the pages of one service share."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._templates = Environment(
            loader=PackageLoader("raytune_hpo.service.web"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(iso=_iso, clock=_clock, age=age, num=_num, urlpart=urlpart, bytes=size)

    def page(self, path: str, role: str, handler: Handler, *, method: str = "GET") -> Route:
        """The route of a page or of a form's action, for tokens of a role."""

        async def answer(request: Request) -> Response:
            return await self.let_in(request, role, handler)

        return Route(with_segments(path), answer, methods=[method])

    async def let_in(self, request: Request, role: str, handler: Handler) -> Response:
        """The page if the request's token has the role; otherwise an error page."""
        try:
            token = self.service.access.token_of(request, request.method)
            check_role(token, role, request.path_params.get("study"))
            self.service.access.check_rate(token, request.method)
            with within_scope(token):
                return await handler(request, token)
        except StillReading as reading:
            return self._still_reading(request, reading)
        except Problem as problem:
            if problem.kind == "no-token":
                return self.html(request, "login.html", status=401, error="")
            return self.problem(request, problem)
        except HpoError as error:
            return self.problem(request, problem_of(error))
        except Exception:
            _log.exception("%s %s", request.method, request.scope.get("path"))
            unknown = "the server failed; the error is in its log"
            return self.problem(request, Problem("internal", unknown))

    def problem(self, request: Request, problem: Problem) -> Response:
        """An error page, with a link back to the page whose form was sent."""
        name = request.path_params.get("study")
        back = study_address(request, name) if name and request.method == "POST" else ""
        shown = {"title": KINDS[problem.kind].title, "detail": problem.detail}
        page = self.html(request, "problem.html", status=problem.status, problem=shown, back=back)
        page.headers.update(problem.headers)
        return page

    def _still_reading(self, request: Request, reading: StillReading) -> Response:
        return self.html(
            request,
            "reading.html",
            status=202,
            name=request.path_params.get("study", "Compare studies"),
            done=f"{reading.done:,}",
            total=f"{reading.total:,}",
            share=f"{100 * reading.done / max(reading.total, 1):.0f}",
        )

    def html(self, request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
        """A page rendered from its template."""
        return HTMLResponse(self._rendered(request, template, values), status)

    async def of_study(
        self,
        request: Request,
        token: Token,
        template: str,
        tab: str,
        view: Callable[[Fold], Mapping[str, Any]],
        *,
        is_live: bool = True,
    ) -> Response:
        """A page of a study, whose values are computed under the lock of its fold.

        Args:
            tab: which of the study's tabs it is.
            is_live: whether the page updates itself while the study runs.
        """
        name = request.path_params["study"]

        def made(fold: Fold) -> str:
            goes_on = is_live and fold.ledger.stopped is None
            values = {
                "token": token,
                "here": "studies",
                "tab": tab,
                "base": base_of(request),
                "may_edit": token.may("editor"),
                "events": f"/v1/studies/{urlpart(name)}/events" if goes_on else "",
                **view(fold),
            }
            return self._rendered(request, template, values)

        return HTMLResponse(await self.service.read(name, made))

    def service_address(self, request: Request) -> str:
        """The URL of the service, as the client sees it."""
        scheme = "https" if self.service.access.is_secure else "http"  # a proxy may end it
        return f"{scheme}://{request.headers['host']}{root_of(request)}"

    def _rendered(self, request: Request, template: str, values: Mapping[str, Any]) -> str:
        common = {
            "root": root_of(request),
            "url": self.service_address(request),
            "version": version(),
            "now": self.service.clock.now(),
            "events": "",
            "has_live": self.service.live.are_there,
            "here": "",
            "token": None,
        }
        return writable(self._templates.get_template(template).render({**common, **values}))


def _num(value: float | None) -> str:
    return "" if value is None else number(value)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _clock(at: float, now: float) -> str:
    """A time in UTC, with its date if that is not today's; the script turns it into the reader's zone."""
    when, today = (datetime.fromtimestamp(each, timezone.utc) for each in (at, now))
    shown = (
        "%H:%M:%S" if when.date() == today.date() else "%d %b %H:%M" if when.year == today.year else "%d %b %Y %H:%M"
    )
    return when.strftime(f"{shown} UTC")
