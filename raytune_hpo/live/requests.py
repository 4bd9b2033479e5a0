"""Requests of people to a controller in another process: a file for each, taken in order and once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raytune_hpo.files import json_object, make_private, reading, write_whole
from raytune_hpo.live.messages import Adopt, Approve, Freeze, SetBaseline, Thaw

_KINDS: Mapping[str, type] = {kind.__name__: kind for kind in (Approve, Freeze, Thaw, SetBaseline, Adopt)}
Request = Approve | Freeze | Thaw | SetBaseline | Adopt


def leave(folder: Path, request: Request) -> None:
    """Leave a request for the controller."""
    body = {name: getattr(request, name) for name in request.__slots__}
    make_private(folder)
    name = f"{request.at:020.6f}-{type(request).__name__}.json"
    write_whole(folder / name, json.dumps({"kind": type(request).__name__, "body": body}), private=True)


def taken(folder: Path) -> list[Request]:
    """Take the requests that were left, in order, and delete them.

    Raises:
        SpecError: a file is not a request of ours; it is deleted, too.
    """
    found: list[Request] = []
    for path in sorted(folder.glob("[0-9]*.json")):
        try:
            with reading("a request is a JSON object with kind and body", path):
                data: dict[str, Any] = json_object(path)
                found.append(_KINDS[data["kind"]](**data["body"]))
        finally:
            path.unlink(missing_ok=True)
    return found
