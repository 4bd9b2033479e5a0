"""Parameters as they are typed: ``jobs='fibonacci(1, 64)'``, ``rate='float(1e-3, 1, log)'``, ``codec='choice(a, b)'``."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from raytune_hpo.errors import SpaceError, SpecError, nearest
from raytune_hpo.space import Choice, Float, Int, Ordinal, cores, fibonacci, powers

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_CALL = re.compile(r"([A-Za-z_]\w*)\s*(?:\((.*)\))?", re.DOTALL)
_WHEN = re.compile(r"\s*([^:=]+?)\s*:\s*([^:=]+?)\s*=\s*(.+?)\s*", re.DOTALL)
_OPEN, _CLOSE = "([{", ")]}"


def parsed_space(texts: Sequence[str], when: Sequence[str] = ()) -> dict[str, Any]:
    """The space of parameters that were typed as ``NAME=DOMAIN``.

    Args:
        when: conditions like ``crf: codec=x264``: the parameter crf exists only where codec is x264, or one of several
            values with commas between them.

    Raises:
        SpecError: an argument breaks a rule; the message has the rule, the value, and the way out.
    """
    domains: dict[str, Any] = {}
    for text in texts:
        name, separator, domain = text.partition("=")
        name = name.strip()
        if not separator or not _NAME.fullmatch(name):
            raise SpecError(f"a parameter is NAME=DOMAIN, like jobs='int(1, 64)', got {text!r}")
        if name in domains:
            raise SpecError(f"each parameter is given once, got {name!r} twice")
        domains[name] = parsed_domain(domain)
    return _with_conditions(domains, when)


def parsed_domain(text: str) -> Any:
    """A domain as it is typed, or a constant.

    Arguments are Python literals; bare words are text.

    Raises:
        SpecError: an argument breaks a rule; the message has the rule, the value, and the way out.
    """
    text = text.strip()
    try:
        if text.startswith("["):
            return Ordinal(_literal_list(text))
        found = _CALL.fullmatch(text)
        if found is None or (found[2] is None and found[1] not in ("bool", "cores")):
            raise SpecError(f"a domain is one of {', '.join(_MAKERS)} with its arguments, or [1, 2, 4], got {text!r}")
        if found[1] not in _MAKERS:
            raise SpecError(f"there is no domain {found[1]!r}; {nearest(found[1], _MAKERS)}")
        positional, named = _arguments(found[2] or "")
        return _MAKERS[found[1]](*positional, **named)
    except (TypeError, SpaceError) as error:
        raise SpecError(f"the domain {text!r} cannot be made: {error}") from None


def _number(make: Callable[..., Any]) -> Callable[..., Any]:
    """A numeric domain's constructor that also takes the bare word ``log``."""

    def made(low: Any, high: Any, *words: Any, log: bool = False, step: Any = None) -> Any:
        for word in words:
            if word != "log" and step is not None:
                raise TypeError(f"after low and high come log and a step, got {word!r}")
            log, step = (True, step) if word == "log" else (log, word)
        return make(low, high, log=log, step=step)

    return made


_MAKERS: Mapping[str, Callable[..., Any]] = {
    "float": _number(Float),
    "int": _number(Int),
    "choice": lambda *options: Choice(options),
    "ordinal": lambda *options: Ordinal(options),
    "bool": lambda: Choice([False, True]),
    "fibonacci": fibonacci,
    "powers": powers,
    "cores": cores,
}


def _literal_list(text: str) -> list[Any]:
    if not text.endswith("]"):
        raise SpecError(f"a list of values ends with ], got {text!r}")
    return [_literal(part) for part in _cut_at_commas(text[1:-1])]


def _arguments(text: str) -> tuple[list[Any], dict[str, Any]]:
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for part in _cut_at_commas(text):
        name, separator, value = part.partition("=")
        if separator and name.strip() in ("log", "step"):
            named[name.strip()] = _literal(value)
        else:
            positional.append(_literal(part))
    return positional, named


def _literal(text: str) -> Any:
    """The value of a Python literal; anything else is text."""
    text = text.strip()
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        if text[:1] in ("'", '"', *_OPEN):
            raise SpecError(f"a value in quotes or brackets is a Python literal, got {text!r}") from None
        return text


def _cut_at_commas(text: str) -> list[str]:
    """Split at commas that are neither in quotes nor in brackets."""
    parts, depth, quote, begin, at = [], 0, "", 0, 0
    while at < len(text):
        char = text[at]
        if quote:
            at += char == "\\"
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in _OPEN or char in _CLOSE:
            depth += 1 if char in _OPEN else -1
        elif char == "," and depth == 0:
            parts.append(text[begin:at])
            begin = at + 1
        at += 1
    parts.append(text[begin:])
    if quote or depth:
        raise SpecError(f"quotes and brackets of a domain are closed, got {text!r}")
    return [part for part in parts if part.strip()] if len(parts) == 1 else parts


def _with_conditions(domains: dict[str, Any], when: Sequence[str]) -> dict[str, Any]:
    """The space, with conditional parameters nested below the values that they need."""
    below: dict[str, dict[Any, dict[str, Any]]] = {}
    moved = set()
    for text in when:
        found = _WHEN.fullmatch(text)
        if found is None:
            raise SpecError(f"a condition is PARAMETER: OTHER=VALUE, like 'crf: codec=x264', got {text!r}")
        name, other = found[1], found[2]
        for parameter in (name, other):
            if parameter not in domains:
                raise SpecError(f"the condition {text!r} names {parameter!r}; {nearest(parameter, domains)}")
        if not isinstance(domains[other], Choice) or name == other or name in moved or name in below or other in moved:
            raise SpecError(
                f"a condition looks at a choice that has no condition itself, and each parameter has one, got {text!r}"
            )
        moved.add(name)
        for value in map(_literal, _cut_at_commas(found[3])):
            if (problem := domains[other].problem(value)) is not None:
                raise SpecError(f"the condition {text!r} cannot hold: {other} {problem}")
            below.setdefault(other, {}).setdefault(value, {})[name] = domains[name]
    space = {name: domain for name, domain in domains.items() if name not in moved}
    for other, branches in below.items():
        options = domains[other].options
        space[other] = Choice([{other: option, **branches.get(option, {})} for option in options])
    return space


def as_point(space: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration for values by name: conditional parameters are nested below the values that they need."""
    point = dict(values)
    for name, domain in space.items():
        branches = [
            o for o in getattr(domain, "options", ()) if isinstance(o, Mapping) and o.get(name) == values.get(name)
        ]
        for branch in branches:
            below = {key: point.pop(key) for key in branch if key != name and key in point}
            point[name] = {name: values[name], **below}
    return point
