"""Codec of facts: versioned JSON, upcast when it is read; unknown kinds are refused.

JSON has no NaN or infinity, and databases refuse Python's extension that has them. They are written as
``{"$float": "nan"}``, and a dict that looks like that gets one more ``$`` before its key. Configurations arrive here packed
by their space, which handles everything else that JSON cannot hold.

Version 2 added trials that pause, save checkpoints and resume, and what they resume from; the number of a retried trial,
suspects, reasons, stops of single trials, the verdict ``complete`` and the versions of a session; it also restores dicts
that look like floats unchanged. Version 3 added facts from earlier studies, growing spaces, notes, configurations that
enter the queue at its head or leave it from its middle, and events of running systems: baselines, approvals, freezes and
drifts.
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
# Upcasts by the version they start from; a body of version v is passed through those of v, v+1, ...
_UPCASTS: dict[int, Callable[[str, dict[str, Any]], dict[str, Any]]] = {
    1: lambda kind, data: data,  # what version 2 added has a default
    2: lambda kind, data: data,  # so has what version 3 added
}
_LIKE_FLOAT = re.compile(r"\$+float")

Row = tuple[str, int, str]  # an encoded fact: kind, version and body


def to_row(fact: Fact) -> Row:
    """The fact as it is stored and sent.

    Raises:
        TypeError, ValueError: it holds a value that JSON cannot; a journal turns this into JournalError.
    """
    return type(fact).__name__, VERSION, encode(fact)


def encode(fact: Fact) -> str:
    """The body of a fact: its fields as compact JSON without defaults. The kind is stored separately."""
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
        # A callback for each object costs more than all the rest, so it is used only if there is something to revive.
        reader = _PLAIN if '$float"' not in body else _REVIVING if version > 1 else _REVIVING_FLOATS
        data: Any
        data, end = reader.raw_decode(body)
        if end != len(body):
            raise ValueError(f"it is followed by {body[end:][:50]!r}")
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
        raise JournalCorrupt(
            f"the journal holds a {kind} that cannot be read: {error}; body {body[:200]!r}; restore the study from a copy"
        ) from error


def _share(data: dict[str, Any]) -> None:
    """Intern the keys: the same few names occur in every trial, and sharing them saves a third of a trial's memory."""
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


def is_json(value: Any) -> bool:
    """Whether a fact that holds the value is read back with an equal one."""
    if isinstance(value, (str, int, float)) or value is None:
        return True
    if isinstance(value, list):
        return all(map(is_json, value))
    if not isinstance(value, (dict, Mapping)):
        return False
    return all(isinstance(key, str) for key in value) and all(map(is_json, value.values()))


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
