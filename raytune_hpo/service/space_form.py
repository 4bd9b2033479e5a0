"""The JSON form of a space that people write: parameters by name; errors have a JSON pointer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from raytune_hpo.errors import SpaceError
from raytune_hpo.service.problems import Problem
from raytune_hpo.space import Choice, Float, Int, Ordinal, Space

MAX_VALUES = 1_000  # of one choice
_FIELDS = {
    "float": ({"low", "high"}, {"log", "step"}),
    "int": ({"low", "high"}, {"log", "step"}),
    "choice": ({"values"}, {"weights"}),
    "ordinal": ({"values"}, set()),
    "branch": ({"options"}, set()),
}


def space_of(form: Mapping[str, Any]) -> Space:
    """The space that the JSON describes.

    ``{"type": "float", "low": 1e-5, "high": 0.1, "log": true}``, ``int`` likewise, ``choice`` and ``ordinal`` with
    ``values``, ``branch`` with ``options`` by name, each a space of its own; an object without ``type`` is a group, and
    everything else is a constant. Of a branch a configuration has ``{"name": option, **its parameters}``.

    Raises:
        Problem: the JSON breaks a rule; the problem has the rule, what came instead, and where.
    """
    try:
        return Space(_group(form, "/space"))
    except SpaceError as error:
        raise Problem("invalid", str(error), errors=[("/space", str(error))]) from None


def _group(form: Mapping[str, Any], where: str) -> dict[str, Any]:
    return {name: _read(part, f"{where}/{name}") for name, part in form.items()}


def _read(part: Any, where: str) -> Any:
    if not isinstance(part, Mapping):
        return part
    if "type" not in part:
        return _group(part, where)
    kind = part["type"]
    if kind not in _FIELDS:
        raise _wrong(f"a parameter's type is one of {', '.join(_FIELDS)}, got {kind!r}", f"{where}/type")
    needed, optional = _FIELDS[kind]
    given = part.keys() - {"type"}
    if missing := needed - given:
        raise _wrong(f"a parameter of type {kind} needs {', '.join(sorted(needed))}; there is no {min(missing)}", where)
    if unknown := given - needed - optional:
        known = ", ".join(sorted(needed | optional))
        raise _wrong(f"a parameter of type {kind} takes {known}; got {min(unknown)!r}", f"{where}/{min(unknown)}")
    try:
        return _MAKERS[kind](part, where)
    except (SpaceError, TypeError) as error:
        raise _wrong(str(error), where) from None


def _listed(part: Mapping[str, Any], where: str) -> list[Any]:
    values = part["values"]
    if not isinstance(values, list) or not 1 <= len(values) <= MAX_VALUES:
        got = len(values) if isinstance(values, list) else type(values).__name__
        raise _wrong(f"values is a list of 1 to {MAX_VALUES:,} values, got {got}", f"{where}/values")
    return values


def _branch(part: Mapping[str, Any], where: str) -> Choice:
    options = part["options"]
    if not isinstance(options, Mapping) or not 1 <= len(options) <= MAX_VALUES:
        raise _wrong("options is an object of spaces by name", f"{where}/options")
    for name, option in options.items():
        if not isinstance(option, Mapping) or "name" in option:
            raise _wrong("an option is an object of parameters, none of them called name", f"{where}/options/{name}")
    return Choice([{"name": name, **_group(option, f"{where}/options/{name}")} for name, option in options.items()])


def _wrong(message: str, where: str) -> Problem:
    return Problem("invalid", f"{where}: {message}", errors=[(where, message)])


_MAKERS: Mapping[str, Callable[[Mapping[str, Any], str], Any]] = {
    "float": lambda p, where: Float(p["low"], p["high"], log=p.get("log", False), step=p.get("step")),
    "int": lambda p, where: Int(p["low"], p["high"], log=p.get("log", False), step=p.get("step")),
    "choice": lambda p, where: Choice(_listed(p, where), p.get("weights")),
    "ordinal": lambda p, where: Ordinal(_listed(p, where)),
    "branch": _branch,
}
