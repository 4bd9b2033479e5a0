"""A live study as a TOML file: parameters, goal, guards, baseline, and how to reach the running system."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raytune_hpo.errors import SpecError, nearest
from raytune_hpo.files import reading
from raytune_hpo.live.command_applier import CommandApplier
from raytune_hpo.live.file_applier import FileApplier
from raytune_hpo.live.http_applier import HttpApplier, PrometheusMeter
from raytune_hpo.live.pull_applier import PullApplier
from raytune_hpo.space import Choice, Float, Int, Ordinal

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_KINDS = {"float": Float, "int": Int}
_LISTED = {"choice": Choice, "ordinal": Ordinal}
_METERED = {"file": FileApplier, "http": HttpApplier}  # those that take a meter
APPLIERS = {"command": CommandApplier, **_METERED, "pull": PullApplier}
_RULE = "a live study is described by a TOML file"


def read_spec(path: Path) -> dict[str, Any]:
    """The keyword arguments of ``Live`` that a file gives.

    Raises:
        SpecError: it cannot be read, lacks an entry, or has one of another type; ``Live`` checks names and values.
    """
    with reading(_RULE, path):
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    for table in ("parameters", "baseline", "applier"):
        if not isinstance(data.get(table), Mapping):
            raise SpecError(f"{_RULE} with a table [{table}], {path} has none; see docs/live.md")
    if "goal" not in data:
        raise SpecError(f'{_RULE} with a goal like "min cost", {path} has none; see docs/live.md')
    for name in ("space", "tell"):
        if name in data:
            raise SpecError(f"{_RULE} without {name}, {path} has {name} = {data[name]!r}; see docs/live.md")
    for name in ("name", "seat", "storage"):
        if not isinstance(data.get(name, ""), str):
            raise SpecError(f"{_RULE} whose {name} is text, {path} has {name} = {data[name]!r}")
    parameters, told = data.pop("parameters"), data.pop("applier")
    data.setdefault("name", path.stem)
    space = {name: _domain(name, said) for name, said in parameters.items()}
    return {**data, "space": space, "applier": _applier(told)}


def _domain(name: str, said: Any) -> Any:
    """A domain like ``{int = [1, 64], log = true}`` or ``{choice = ["lz4", "zstd"]}``; anything else is a constant."""
    if not isinstance(said, Mapping):
        return said
    kinds = [kind for kind in (*_KINDS, *_LISTED) if kind in said]
    if len(kinds) != 1:
        raise SpecError(f"parameter {name!r} is one of {[*_KINDS, *_LISTED]}, like {{int = [1, 64]}}; got {dict(said)}")
    (kind,) = kinds
    if not isinstance(said[kind], list):
        raise SpecError(f"parameter {name!r} has a list after {kind}, like {{int = [1, 64]}}; got {dict(said)}")
    more = {key: value for key, value in said.items() if key != kind}
    if not isinstance(more.get("log", False), bool):
        raise SpecError(f"parameter {name!r} has log = true or false, got {dict(said)}")
    try:
        return _LISTED[kind](said[kind], **more) if kind in _LISTED else _KINDS[kind](*said[kind], **more)
    except TypeError as error:
        raise SpecError(f"parameter {name!r} cannot be made of {dict(said)}: {error}") from error


def _applier(said: Mapping[str, Any]) -> Any:
    options = dict(said)
    kind, prometheus = options.pop("kind", None), options.pop("prometheus", None)
    if kind not in APPLIERS:
        raise SpecError(f"[applier] has a kind, got {kind!r}; {nearest(str(kind), APPLIERS)}")
    if not isinstance(prometheus, (Mapping, type(None))):
        raise SpecError(f"[applier.prometheus] is a table with url and queries, got {prometheus!r}")
    if prometheus is not None and kind not in _METERED:
        raise SpecError(
            f"[applier.prometheus] measures for an applier of kind {' or '.join(_METERED)}, one of kind {kind} measures by "
            f"itself; leave the table out, or use another kind"
        )
    if kind in _METERED:
        options["meter"] = None if prometheus is None else _made(PrometheusMeter, prometheus)
    if kind == "file" and prometheus is None:
        raise SpecError(
            "an applier of kind file needs somebody who measures: [applier.prometheus] with url and queries"
        )
    return _made(APPLIERS[kind], options)


def _made(kind: Any, options: Mapping[str, Any]) -> Any:
    try:
        return kind(**options)
    except TypeError as error:
        raise SpecError(f"{kind.__name__} cannot be made of {sorted(options)}: {error}") from error
