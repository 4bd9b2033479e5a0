"""Events of a study as server-sent events, whose ids are numbers of facts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from itertools import islice

from starlette.responses import Response, StreamingResponse

from raytune_hpo.core.optimizer import WallClock
from raytune_hpo.core.snapshot import snapshot_of
from raytune_hpo.errors import HpoError
from raytune_hpo.facts import Fact
from raytune_hpo.journal import Storage
from raytune_hpo.results.records import snapshot_record
from raytune_hpo.service.endpoints import Call
from raytune_hpo.service.folds import Fold, StillReading
from raytune_hpo.service.problems import Problem
from raytune_hpo.service.records import dumped, fact_record

LOOK_S = 0.5  # between two looks at the study
COMMENT_S = 15.0  # between two comments, which keep proxies from closing a quiet stream
RETRY_MS = 3_000
MAX_FACTS = 1_000  # of one look
_MEDIA = "text/event-stream"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


async def stream(call: Call) -> Response:
    """The event stream of a study: ``snapshot`` whenever it has changed, or each of its facts, and at last ``end``.

    Raises:
        Problem: the Last-Event-ID is invalid, or too many streams are open.
    """
    last = call.request.headers.get("last-event-id")
    if last is not None and not (last.isascii() and last.isdigit() and len(last) < 16):
        raise Problem("bad-request", f"Last-Event-ID is the id of an event, got {last[:40]!r}")
    await call.service.read(call.study, lambda fold: fold.seq)  # raises if there is no such study
    if call.request.method == "HEAD":
        return Response(media_type=_MEDIA, headers=_HEADERS)
    call.service.streams.enter(call.token.id)
    seen = -1 if last is None else int(last)
    events = _facts(call, max(0, seen)) if call.query.facts else _snapshots(call, seen)
    return StreamingResponse(_guarded(call, events), media_type=_MEDIA, headers=_HEADERS)


async def _guarded(call: Call, events: AsyncIterator[str | None]) -> AsyncIterator[str]:
    """The events as text, with comments to keep the connection alive, as long as the token is valid."""
    try:
        yield f"retry: {RETRY_MS}\n\n"
        since_s = 0.0  # the last comment
        async for event in events:
            if event is not None:
                yield event
                continue
            since_s += LOOK_S
            if since_s >= COMMENT_S:  # also of a busy study, whose stream would outlive its token
                if not any(token.id == call.token.id for token in call.service.access.tokens.list()):
                    return
                yield ": still here\n\n"
                since_s = 0.0
            if call.service.is_closing:
                return
            await asyncio.sleep(LOOK_S)
    except (HpoError, StillReading):
        return  # the study was deleted, or cannot be read now: a client that comes again is told so
    finally:
        call.service.streams.leave(call.token.id)


async def _snapshots(call: Call, seen: int) -> AsyncIterator[str | None]:
    """A snapshot whenever the study has changed; None where it has not, so that the caller can check and pause."""
    read = partial(call.service.read, call.study, partial(_snapshot, call.service.clock))
    max_age_s = 0.0  # a stream begins with what is true now
    while True:
        seq, text, stopped = await call.service.shared_reads.newest(call.study, read, max_age_s)
        max_age_s = LOOK_S / 2
        if seq != seen or stopped is not None:
            seen = seq
            yield text
            if stopped is not None:
                yield _event("end", seen, dumped({"stopped": stopped, "seq": seen}))
                return
        yield None


def _snapshot(clock: WallClock, fold: Fold) -> tuple[int, str, str | None]:
    """The number of facts, the event, and why the study has stopped, if it has."""
    record = {**snapshot_record(snapshot_of(fold.ledger, clock.now())), "seq": fold.seq}
    return fold.seq, _event("snapshot", fold.seq, dumped(record)), fold.ledger.stopped


async def _facts(call: Call, seen: int) -> AsyncIterator[str | None]:
    """The facts after the first ``seen``; an event's id is the number of facts up to and including it."""
    storage = call.service.studies.storage
    while True:
        stopped = await call.service.read(call.study, lambda fold: (fold.ledger.stopped, fold.seq))
        facts = await asyncio.to_thread(_newest, storage, call.study, seen)
        for fact in facts:
            yield _event("fact", seen + 1, dumped(fact_record(seen, fact)))
            seen += 1
        if stopped[0] is not None and seen >= stopped[1]:
            yield _event("end", seen, dumped({"stopped": stopped[0], "seq": seen}))
            return
        if len(facts) < MAX_FACTS:
            yield None  # also if there were some: a busy study would never let the caller pause, or end the stream


def _newest(storage: Storage, name: str, start: int) -> list[Fact]:
    return list(islice(storage.read(name, start), MAX_FACTS))


def _event(kind: str, seq: int, data: str) -> str:
    return f"event: {kind}\nid: {seq}\ndata: {data}\n\n"
