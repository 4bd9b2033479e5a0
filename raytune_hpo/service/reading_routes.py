"""Routes that only read: studies, trials, reports, facts, parts, workers."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from raytune_hpo import __version__, registry
from raytune_hpo.analysis.columns import csv_cell, feasibility, flattened
from raytune_hpo.display.text import counted, writable
from raytune_hpo.errors import JournalCorrupt, StudyNotFound
from raytune_hpo.results.records import plain
from raytune_hpo.service import shapes
from raytune_hpo.service.answers import Answer
from raytune_hpo.service.endpoints import Call, Endpoint
from raytune_hpo.service.events import stream
from raytune_hpo.service.folds import Fold, StillReading
from raytune_hpo.service.listing import Listing, bad_cursor, page_of
from raytune_hpo.service.problems import Problem
from raytune_hpo.service.records import dumped, fact_record, study_resource, trial_line, trial_resource
from raytune_hpo.service.state import Service
from raytune_hpo.service.tokens import Token
from raytune_hpo.trial import Trial

_T = TypeVar("_T")
CSV = "text/csv; charset=utf-8"


async def root(call: Call) -> Answer:
    """The package's version, and the path of the OpenAPI document."""
    return Answer(body={"name": "raytune-hpo", "version": __version__, "api": "v1", "openapi": "/v1/openapi.json"})


async def me(call: Call) -> Answer:
    return Answer(body=call.token.record())


async def studies(call: Call) -> Answer:
    query: shapes.StudiesQuery = call.query
    rows = await asyncio.to_thread(call.service.studies.storage.studies)
    lines: list[dict[str, Any]] = []
    for row in rows:
        if query.q.lower() not in row.name.lower() or call.token.study not in (None, row.name):
            continue
        lines.append(await _line(call, row.name, row.num_facts))
    lines = [line for line in lines if query.state in (None, line["state"])]
    if query.sort == "name":
        lines.sort(key=lambda line: str(line["name"]))
    elif query.sort == "trials":
        lines.sort(key=lambda line: -(line["num_trials"] or 0))
    begin = _offset(query.cursor)
    more = len(lines) > begin + query.limit
    seq = sum(row.num_facts for row in rows)
    return Answer(
        body={
            "items": lines[begin : begin + query.limit],
            "next": str(begin + query.limit) if more else None,
            "seq": seq,
        }
    )


