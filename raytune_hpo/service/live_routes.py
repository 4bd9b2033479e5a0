"""Routes of live studies: their timeline, people's commands, and running systems that poll for their configuration."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from raytune_hpo.errors import JournalCorrupt
from raytune_hpo.live.fold import group_of
from raytune_hpo.live.pull_board import Histogram, Measured
from raytune_hpo.live.stored import status_of
from raytune_hpo.live.telling import difference_text
from raytune_hpo.live.timeline import Timeline
from raytune_hpo.results.records import plain
from raytune_hpo.service import shapes
from raytune_hpo.service.answers import Answer
from raytune_hpo.service.bodies import MAX_WORKER_BODY
from raytune_hpo.service.endpoints import Call, Endpoint
from raytune_hpo.service.folds import StillReading
from raytune_hpo.service.live_studies import live_of, live_replayed, person
from raytune_hpo.service.problems import Problem
from raytune_hpo.service.reading_routes import existing, known_tags, of_study, viewed
from raytune_hpo.service.records import trial_line
from raytune_hpo.trial import Trial

LOOK_S = 0.2  # between two checks for another configuration
_CLOCKS_S = 60.0  # by which clocks of machines may differ


def status_record(live: Timeline) -> dict[str, Any]:
    """The status of a live study, as JSON."""
    found: dict[str, Any] = plain(asdict(status_of(live.fold)))
    return {**found, "promoted_by": live.promoted_number, "seq": live.fold.study.ledger.seen}


def window_record(trial: Trial) -> dict[str, Any]:
    return {**trial_line(trial), "group": group_of(trial), "meta": plain(trial.meta)}


async def list_live(call: Call) -> Answer:
    items = []
    for name in await call.service.live.names(call.token):
        try:
            items.append(await call.service.live.read(name, status_record))
        except StillReading:
            items.append({"name": name, "state": "reading"})
        except JournalCorrupt as error:
            items.append({"name": name, "state": "unreadable", "detail": str(error)})
    return Answer(body={"items": items, "next": None})


async def get_live(call: Call) -> Answer:
    return await of_study(call, lambda fold: status_record(live_of(fold)))


async def timeline(call: Call) -> Answer:
    query: shapes.TimelineQuery = call.query

    def read(live: Timeline) -> dict[str, Any]:
        windows = live.windows_between(query.begin, query.end)
        left_out = max(0, len(windows) - query.limit)
        return {
            "events": [asdict(event) for event in live.events_between(query.begin, query.end)],
            "shares": [asdict(share) for share in live.shares if share.at < query.end],
            "windows": [window_record(trial) for trial in windows[left_out:]],
            "left_out": left_out,
            "seq": live.fold.study.ledger.seen,
        }

    return await of_study(call, lambda fold: read(live_of(fold)))


async def diff(call: Call) -> Answer:
    query: shapes.DiffQuery = call.query

    def read(fold: Any) -> dict[str, Any]:
        live_of(fold)
        one, other = existing(fold, query.one), existing(fold, query.other)
        return {"one": window_record(one), "other": window_record(other), "text": difference_text(one, other)}

    return await of_study(call, read)


# ------------------------------------------------------------------------------------------------ people


async def _done(call: Call) -> Answer:
    """The answer to a person's command: 202 and the study's status, which the controller may still have to change."""
    return Answer(body=await call.service.live.read(call.study, status_record), status=202)


async def approve(call: Call) -> Answer:
    who, at, number = person(call.token), call.service.clock.now(), call.body.number
    await call.service.live.do(call.study, lambda stored: stored.approve(number, who, at))
    return await _done(call)


async def freeze(call: Call) -> Answer:
    who, at, reason = person(call.token), call.service.clock.now(), call.body.reason
    await call.service.live.do(call.study, lambda stored: stored.freeze(who, at, reason))
    return await _done(call)


async def thaw(call: Call) -> Answer:
    who, at = person(call.token), call.service.clock.now()
    await call.service.live.do(call.study, lambda stored: stored.thaw(who, at))
    return await _done(call)


async def roll_back(call: Call) -> Answer:
    who, at, reason = person(call.token), call.service.clock.now(), call.body.reason or "rolled back"
    await call.service.live.do(call.study, lambda stored: stored.set_baseline(None, who, at, reason))
    return await _done(call)


async def set_baseline(call: Call) -> Answer:
    who, at, given = person(call.token), call.service.clock.now(), call.body
    await call.service.live.do(call.study, lambda stored: stored.set_baseline(given.config, who, at, given.reason))
    return await _done(call)


async def adopt(call: Call) -> Answer:
    who, at, reason = person(call.token), call.service.clock.now(), call.body.reason
    await call.service.live.do(call.study, lambda stored: stored.adopt(who, at, reason))
    return await _done(call)


async def begin_replay(call: Call) -> Answer:
    """Begin a job that computes all decisions again, which may take long; the answer is the job."""
    live = call.service.live
    await live.read(call.study, lambda told: None)  # raises if there is no such live study
    job = call.service.jobs.begin("replay", call.study, live_replayed, live.words, call.study, is_aside=live.is_shared)
    return call.begun(job)


# ------------------------------------------------------------------------------------------------ systems that ask


async def config(call: Call) -> Answer:
    """The configuration that a group is to run: at once, or once it differs from the one that the system has."""
    board, group = await call.service.live.board(call.study), call.query.group
    known = known_tags(call.request)
    clock = asyncio.get_running_loop().time
    end = clock() + call.query.wait_s
    while True:
        offer = await asyncio.to_thread(board.offered, group)
        tag = "" if offer is None else f'"{group}.{offer.version}"'
        if offer is not None and tag not in known:
            return Answer(body=plain(asdict(offer)), headers={"ETag": tag, "Cache-Control": "private, no-cache"})
        if clock() >= end or call.service.is_closing:
            break
        await asyncio.sleep(LOOK_S)
    if offer is None:
        raise Problem(
            "not-found", f"nothing has been offered to {group} of {call.study!r} yet; its applier has the kind pull"
        )
    return Answer(status=304, headers={"ETag": tag, "Cache-Control": "private, no-cache"})


async def measurements(call: Call) -> Answer:
    """Take the configuration that a group runs, and its measurements."""
    given: shapes.SystemMeasurements = call.body
    board, now = await call.service.live.board(call.study), call.service.clock.now()
    window_s = await call.service.live.window_s(call.study)
    rows = [_measured(window, index, given.source, now) for index, window in enumerate(given.windows)]

    def note() -> None:
        board.note(given.group, rows, at=now, window_s=window_s)
        if given.running is not None:
            board.tell_running(given.group, given.running, now)

    await asyncio.to_thread(note)
    offer = await asyncio.to_thread(board.offered, given.group)
    return Answer(body={"noted": len(rows), "version": None if offer is None else offer.version}, status=202)


def _measured(window: shapes.SystemWindow, index: int, source: str, now: float) -> Measured:
    """A window of measurements, in the form in which it is stored.

    Raises:
        Problem: it ends before it begins or in the future, or a histogram is invalid.
    """
    if window.end <= window.start:
        where = [(f"/windows/{index}/end", "after its start")]
        raise Problem("invalid", f"a window ends after its start, got {window.start} to {window.end}", errors=where)
    if window.end > now + _CLOCKS_S:
        where = [(f"/windows/{index}/end", "not in the future")]
        said = (
            f"a window has ended by the time it is posted, got one to {window.end:.0f} at {now:.0f}; set the clock of the "
            f"machine that measures"
        )
        raise Problem("invalid", said, errors=where)
    histograms = {name: Histogram(bounds=h.bounds, counts=h.counts) for name, h in window.histograms.items()}
    return Measured(
        start=window.start,
        end=window.end,
        metrics=window.metrics,
        context=window.context,
        histograms=histograms,
        count=window.count,
        source=source,
    )


def _told(path: str, role: str, name: str, summary: str, handler: Any, **more: Any) -> Endpoint:
    """An endpoint for a command to a live study."""
    return Endpoint(
        method="POST", path=f"/live/{{study}}/{path}", role=role, name=name, summary=summary, handler=handler,
        **{"status": 202, "errors": ["elsewhere", "study-busy", "unavailable"], **more},
    )  # fmt: skip


ENDPOINTS = (
    viewed("/live", "list_live", "The live studies: where each stands", list_live),
    viewed("/live/{study}", "get_live", "Where a live study stands", get_live),
    viewed(
        "/live/{study}/timeline",
        "get_live_timeline",
        "What a live study did, and when: events, shares of the traffic, windows",
        timeline,
        query=shapes.TimelineQuery,
    ),
    viewed("/live/{study}/diff", "diff_live_windows", "How two windows differ", diff, query=shapes.DiffQuery),
    _told(
        "approve", "editor", "approve_candidate", "Let a waiting candidate proceed", approve, body=shapes.WindowNumber
    ),
    _told("freeze", "editor", "freeze_live", "Change nothing more", freeze, body=shapes.Why),
    _told("thaw", "admin", "thaw_live", "Allow changes again", thaw),
    _told("rollback", "editor", "roll_back_live", "Go back to the baseline everywhere", roll_back, body=shapes.Why),
    _told(
        "baseline", "admin", "set_live_baseline", "Fall back to this from now on", set_baseline, body=shapes.Baseline
    ),
    _told("adopt", "admin", "adopt_live", "Make what somebody changed by hand the baseline", adopt, body=shapes.Why),
    _told(
        "replay",
        "editor",
        "begin_live_replay",
        "Compute every decision again, as a job",
        begin_replay,
        errors=(),
        is_creating=True,
    ),
    Endpoint(
        method="GET",
        path="/live/{study}/config",
        role="worker",
        name="get_live_config",
        summary="What a group of a running system is to run",
        handler=config,
        query=shapes.SystemConfigQuery,
        errors=["elsewhere"],
    ),
    _told(
        "measurements",
        "worker",
        "post_live_measurements",
        "What a group runs, and what it measured",
        measurements,
        body=shapes.SystemMeasurements,
        max_body=MAX_WORKER_BODY,
        errors=["elsewhere"],
    ),
)
