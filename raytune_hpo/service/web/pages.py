"""Pages: their addresses, the log-in, and the forms, each of which answers by going back to its page."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timezone
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode

from jinja2 import Environment, PackageLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from raytune_hpo.display.text import number
from raytune_hpo.errors import HpoError, StudyNotFound
from raytune_hpo.facts import Status
from raytune_hpo.progress.words import age
from raytune_hpo.service.access import check_role
from raytune_hpo.service.bodies import MAX_BODY, read_body
from raytune_hpo.service.folds import Fold, StillReading
from raytune_hpo.service.listing import Listing, page_of
from raytune_hpo.service.problems import KINDS, Problem, problem_of
from raytune_hpo.service.reading_routes import existing, worker_records
from raytune_hpo.service.shapes import Limits, TrialsQuery, checked
from raytune_hpo.service.tokens import Token
from raytune_hpo.service.web import views

if TYPE_CHECKING:
    from raytune_hpo.service.app import Service

_MEDIA = {"hpo.css": "text/css; charset=utf-8", "hpo.js": "text/javascript; charset=utf-8"}
_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
_log = logging.getLogger("raytune_hpo")
Handler = Callable[[Request, Token], Awaitable[Response]]


class Pages:
    """The pages of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        folder = files("raytune_hpo.service.web").joinpath("static")
        self._static = {name: folder.joinpath(name).read_bytes() for name in _MEDIA}
        self._version = hashlib.sha256(b"".join(self._static.values())).hexdigest()[:12]
        self._templates = Environment(
            loader=PackageLoader("raytune_hpo.service.web"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(iso=_iso, clock=_clock, age=age, num=_num, urlpart=_urlpart)

    def routes(self) -> list[BaseRoute]:
        found: list[BaseRoute] = [
            Route("/", self._front),
            Route("/login", self._log_in, methods=["POST"]),
            Route("/static/{name}", self._static_file),
            self._page("/workers", "viewer", self._workers),
            self._page("/studies/{study}", "viewer", self._study),
            self._page("/studies/{study}/trials", "viewer", self._trials),
            self._page("/studies/{study}/trials/{number:int}", "viewer", self._trial),
        ]
        for verb, action in (("stop", self._stop), ("extend", self._extend), ("enqueue", self._enqueue)):
            found.append(self._page(f"/studies/{{study}}/{verb}", "editor", action, method="POST"))
        return found

    def _page(self, path: str, role: str, handler: Handler, *, method: str = "GET") -> Route:
        async def answer(request: Request) -> Response:
            return await self._let_in(request, role, handler)

        return Route(path, answer, methods=[method])

    async def _let_in(self, request: Request, role: str, handler: Handler) -> Response:
        """The page, for whoever may see it; a page that says why not for others."""
        try:
            token = self._service.access.token_of(request, request.method)
            check_role(token, role, request.path_params.get("study"))
            self._service.access.check_rate(token, request.method)
            return await handler(request, token)
        except StillReading as reading:
            share = f"{100 * reading.done / max(reading.total, 1):.0f}"
            return self._html(
                request,
                "reading.html",
                status=202,
                name=request.path_params["study"],
                done=f"{reading.done:,}",
                total=f"{reading.total:,}",
                share=share,
            )
        except Problem as problem:
            if problem.kind == "no-token":
                return self._html(request, "login.html", status=401, error="")
            return self._problem(request, problem)
        except HpoError as error:
            return self._problem(request, problem_of(error))
        except Exception:
            _log.exception("%s %s", request.method, request.scope.get("path"))
            unknown = "the server met an error that it has written to its log"
            return self._problem(request, Problem("internal", unknown))

    def _problem(self, request: Request, problem: Problem) -> Response:
        name = request.path_params.get("study")
        back = f"{_root(request)}/studies/{_urlpart(name)}" if name and request.method == "POST" else ""
        shown = {"title": KINDS[problem.kind].title, "detail": problem.detail}
        return self._html(request, "problem.html", status=problem.status, problem=shown, back=back)

    def _html(self, request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
        text = self._templates.get_template(template).render(self._around(request, **values))
        return HTMLResponse(text, status)

    def _around(self, request: Request, **values: Any) -> dict[str, Any]:
        """What every template is given."""
        common = {"events": "", "here": "", "token": None, "now": self._service.clock.now(), "version": self._version}
        return {**common, "root": _root(request), **values}

    # -------------------------------------------------------------------------------------------- the door

    async def _front(self, request: Request) -> Response:
        """The list of studies; or a cookie, for the secret in a log-in link."""
        secret = request.query_params.get("token")
        if secret is None:
            return await self._let_in(request, "viewer", self._studies)
        return self._with_cookie(request, secret)

    async def _log_in(self, request: Request) -> Response:
        form = dict(parse_qsl((await read_body(request, MAX_BODY)).decode("utf-8", "replace")))
        return self._with_cookie(request, form.get("secret", "").strip())

    def _with_cookie(self, request: Request, secret: str) -> Response:
        access = self._service.access
        try:
            value = access.log_in(secret, request.client.host if request.client else "")
        except Problem as problem:
            return self._html(request, "login.html", status=problem.status, error=problem.detail)
        response = RedirectResponse(f"{_root(request)}/", 303)
        response.set_cookie(access.cookie, value, httponly=True, samesite="strict", secure=access.is_secure, path="/")
        return response

    async def _static_file(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _MEDIA:
            return self._problem(request, Problem("not-found", "there is no such file"))
        return Response(self._static[name], 200, _FOREVER, _MEDIA[name])

    # -------------------------------------------------------------------------------------------- pages

    async def _studies(self, request: Request, token: Token) -> Response:
        service, query = self._service, request.query_params
        rows, now = [], service.clock.now()
        for row in reversed(await asyncio.to_thread(service.studies.storage.studies)):
            if token.study not in (None, row.name):
                continue
            try:
                rows.append(await service.read(row.name, lambda fold: views.study_row(fold, now)))
            except StillReading:
                rows.append({**_UNREAD, "name": row.name})
            except StudyNotFound:
                continue  # it was deleted just now
        wanted, part = query.get("state", ""), query.get("q", "")
        states = ("running", "ended")

        def link(state: str) -> str:
            return f"{_root(request)}/?{urlencode({k: v for k, v in {'state': state, 'q': part}.items() if v})}"

        chips = [{"word": "All", "n": len(rows), "href": link(""), "on": wanted not in states}]
        for state in states:
            n = sum(row["state"] == state for row in rows)
            mark = "running" if state == "running" else "finished"
            chips.append({"word": state, "mark": mark, "n": n, "href": link(state), "on": wanted == state})
        shown = [r for r in rows if wanted not in states or r["state"] == wanted]
        shown = [r for r in shown if part.lower() in r["name"].lower()]
        return self._html(
            request,
            "studies.html",
            token=token,
            here="studies",
            rows=shown,
            total=len(rows),
            chips=chips,
            q=part,
            state=wanted,
            storage=repr(service.studies.storage.url),
            url=_address(request),
        )

    async def _study(self, request: Request, token: Token) -> Response:
        return await self._of_study(request, token, "study.html", "overview", self._overview)

    def _overview(self, fold: Fold) -> dict[str, Any]:
        return views.overview(fold, self._service.studies.kind(fold), self._service.clock.now())

    async def _trials(self, request: Request, token: Token) -> Response:
        error = ""
        given = {"sort": "-number", **{k: v for k, v in request.query_params.items() if v}}
        try:
            query: TrialsQuery = checked(TrialsQuery, given, is_query=True)
            return await self._table(request, token, query, query.where or "", error)
        except Problem as problem:
            if problem.status != 400:
                raise
            given = {k: v for k, v in given.items() if k == "status" and v in set(Status)}
            query = checked(TrialsQuery, {"sort": "-number", **given}, is_query=True)
            return await self._table(request, token, query, request.query_params.get("where", ""), problem.detail)

    async def _table(self, request: Request, token: Token, query: TrialsQuery, where: str, error: str) -> Response:
        listing = Listing(status=query.status, where=query.where, sort=query.sort)
        base = _base(request)

        def read(fold: Fold) -> dict[str, Any]:
            page = page_of(fold, listing, views.PAGE, query.cursor)
            shown = views.trials(fold, self._service.studies.kind(fold), page, listing, base)
            first = shown["first"] if query.cursor else ""
            return {**shown, "first": first, "where": where, "status": query.status, "sort": query.sort, "error": error}

        return await self._of_study(request, token, "trials.html", "trials", read, is_live=False)

    async def _trial(self, request: Request, token: Token) -> Response:
        name, number_ = request.path_params["study"], int(request.path_params["number"])
        facts = await asyncio.to_thread(self._service.studies.storage.trial_facts, name, number_)
        return await self._of_study(
            request,
            token,
            "trial.html",
            "trial",
            lambda fold: views.trial(fold, existing(fold, number_), facts),
            is_live=False,
        )

    async def _of_study(
        self,
        request: Request,
        token: Token,
        template: str,
        tab: str,
        view: Callable[[Fold], Mapping[str, Any]],
        *,
        is_live: bool = True,
    ) -> Response:
        """A page of a study, made where the study is read."""
        name = request.path_params["study"]

        def made(fold: Fold) -> str:
            goes_on = is_live and fold.ledger.stopped is None
            values = self._around(
                request,
                token=token,
                here="studies",
                tab=tab,
                base=_base(request),
                may_edit=token.may("editor"),
                events=f"/v1/studies/{_urlpart(name)}/events" if goes_on else "",
                **view(fold),
            )
            return self._templates.get_template(template).render(values)

        return HTMLResponse(await self._service.read(name, made))

    async def _workers(self, request: Request, token: Token) -> Response:
        rows = worker_records(self._service, token)
        return self._html(request, "workers.html", token=token, here="workers", rows=rows, url=_address(request))

    # -------------------------------------------------------------------------------------------- forms

    async def _stop(self, request: Request, token: Token) -> Response:
        await self._service.studies.stop(request.path_params["study"], "stopped by the user")
        return RedirectResponse(_base(request), 303)

    async def _extend(self, request: Request, token: Token) -> Response:
        text = (await _form(request)).get("num_trials", "").replace(",", "").strip()
        if not (text.isascii() and text.isdigit()):
            raise Problem("invalid", f"Trials in all: a whole number; got {text[:40]!r}")
        limits: Limits = checked(Limits, {"num_trials": int(text)})
        await self._service.studies.extend(request.path_params["study"], limits.model_dump(exclude_unset=True))
        return RedirectResponse(_base(request), 303)

    async def _enqueue(self, request: Request, token: Token) -> Response:
        text = (await _form(request)).get("config", "")
        try:
            config = json.loads(text)
        except (ValueError, RecursionError):
            config = None
        if not isinstance(config, dict):
            raise Problem("invalid", f'A configuration is a JSON object such as {{"lr": 0.1}}; got {text[:60]!r}')
        await self._service.studies.enqueue(request.path_params["study"], [config])
        return RedirectResponse(_base(request), 303)


_UNREAD: Mapping[str, Any] = {
    "state": "reading",
    "mark": "waiting",
    "last_at": None,
    "bar": [],
    **dict.fromkeys("trials limit label best metric mode failed running spark".split(), ""),
}


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await read_body(request, MAX_BODY)).decode("utf-8", "replace")))


def _root(request: Request) -> str:
    return str(request.scope.get("root_path", ""))


def _base(request: Request) -> str:
    """The address of a study's page."""
    return f"{_root(request)}/studies/{_urlpart(request.path_params['study'])}"


def _address(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers['host']}{_root(request)}"


def _urlpart(name: str) -> str:
    return quote(name, safe="")


def _num(value: float | None) -> str:
    return "" if value is None else number(value)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))
