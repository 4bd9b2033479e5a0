"""Reading of request bodies, JSON and forms, strictly and within limits of size and time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from raytune_hpo.service.problems import Problem

MAX_BODY = 1 << 20  # bytes
MAX_WORKER_BODY = 8 << 20
MAX_DEPTH = 32
MAX_DIGITS = 1_000  # of a whole number
READ_S = 30.0  # within which a body has arrived
FORM_S = 300.0  # the same with a file
MAX_FIELDS = 5_000


async def read_json(request: Request, limit: int = MAX_BODY) -> tuple[Any, bytes]:
    """The JSON document in a request's body, and the bytes; None for an empty body.

    Raises:
        Problem: see ``read_body``; or it is not strict JSON.
    """
    raw = await read_body(request, limit)
    return (parse(raw) if raw.strip() else None), raw


async def read_body(request: Request, limit: int) -> bytes:
    """A request's body.

    Raises:
        Problem: it is too large, comes too slowly, or is compressed.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Problem("bad-request", "bodies come uncompressed; leave Content-Encoding out")
    try:
        return await asyncio.wait_for(_read(request, limit), READ_S)
    except asyncio.TimeoutError:
        raise Problem("bad-request", f"a body arrives within {READ_S:.0f} s; send it in one go") from None
    except ClientDisconnect:
        raise Problem("bad-request", "the connection was closed before the body had arrived") from None


@asynccontextmanager
async def form_of(request: Request, limit: int) -> AsyncIterator[FormData]:
    """The data of a form, its files on disk; a context manager, which deletes them at its end.

    Raises:
        Problem: it is too large, comes too slowly, or is no form.
    """
    size = 0

    async def counted() -> Message:
        nonlocal size
        message = await request.receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise Problem("too-large", f"a form here has at most {limit:,} bytes; send less")
        return message

    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("multipart/form-data", "application/x-www-form-urlencoded"):
        raise Problem("bad-request", f"a form comes as multipart/form-data, got {kind[:60]!r}")
    counting = Request(request.scope, counted)
    try:
        form = await asyncio.wait_for(counting.form(max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_BODY), FORM_S)
    except asyncio.TimeoutError:
        raise Problem("bad-request", f"a form arrives within {FORM_S:.0f} s; send it in one go") from None
    except ClientDisconnect:
        raise Problem("bad-request", "the connection was closed before the form had arrived") from None
    except HTTPException as error:
        raise Problem("bad-request", f"the form cannot be read: {error.detail}") from None
    try:
        yield form
    finally:
        await form.close()


async def _read(request: Request, limit: int) -> bytes:
    """The body, counted while it arrives: a length may be wrong, or missing."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise Problem("too-large", f"a body here has at most {limit:,} bytes; send less at a time")
        parts.append(part)
    return b"".join(parts)


def parse(raw: bytes) -> Any:
    """Strict JSON: UTF-8, no NaN, no key twice, not nested too deeply.

    Raises:
        Problem: it is not.
    """
    try:
        value = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_without_doubles, parse_constant=_refuse_constant, parse_int=_whole
        )
    except RecursionError:
        raise _too_deep() from None
    except (ValueError, UnicodeDecodeError) as error:
        raise Problem("bad-request", f"the body must be strict JSON in UTF-8: {error}") from None
    if _depth(value) > MAX_DEPTH:
        raise _too_deep()
    return value


def _too_deep() -> Problem:
    return Problem("bad-request", f"JSON here is nested at most {MAX_DEPTH} deep; flatten it")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"an object has each key once, got {max(names, key=names.count)!r} several times")
    return found


def _refuse_constant(word: str) -> Any:
    raise ValueError(f'{word} is not JSON; write {{"$float": "nan"}} where it is meant')


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:  # far more take Python long, or are refused with advice that means nothing to a client
        raise ValueError(f"a whole number here has at most {MAX_DIGITS} digits, got {len(digits):,}; write it as text")
    return int(digits)


def _depth(value: Any) -> int:
    """The depth of nesting, computed without recursion."""
    level, deepest = [value], 0
    while level:
        deepest += 1
        children: list[Any] = []
        for item in level:
            children += item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        level = [child for child in children if isinstance(child, (dict, list))]
    return deepest
