"""Docstrings say ``metric, mode: what to optimise``; here each of the names gets a line, with its own type and default."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ENTRY = re.compile(r"^(?P<indent> +)(?P<names>\w+(?:, \w+)+): (?P<text>.*(?:\n(?P=indent) +.*)*)$", re.MULTILINE)
_SECTIONS = re.compile(r"^(Args|Attributes):\n(?: +.*\n?|\n)+", re.MULTILINE)


class EachName(griffe.Extension):
    """Splits entries for several names, in the sections that list names."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Before anything is parsed, so that the parser finds every name in the signature."""
        if obj.docstring is not None:
            obj.docstring.value = _SECTIONS.sub(lambda section: _split(section[0]), obj.docstring.value)


def _split(section: str) -> str:
    return _ENTRY.sub(lambda entry: "\n".join(_entries(entry)), section)


def _entries(entry: re.Match[str]) -> list[str]:
    return [f"{entry['indent']}{name}: {entry['text']}" for name in entry["names"].split(", ")]
