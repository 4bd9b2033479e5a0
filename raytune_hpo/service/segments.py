"""Names in paths: a parameter of a route is a whole segment of the path as it was sent, whatever characters the name has."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

_SLASH = "\udc2f"  # stands for a slash within a segment; it is half a character, so that no decoded path contains it
_SENT_SLASH = re.compile(rb"%2f", re.IGNORECASE)


class Segment(Convertor[str]):
    """A name as one segment of a path."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        return value.replace(_SLASH, "/")

    def to_string(self, value: str) -> str:
        return quote(value, safe="")


register_url_convertor("segment", Segment())


def with_segments(path: str) -> str:
    """A route's path whose parameters without a convertor are segments."""
    return re.sub(r"\{(\w+)\}", r"{\1:segment}", path)


def path_of(request: Request) -> str:
    """The path of a request, decoded but for the slashes within its segments."""
    return request.url.path.replace(_SLASH, "%2F")


class WholeSegments:
    """Keeps a slash that was sent as ``%2F`` within its segment: servers decode paths before routes look at them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent: bytes = scope.get("raw_path") or b""
        if _SENT_SLASH.search(sent):
            parts = _SENT_SLASH.split(sent)
            scope = {**scope, "path": _SLASH.join(unquote(part.decode("latin-1")) for part in parts)}
        await self._app(scope, receive, send)
