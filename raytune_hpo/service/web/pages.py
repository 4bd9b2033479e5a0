"""Pages: their routes, and the log-in, which exchanges a link or a token for a cookie."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from raytune_hpo.service.problems import Problem
from raytune_hpo.service.segments import path_of
from raytune_hpo.service.state import Service
from raytune_hpo.service.web.addresses import field, fields_of, root_of
from raytune_hpo.service.web.admin_pages import AdminPages
from raytune_hpo.service.web.frame import Frame
from raytune_hpo.service.web.live_pages import LivePages
from raytune_hpo.service.web.new_pages import NewPages
from raytune_hpo.service.web.static_files import static_file
from raytune_hpo.service.web.study_forms import StudyForms
from raytune_hpo.service.web.study_pages import StudyPages


class Pages:
    """The pages of one service."""

    def __init__(self, service: Service) -> None:
        self._frame, self._access = Frame(service), service.access
        self._studies = StudyPages(self._frame)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/", self._front),
            Route("/login", self._log_in, methods=["POST"]),
            Route("/static/{name}", static_file),
            *self._studies.routes(),
            *StudyForms(self._frame).routes(),
            *LivePages(self._frame).routes(),
            *NewPages(self._frame).routes(),
            *AdminPages(self._frame).routes(),
        ]

    def missing(self, request: Request, kind: str, headers: Mapping[str, str] | None) -> Response:
        """The page for an address that has none, or takes only what forms send."""
        what = "takes only what a form sends" if kind == "method-not-allowed" else "has no page"
        detail = f"The address {path_of(request)[:200]} {what}. The list of studies leads to every page."
        return self._frame.problem(request, Problem(kind, detail, headers=headers))

    async def _front(self, request: Request) -> Response:
        """The list of studies; for a log-in link, set the cookie."""
        secret = request.query_params.get("token")
        if secret is None:
            return await self._frame.let_in(request, "viewer", self._studies.studies)
        answer = self._with_cookie(request, secret)
        if answer.status_code == 401 and self._is_logged_in(request):  # the link of a log-in that has taken place
            return RedirectResponse(f"{root_of(request)}/", 303)
        return answer

    def _is_logged_in(self, request: Request) -> bool:
        try:
            self._access.token_of(request, request.method)
        except Problem:
            return False
        return True

    async def _log_in(self, request: Request) -> Response:
        try:
            return self._with_cookie(request, field(await fields_of(request), "secret"))
        except Problem as problem:
            return self._frame.problem(request, problem)

    def _with_cookie(self, request: Request, secret: str) -> Response:
        access = self._access
        try:
            value = access.log_in(secret, request.client.host if request.client else "")
        except Problem as problem:
            return self._frame.html(request, "login.html", status=problem.status, error=problem.detail)
        response = RedirectResponse(f"{root_of(request)}/", 303)
        response.set_cookie(access.cookie, value, httponly=True, samesite="strict", secure=access.is_secure, path="/")
        return response
