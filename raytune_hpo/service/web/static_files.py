"""Static files: ours, and plotly's own plotly.js; URLs include a version, so that browsers may cache them for ever."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

PLOTLY = "plotly.js"
_SCRIPT = "text/javascript; charset=utf-8"
_MEDIA: Mapping[str, str] = {"hpo.css": "text/css; charset=utf-8", "hpo.js": _SCRIPT}
_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}


async def static_file(request: Request) -> Response:
    """A file by its name."""
    name = request.path_params["name"]
    if name == PLOTLY and plotly_version() is not None:
        packed = await asyncio.to_thread(_plotly)
        return Response(packed, 200, {**_FOREVER, "Content-Encoding": "gzip"}, _SCRIPT)
    if name not in _MEDIA:
        return PlainTextResponse("there is no such file\n", 404)
    return Response(_own()[name], 200, _FOREVER, _MEDIA[name])


@cache
def _own() -> Mapping[str, bytes]:
    folder = files("raytune_hpo.service.web").joinpath("static")
    return {name: folder.joinpath(name).read_bytes() for name in _MEDIA}


@cache
def version() -> str:
    """A digest of our files."""
    return hashlib.sha256(b"".join(_own().values())).hexdigest()[:12]


@cache
def plotly_version() -> str | None:
    """The version of the installed plotly; None if it is not installed."""
    try:
        return version_of("plotly")
    except PackageNotFoundError:
        return None


@cache
def _plotly() -> bytes:
    """plotly.js, deflated to a third of its size."""
    from plotly.offline import get_plotlyjs

    return gzip.compress(get_plotlyjs().encode(), mtime=0)
