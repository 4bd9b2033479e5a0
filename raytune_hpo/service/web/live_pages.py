"""Pages of live studies: the list, one study with its history, the difference of two windows, and the forms' actions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from raytune_hpo.errors import HpoError, JournalCorrupt
from raytune_hpo.live.fold import group_of
from raytune_hpo.live.stored import StoredLive
from raytune_hpo.live.timeline import Timeline
from raytune_hpo.service.folds import Fold, StillReading
from raytune_hpo.service.live_studies import live_of, live_replayed, person
from raytune_hpo.service.problems import Problem
from raytune_hpo.service.reading_routes import existing
from raytune_hpo.service.tokens import Token
from raytune_hpo.service.web import live_view
from raytune_hpo.service.web.addresses import field, fields_of, root_of, urlpart
from raytune_hpo.service.web.frame import Frame

_REASON = 1_000  # characters


class LivePages:
    """Pages of live studies. Every action works without a running controller, too."""

    def __init__(self, frame: Frame) -> None:
        self._frame, self._live, self._jobs = frame, frame.service.live, frame.service.jobs

    def routes(self) -> list[BaseRoute]:
        page = self._frame.page
        return [
            page("/live", "viewer", self._list),
            page("/live/freeze", "editor", self._freeze_all, method="POST"),
            page("/live/{study}", "viewer", self._study),
            page("/live/{study}/diff", "viewer", self._diff),
            page("/live/{study}/replay", "editor", self._replayed),
            page("/live/{study}/replay", "editor", self._replay, method="POST"),
            page("/live/{study}/freeze", "editor", self._freeze, method="POST"),
            page("/live/{study}/thaw", "admin", self._thaw, method="POST"),
            page("/live/{study}/rollback", "editor", self._roll_back, method="POST"),
            page("/live/{study}/approve", "editor", self._approve, method="POST"),
            page("/live/{study}/adopt", "admin", self._adopt, method="POST"),
        ]

    async def _list(self, request: Request, token: Token) -> Response:
        rows: list[dict[str, Any]] = []
        for name in await self._live.names(token):
            try:
                rows.append(await self._live.read(name, live_view.row))
            except StillReading:
                rows.append({"name": name, "state": "being read", "mark": "waiting"})
            except JournalCorrupt:  # its own page says why
                rows.append({"name": name, "state": "cannot be read", "mark": "failed"})
        return self._frame.html(request, "live_list.html", token=token, here="live", rows=rows)

    async def _study(self, request: Request, token: Token) -> Response:
        now, query = self._frame.service.clock.now(), request.query_params
        hours = next((hours for hours in live_view.HOURS if query.get("hours") == str(hours)), 24)
        asked = query.get("at", "").strip()[:40]

        def view(fold: Fold) -> dict[str, Any]:
            live = live_of(fold)
            return {
                **live_view.page(live, hours, now),
                "here": "live",
                "base": _address(request),
                "choices": live_view.HOURS,
                "may_thaw": token.may("admin"),
                "asked": asked,
                **_ran_at(live, asked),
            }

        return await self._frame.of_study(request, token, "live.html", "live", view)

    async def _diff(self, request: Request, token: Token) -> Response:
        asked = {name: request.query_params.get(name, "") for name in ("one", "other")}

        def view(fold: Fold) -> dict[str, Any]:
            live_of(fold)
            pair = [existing(fold, _whole(asked[name], "A window")) for name in ("one", "other")]
            return {
                "here": "live",
                "base": _address(request),
                "name": fold.name,
                "pair": [{"number": trial.number, "group": group_of(trial)} for trial in pair],
                "parts": live_view.compared(*pair),
            }

        return await self._frame.of_study(request, token, "live_diff.html", "live", view, is_live=False)

    # -------------------------------------------------------------------------------------------- what forms do

    async def _do(self, request: Request, act: Callable[[StoredLive], object]) -> Response:
        await self._live.do(request.path_params["study"], act)
        return RedirectResponse(_address(request), 303)

    async def _said(self, request: Request, token: Token) -> tuple[str, float, str]:
        """The person, the time and the reason of a form's action."""
        form = await fields_of(request)
        return person(token), self._live.clock.now(), field(form, "reason")[:_REASON]

    async def _freeze(self, request: Request, token: Token) -> Response:
        who, at, reason = await self._said(request, token)
        return await self._do(request, lambda stored: stored.freeze(who, at, reason))

    async def _freeze_all(self, request: Request, token: Token) -> Response:
        """Freeze all live studies; an error in one does not keep the others from being frozen."""
        who, at, reason = await self._said(request, token)
        refused: Problem | HpoError | None = None
        for name in await self._live.names(token):
            try:
                await self._live.do(name, lambda stored: stored.freeze(who, at, reason))
            except (Problem, HpoError) as error:
                refused = error
        if refused is not None:
            raise refused
        return RedirectResponse(f"{root_of(request)}/live", 303)

    async def _thaw(self, request: Request, token: Token) -> Response:
        who, at, _ = await self._said(request, token)
        return await self._do(request, lambda stored: stored.thaw(who, at))

    async def _roll_back(self, request: Request, token: Token) -> Response:
        who, at, reason = await self._said(request, token)
        return await self._do(request, lambda stored: stored.set_baseline(None, who, at, reason or "rolled back"))

    async def _adopt(self, request: Request, token: Token) -> Response:
        who, at, reason = await self._said(request, token)
        return await self._do(request, lambda stored: stored.adopt(who, at, reason))

    async def _approve(self, request: Request, token: Token) -> Response:
        form = await fields_of(request)
        number, who, at = _whole(field(form, "number"), "A candidate"), person(token), self._live.clock.now()
        return await self._do(request, lambda stored: stored.approve(number, who, at))

    async def _replay(self, request: Request, token: Token) -> Response:
        name, live = request.path_params["study"], self._live
        await live.read(name, lambda told: None)  # raises if there is no such live study
        job = self._jobs.begin("replay", name, live_replayed, live.words, name, is_aside=live.is_shared)
        return RedirectResponse(f"{_address(request)}/replay?job={job.id}", 303)

    async def _replayed(self, request: Request, token: Token) -> Response:
        """The page of a replay: its findings, or that it still runs."""
        job = self._jobs.find(request.query_params.get("job", ""))
        if job is None or job.study != request.path_params["study"]:
            raise Problem("not-found", "this replay is not remembered; compute the decisions again on the study's page")
        return self._frame.html(
            request, "live_replay.html", token=token, here="live", base=_address(request), name=job.study, job=job
        )


def _address(request: Request) -> str:
    return f"{root_of(request)}/live/{urlpart(request.path_params['study'])}"


def _ran_at(live: Timeline, asked: str) -> dict[str, Any]:
    """What ran at the time that was typed in; an error text if it is not a time."""
    if not asked:
        return {"ran": [], "error": ""}
    try:
        when = datetime.fromisoformat(asked)
        at = (when if when.tzinfo else when.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        return {"ran": [], "error": f'A time is like "2026-11-28 14:30" (UTC); got "{asked}".'}
    newest = {group_of(trial): trial for trial in live.windows_between(0.0, at)}
    return {
        "ran": [live_view.ran(trial) for trial in newest.values()],
        "error": "" if newest else "Nothing had run by then.",
    }


def _whole(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Problem("bad-request", f"{what} has a whole number, got {text[:40]!r}")
    return int(text)