def _offset(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 9:
        raise bad_cursor(cursor)
    return int(cursor)


async def _line(call: Call, name: str, num_facts: int) -> dict[str, Any]:
    """A study in the list; one that is still being read, or cannot be, has fewer fields."""
    unread = {"name": name, "state": "reading", "num_trials": None, "counts": None, "best": None, "seq": num_facts}
    try:
        return await call.service.read(name, lambda fold: call.service.line(fold))
    except (StillReading, StudyNotFound):
        return unread
    except JournalCorrupt as error:
        return {**unread, "state": "unreadable", "detail": str(error)}


async def _versioned(call: Call, function: Callable[[Fold], _T], form: str) -> tuple[str, _T | None]:
    """The study's ETag, and the result of a function of its fold; None if the client has this version already."""
    known = known_tags(call.request)

    def read(fold: Fold) -> tuple[str, _T | None]:
        tag = tag_of(fold, form)
        return tag, None if tag in known else function(fold)

    return await call.service.read(call.study, read)


def known_tags(request: Request) -> set[str]:
    """The ETags of what the client has, as they were sent: proxies that compress answers turn them into weak ones."""
    return {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}


def tag_of(fold: Fold, form: str = "") -> str:
    """The ETag of a study as it is now: its name, when it was made, and its number of facts.

    A study that was deleted may have a successor of its name. The name is quoted, as a header holds neither commas nor all
    letters.

    Args:
        form: the form of the answer, where one address has several.
    """
    return f'"{quote(fold.name, safe="")}.{fold.created_at * 1000:.0f}.{fold.seq}{form}"'


async def of_study(call: Call, function: Callable[[Fold], Any], form: str = "") -> Answer:
    """The answer to a GET: the result of a function of the study's fold, or 304."""
    tag, body = await _versioned(call, function, form)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    return Answer(status=304, headers=headers) if body is None else Answer(body=body, headers=headers)


async def study(call: Call) -> Answer:
    service = call.service
    return await of_study(call, lambda fold: study_resource(fold, service.studies.kind(fold), service.now(fold)))


async def trials(call: Call) -> Answer | Response:
    query: shapes.TrialsQuery = call.query
    listing = Listing(status=query.status, where=query.where, sort=query.sort)
    accept = call.request.headers.get("accept", "")
    form = ".csv" if "text/csv" in accept else ".ndjson" if "application/x-ndjson" in accept else ""

    def read(fold: Fold) -> Any:
        page = page_of(fold, listing, query.limit, query.cursor)
        if form == ".csv":
            return csv_of(page.trials, has_constraints=bool(fold.ledger.spec.constraints)), page.next
        lines = [trial_line(trial) for trial in page.trials]
        if form == ".ndjson":
            return "".join(f"{dumped(line)}\n" for line in lines), page.next
        return {"items": lines, "next": page.next, "seq": page.seq}

    answer = await of_study(call, read, form)
    if isinstance(answer.body, tuple):
        text, cursor = answer.body
        headers = dict(answer.headers)
        if cursor is not None:  # text has no place for it
            headers["Link"] = f'<?{urlencode({**call.request.query_params, "cursor": cursor})}>; rel="next"'
        return Response(text, 200, headers, CSV if form == ".csv" else "application/x-ndjson")
    return answer


def csv_of(trials: Sequence[Trial], *, has_constraints: bool) -> str:
    """Trials as CSV; text that a spreadsheet would run as a formula is escaped."""
    names = list(dict.fromkeys(m for t in trials for m in t.metrics))
    parameters = list(dict.fromkeys(p for t in trials for p in _flat(t)))
    out = io.StringIO()
    writer = csv.writer(out)
    columns = [*(f"config/{p}" for p in parameters), *(f"metrics/{m}" for m in names), "duration_s", "worker", "error"]
    writer.writerow(["number", "status", *columns, *(["feasible"] if has_constraints else [])])
    for t in trials:
        config = _flat(t)
        cells = [*(config.get(p) for p in parameters), *(t.metrics.get(m) for m in names)]
        row = [t.number, t.status.value, *cells, t.duration_s, t.worker, t.reason]
        row += [feasibility(t)] if has_constraints else []
        writer.writerow([csv_cell(cell) for cell in row])
    return writable(out.getvalue())


def _flat(trial: Trial) -> dict[str, Any]:
    return dict(flattened(trial.config))


async def trial(call: Call) -> Answer:
    number = call.number
    facts = await asyncio.to_thread(call.service.studies.storage.trial_facts, call.study, number)
    return await of_study(call, lambda fold: trial_resource(existing(fold, number), facts))


def existing(fold: Fold, number: int) -> Trial:
    """A trial of the study.

    Raises:
        Problem: there is none of this number.
    """
    trials = fold.ledger.trials
    if number >= len(trials):
        raise Problem(
            "not-found", f"study {fold.name!r} has {counted(len(trials), 'trial')}, numbered from 0; got {number}"
        )
    return trials[number]


async def reports(call: Call) -> Answer:
    number, query = call.number, call.query
    begin = _offset(query.cursor)

    def read(fold: Fold) -> Any:
        found = existing(fold, number).reports
        rows = [
            {"step": r.step, "at": r.at, "metrics": plain(r.metrics), "verdict": r.verdict.value}
            for r in islice(found, begin, begin + query.limit)
        ]
        more = len(found) > begin + query.limit
        return {"items": rows, "next": str(begin + query.limit) if more else None, "seq": fold.seq}

    return await of_study(call, read)


async def queue(call: Call) -> Answer:
    def read(fold: Fold) -> Any:
        items = [{"position": i, "config": plain(e.config)} for i, e in fold.ledger.enqueued.items()]
        return {"items": items, "next": None, "seq": fold.seq}

    return await of_study(call, read)


async def facts(call: Call) -> Answer:
    start, limit = call.query.start, call.query.limit
    storage = call.service.studies.storage

    def read() -> list[dict[str, Any]]:
        found = islice(storage.read(call.study, start), limit)
        return [fact_record(position, fact) for position, fact in enumerate(found, start)]

    items = await asyncio.to_thread(read)
    return Answer(body={"items": items, "next": start + limit if len(items) == limit else None})


async def events(call: Call) -> Response:
    return await stream(call)


async def parts(call: Call) -> Answer:
    """The installed samplers or schedulers, with their options."""
    role = str(call.request.url.path).rstrip("/").rpartition("/")[2].removesuffix("s")
    items = await asyncio.to_thread(lambda: [_part(role, name) for name in registry.installed(role)])
    return Answer(body={"items": items, "next": None})


def _part(role: str, name: str) -> dict[str, Any]:
    cls = registry.load(role, name)
    options = registry.current_options(role, name, {})
    text = (cls.__doc__ or "").strip().splitlines()
    return {"name": name, "summary": text[0] if text else "", "options": json.loads(json.dumps(plain(options)))}


async def workers(call: Call) -> Answer:
    return Answer(body={"items": await worker_records(call.service, call.token), "next": None})


async def worker_records(service: Service, token: Token) -> list[dict[str, Any]]:
    """Workers over HTTP, with their leases, trials and quarantine, as far as a token may see them."""
    seen = [workers for workers in service.studies.all_workers() if token.study in (None, workers.spec.name)]
    return [record for workers in seen for record in await workers.records()]


def viewed(path: str, name: str, summary: str, handler: Any, **more: Any) -> Endpoint:
    """An endpoint that every token may read."""
    return Endpoint(method="GET", path=path, role="viewer", name=name, summary=summary, handler=handler, **more)


ENDPOINTS = (
    viewed("/", "root", "Versions and links", root),
    viewed("/me", "me", "Who the token is", me),
    viewed("/studies", "list_studies", "The studies", studies, query=shapes.StudiesQuery),
    viewed("/studies/{study}", "get_study", "A study: spec, state, counts, best", study),
    viewed(
        "/studies/{study}/trials", "list_trials", "Trials, also as CSV and NDJSON", trials, query=shapes.TrialsQuery
    ),
    viewed("/studies/{study}/trials/{number}", "get_trial", "A trial in full", trial),
    viewed(
        "/studies/{study}/trials/{number}/reports", "list_reports", "A trial's reports", reports, query=shapes.PageQuery
    ),
    viewed("/studies/{study}/queue", "list_queue", "Configurations that wait to be tried", queue),
    viewed(
        "/studies/{study}/events",
        "follow_study",
        "What happens, as server-sent events",
        events,
        query=shapes.EventsQuery,
        errors=["too-many-streams"],
        media="text/event-stream",
    ),
    viewed("/studies/{study}/facts", "list_facts", "The study's facts", facts, query=shapes.FactsQuery),
    viewed("/samplers", "list_samplers", "The samplers", parts),
    viewed("/schedulers", "list_schedulers", "The schedulers", parts),
    viewed("/workers", "list_workers", "Workers over HTTP, and their leases", workers),
)
