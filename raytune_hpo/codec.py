"""Codec of facts: JSON with a version, upcast when it is read; unknown kinds are refused.

JSON has no NaN or infinity, and databases refuse Python's extension that has: they travel as ``{"$float": "nan"}``, and
a dict that looks like that travels with one more ``$`` before its key. Configurations come here packed by their space,
which carries everything else that JSON cannot.

Version 2 knows trials that pause, are saved and go on, and what they go on from; a retried trial's number, suspects,
reasons, stops of single trials, the verdict ``complete`` and the versions of a session; and it sends back dicts that look
like floats as they were. Version 3 knows what earlier studies say, spaces that grow by what was drawn, notes,
configurations that enter the queue at its head or leave it from its middle, and what happens to running systems: baselines,
approvals, freezes and drifts.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from operator import attrgetter
from typing import Any, get_args

from raytune_hpo.errors import JournalCorrupt
from raytune_hpo.facts import Fact, Status, TrialFact, Verdict

VERSION = 3
KINDS: dict[str, type] = {kind.__name__: kind for kind in get_args(Fact)}


def _fields_of(kind: type) -> tuple[tuple[str, ...], tuple[Any, ...], Callable[[Any], tuple[Any, ...]]]:
    """The names of a kind's fields, their defaults, and a function from a fact to their values."""
    found = {f.name: f.default if f.default_factory is MISSING else f.default_factory() for f in fields(kind)}
    return tuple(found), tuple(found.values()), attrgetter(*found)


_FIELDS = {kind: _fields_of(kind) for kind in KINDS.values()}
# Upcasts by the version they start from; a body of version v passes all of v, v+1, ... on its way in.
_UPCASTS: dict[int, Callable[[str, dict[str, Any]], dict[str, Any]]] = {
    1: lambda kind, data: data,  # what version 2 added has a default
    2: lambda kind, data: data,  # so has what version 3 added
}
_LIKE_FLOAT = re.compile(r"\$+float")

Row = tuple[str, int, str]  # a fact on its way: kind, version and body


def to_row(fact: Fact) -> Row:
    """The fact as it is stored and sent.

    Raises:
        TypeError, ValueError: it holds what JSON cannot; a journal turns that into JournalError.
    """
    return type(fact).__name__, VERSION, encode(fact)


def encode(fact: Fact) -> str:
    """The body of a fact: its fields as compact JSON, defaults left out. The kind travels beside it."""
    names, defaults, values = _FIELDS[type(fact)]
    body = {
        name: value
        for name, default, value in zip(names, defaults, values(fact), strict=True)
        if value is not default and value != default
    }
    try:
        text = _dumps(body)
    except (ValueError, TypeError):  # not finite, or not plain: rare, so the common case pays nothing
        return _dumps(to_jsonable(body))
    return text if '$float"' not in text else _dumps(to_jsonable(body))


def decode(kind: str, version: int, body: str) -> Fact:
    """The fact that ``encode`` wrote.

    Raises:
        JournalCorrupt: an unknown kind or version, or a body that is not of this kind.
    """
    if kind not in KINDS or not 1 <= version <= VERSION:
        raise JournalCorrupt(
            f"the journal holds a fact {kind!r} of version {version}, this release reads versions 1 to {VERSION} of "
            f"{', '.join(KINDS)}; read it with the release that wrote it"
        )
    try:
        # Calling back for each object would cost more than all the rest: only where there is something to revive.
        reader = _PLAIN if '$float"' not in body else _REVIVING if version > 1 else _REVIVING_FLOATS
        data: Any
        data, end = reader.raw_decode(body)
        if end != len(body):
            raise ValueError(f"more follows its end, {body[end:][:50]!r}")
        for step in range(version, VERSION):
            data = _UPCASTS[step](kind, data)
        _share(data)
        if "status" in data:
            data["status"] = Status(data["status"])
        if "verdict" in data:
            data["verdict"] = Verdict(data["verdict"])
        fact: Fact = KINDS[kind](**data)
        return fact
    except (ValueError, TypeError, AttributeError) as error:
        raise JournalCorrupt(f"the journal holds a {kind} that cannot be read: {error}; body {body[:200]!r}") from error


def _share(data: dict[str, Any]) -> None:
    """The same few names come with every trial: one string for all of them takes a third off a trial's memory."""
    for name in ("config", "metrics"):
        if values := data.get(name):
            data[name] = {sys.intern(key): value for key, value in values.items()}
    if worker := data.get("worker"):
        data["worker"] = sys.intern(worker)


def is_trial_fact(fact: Fact) -> bool:
    return isinstance(fact, get_args(TrialFact))


def to_jsonable(value: Any) -> Any:
    """The value in plain JSON types; ``decode`` undoes it.

    Raises:
        TypeError: a value of another type.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(float(value))}
    if isinstance(value, (list, tuple)):
        return [to_jsonable(v) for v in value]
    if isinstance(value, Mapping):
        plain = {key: to_jsonable(v) for key, v in value.items()}
        return {f"${key}": v for key, v in plain.items()} if _is_like_float(plain) else plain
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise TypeError(f"{type(value).__name__} cannot be written to the journal")


# One encoder for all: making one costs more than using it.
_dumps = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def _is_like_float(data: Mapping[Any, Any]) -> bool:
    if len(data) != 1:
        return False
    (key,) = data
    return isinstance(key, str) and _LIKE_FLOAT.fullmatch(key) is not None


def _revive(data: dict[str, Any]) -> Any:
    if data.keys() != {"$float"} and _is_like_float(data):
        return {key[1:]: value for key, value in data.items()}
    return _revive_float(data)


def _revive_float(data: dict[str, Any]) -> Any:
    return float(data["$float"]) if data.keys() == {"$float"} else data


_PLAIN = json.JSONDecoder()
_REVIVING = json.JSONDecoder(object_hook=_revive)
_REVIVING_FLOATS = json.JSONDecoder(object_hook=_revive_float)
