"""Shell programs as templates: finds the placeholders in which a quoted value is safe, and refuses those where it is not."""

from __future__ import annotations

import re
from typing import TypeAlias

from raytune_hpo.errors import SpecError

Pieces: TypeAlias = list[tuple[str, str | None]]  # text, and the name that follows it

_NAME = r"[A-Za-z_][A-Za-z0-9_./-]*"
_PLACE = re.compile(rf"\{{({_NAME})\}}")
_BRACES = re.compile(rf"\{{(\{{{_NAME}\}})\}}")
_COMPUTED = re.compile(r"<<(?!<)|\(\(|\$\[")  # a here-document, arithmetic: their contents are expanded once more
_QUOTES = ("'", '"', "$'")
_OPENINGS = ("$'", "$(", "${", "'", '"', "`", "(")
_CLOSINGS = {"$'": "'", "$(": ")", "${": "}", "(": ")"}


def variable_of(name: str) -> str:
    """The environment variable that has a parameter's value."""
    return f"HPO_{re.sub('[^A-Za-z0-9_]', '_', name)}"


def shell_pieces(text: str) -> Pieces:
    """Split a shell program at its placeholders ``{name}``; ``{{name}}`` is a literal ``{name}``, other braces the shell's.

    Raises:
        SpecError: a placeholder is where quoting would not protect a value.
    """
    pieces: Pieces = []
    plain, at = "", 0
    inside: list[str] = []  # what has been opened and not closed
    while at < len(text):
        if (braces := _BRACES.match(text, at)) is not None:
            plain, at = plain + braces[1], braces.end()
        elif (place := _PLACE.match(text, at)) is not None and not text[:at].endswith("$"):
            _check_place(text, at, place[1], inside[-1] if inside else "")
            pieces.append((plain, place[1]))
            plain, at = "", place.end()
        else:
            step = _step(text, at, inside)
            plain, at = plain + text[at : at + step], at + step
    if inside and inside[-1] in (*_QUOTES, "`"):
        raise SpecError(f"a quote of the command does not end: {text!r}")
    return [*pieces, (plain, None)]


def _step(text: str, at: int, inside: list[str]) -> int:
    """The length of the token at a position; ``inside`` is updated with what it opens or closes."""
    char, top = text[at], inside[-1] if inside else ""
    if top == "#":
        if char == "\n":
            inside.pop()
        return 1
    if char == "\\" and top != "'":
        return 2
    if top and char == _CLOSINGS.get(top, top):
        inside.pop()
        return 1
    if top in ("'", "$'", "`"):
        return 1
    if char == "#" and top != '"' and (at == 0 or text[at - 1] in " \t\n;|&("):
        inside.append("#")
        return 1
    opening = next((opening for opening in _OPENINGS if text.startswith(opening, at)), "")
    if top == '"' and opening in ("'", "(", "$'"):
        return 1  # these mean nothing there
    if opening:
        inside.append(opening)
    return max(1, len(opening))


def _check_place(text: str, at: int, name: str, top: str) -> None:
    way_out = f'write "${variable_of(name)}", or {{{{{name}}}}} if these are braces of the shell'
    if top in (*_QUOTES, "`", "${", "#"):
        raise SpecError(f"a value cannot be quoted after {top}, where {{{name}}} is; {way_out}")
    if _COMPUTED.search(text.replace("<<<", "")) or re.search(r"\w\[[^]\s]*$", text[:at]):
        raise SpecError(
            f"in arithmetic and here-documents a shell evaluates values, and {{{name}}} may be in one; {way_out}"
        )
    if "$(" in text and re.search(r"\bcase\b", text):
        raise SpecError(
            f"in a command with both case and $( the quotes cannot be told apart, so {{{name}}} has no safe place; {way_out}"
        )
