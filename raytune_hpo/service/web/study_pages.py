"""Pages that show studies: the list, one study, its trials, figures and best, a comparison; and the workers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from raytune_hpo.errors import JournalCorrupt, StudyNotFound
from raytune_hpo.facts import Status
from raytune_hpo.service.access import check_role
from raytune_hpo.service.comparing import MAX_STUDIES, Standing, Unreadable
from raytune_hpo.service.folds import Fold, StillReading
from raytune_hpo.service.listing import Listing, page_of
from raytune_hpo.service.models.confirming import KIND, is_measured_here
from raytune_hpo.service.problems import Problem
from raytune_hpo.service.reading_routes import CSV, csv_of, existing, worker_records
from raytune_hpo.service.shapes import TrialsQuery, checked
from raytune_hpo.service.tokens import Token
from raytune_hpo.service.web import figures, views
from raytune_hpo.service.web.addresses import base_of, root_of
from raytune_hpo.service.web.best import best
from raytune_hpo.service.web.compared import compared
from raytune_hpo.service.web.frame import Frame
from raytune_hpo.service.web.static_files import PLOTLY, plotly_version

_UNREAD: Mapping[str, Any] = {
    "state": "reading",
    "mark": "waiting",
    "last_at": None,
    "bar": [],
    "goals": [],
    **dict.fromkeys("trials limit label best failed running spark".split(), ""),
}


class StudyPages:
    """The pages that everyone with a token may see."""

    def __init__(self, frame: Frame) -> None:
        self._frame, self._service = frame, frame.service

    def routes(self) -> list[BaseRoute]:
        page = self._frame.page
        return [
            page("/workers", "viewer", self._workers),
            page("/compare", "viewer", self._compare),
            page("/studies/{study}", "viewer", self._study),
            page("/studies/{study}/trials", "viewer", self._trials),
            page("/studies/{study}/trials.csv", "viewer", self._trials_as_csv),
            page("/studies/{study}/trials/{number:int}", "viewer", self._trial),
            page("/studies/{study}/figures", "viewer", self._figures),
            page("/studies/{study}/best", "viewer", self._best),
        ]

    async def studies(self, request: Request, token: Token) -> Response:
        """The list of studies."""
        service, query = self._service, request.query_params
        rows: list[dict[str, Any]] = []
        for row in reversed(await asyncio.to_thread(service.studies.storage.studies)):
            if token.study not in (None, row.name):
                continue
            try:
                rows.append(await service.read(row.name, self._line))
            except StillReading:
                rows.append({**_UNREAD, "name": row.name})
            except StudyNotFound:
                continue  # it has just been deleted
            except JournalCorrupt:  # its own page says why
                rows.append({**_UNREAD, "state": "cannot be read", "mark": "failed", "name": row.name})
        wanted, part = query.get("state", ""), query.get("q", "")
        states = {row["state"]: row["mark"] for row in rows if row["state"] == "running or interrupted"}
        states = {"running": "running", **states, "ended": "finished"}

        def link(state: str) -> str:
            return f"{root_of(request)}/?{urlencode({k: v for k, v in {'state': state, 'q': part}.items() if v})}"

        chips = [{"word": "All", "n": len(rows), "href": link(""), "on": wanted not in states}]
        for state, mark in states.items():
            n = sum(row["state"] == state for row in rows)
            chips.append({"word": state, "mark": mark, "n": n, "href": link(state), "on": wanted == state})
        shown = [r for r in rows if wanted not in states or r["state"] == wanted]
        shown = [r for r in shown if part.lower() in r["name"].lower()]
        return self._frame.html(
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
        )

    def _line(self, fold: Fold) -> dict[str, Any]:
        return views.study_row(fold, self._service.studies.kind(fold), self._service.now(fold))

    async def _study(self, request: Request, token: Token) -> Response:
        return await self._frame.of_study(request, token, "study.html", "overview", self._overview)

    def _overview(self, fold: Fold) -> dict[str, Any]:
        return views.overview(fold, self._service.studies.kind(fold), self._service.now(fold))

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
        base = base_of(request)

        def read(fold: Fold) -> dict[str, Any]:
            page = page_of(fold, listing, views.PAGE, query.cursor)
            shown = views.trials(fold, self._service.studies.kind(fold), page, listing, base)
            first = shown["first"] if query.cursor else ""
            return {**shown, "first": first, "where": where, "status": query.status, "sort": query.sort, "error": error}

        return await self._frame.of_study(request, token, "trials.html", "trials", read, is_live=False)

    async def _trials_as_csv(self, request: Request, token: Token) -> Response:
        """All trials that a filter lets through, as a file."""
        query: TrialsQuery = checked(TrialsQuery, dict(request.query_params), is_query=True)
        listing = Listing(status=query.status, where=query.where, sort=query.sort)

        def read(fold: Fold) -> str:
            every = page_of(fold, listing, len(fold.ledger.trials), None)
            return csv_of(every.trials, has_constraints=bool(fold.ledger.spec.constraints))

        text = await self._service.read(request.path_params["study"], read)
        return Response(text, headers={"Content-Disposition": 'attachment; filename="trials.csv"'}, media_type=CSV)

    async def _trial(self, request: Request, token: Token) -> Response:
        name, number = request.path_params["study"], int(request.path_params["number"])
        facts = await asyncio.to_thread(self._service.studies.storage.trial_facts, name, number)

        def read(fold: Fold) -> dict[str, Any]:
            may_enqueue = token.may("editor") and self._service.studies.kind(fold) == "hosted"
            return {**views.trial(fold, existing(fold, number), facts), "may_enqueue": may_enqueue}

        return await self._frame.of_study(request, token, "trial.html", "trial", read, is_live=False)

    async def _figures(self, request: Request, token: Token) -> Response:
        metric, is_drawn = request.query_params.get("metric"), plotly_version() is not None

        def read(fold: Fold) -> dict[str, Any]:
            return {
                "s": views.head(fold, self._service.studies.kind(fold)),
                **figures.page(fold, metric, base_of(request), f"{root_of(request)}/v1"),
                "plotly": f"{root_of(request)}/static/{PLOTLY}?{plotly_version()}" if is_drawn else "",
            }

        return await self._frame.of_study(request, token, "figures.html", "figures", read, is_live=False)

    async def _best(self, request: Request, token: Token) -> Response:
        language, asked = (request.query_params.get(name, "") for name in ("language", "trial"))

        def read(fold: Fold) -> dict[str, Any]:
            job = self._service.jobs.newest(KIND, fold.name)
            is_own = job is not None and job.begun_at >= fold.created_at  # not that of a deleted study
            shown = best(fold, language, asked, job if is_own else None)
            may_confirm = token.may("editor") and is_measured_here(fold.ledger.spec)
            return {"s": views.head(fold, self._service.studies.kind(fold)), **shown, "may_confirm": may_confirm}

        return await self._frame.of_study(request, token, "best.html", "best", read, is_live=False)

    async def _compare(self, request: Request, token: Token) -> Response:
        names = list(dict.fromkeys(name for name in request.query_params.getlist("study") if name))[:MAX_STUDIES]
        for name in names:
            check_role(token, "viewer", name)
        found = [await self._service.standing(name) for name in names]

        def without(name: str) -> str:
            return f"{root_of(request)}/compare?{urlencode([('study', other) for other in names if other != name])}"

        rows = await asyncio.to_thread(self._service.studies.storage.studies)
        return self._frame.html(
            request,
            "compare.html",
            token=token,
            here="studies",
            chips=[{"name": name, "href": without(name)} for name in names],
            others=[row.name for row in rows if row.name not in names and token.study in (None, row.name)],
            unreadable=[one for one in found if isinstance(one, Unreadable)],
            **compared([one for one in found if isinstance(one, Standing)]),
        )

    async def _workers(self, request: Request, token: Token) -> Response:
        rows = await worker_records(self._service, token)
        return self._frame.html(request, "workers.html", token=token, here="workers", rows=rows)
