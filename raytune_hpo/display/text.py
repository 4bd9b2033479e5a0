"""Numbers, durations and values as people read them: short, and safe to put on one line."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from raytune_hpo.display.status import STATUSES

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_ELLIPSIS = "..."


def number(value: float) -> str:
    """A number to six significant digits."""
    return f"{value:.6g}"


def duration(seconds: float) -> str:
    """A duration in its two largest units: ``3h 12m``, ``45s``, ``12 ms``."""
    if not math.isfinite(seconds):
        return "unknown"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 10:
        return f"{seconds:.1f}s"
    rest, parts = round(seconds), []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def seconds_of(text: str) -> float:
    """The seconds of a duration as people write it: 90, 10m, 1h30m, 1.5h, 10d.

    Raises:
        ValueError: the text is not a duration.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    units = [unit for _, unit in parts]
    # "1h30" may mean minutes or seconds, so several numbers need a unit each.
    if not parts or "".join(map("".join, parts)) != text or (len(parts) > 1 and not all(units)):
        raise ValueError(f"a duration is a number of seconds, or like 10m or 1h30m, got {text!r}")
    return sum(float(number) * dict(_UNITS)[unit or "s"] for number, unit in parts)


def short(value: Any, width: int = 40) -> str:
    """Any value on one line of at most ``width`` characters."""
    if isinstance(value, float):
        return number(value)
    text = value if isinstance(value, str) else repr(value)
    return cut(" ".join(text.split()), width)


def cut(text: str, width: int) -> str:
    """The text, or its beginning and an ellipsis where it is longer than ``width``."""
    if len(text) <= width:
        return text
    return text[: max(0, width - len(_ELLIPSIS))] + _ELLIPSIS[:width]


def config_line(config: Mapping[str, Any], width: int = 400) -> str:
    """A configuration on one line."""
    return cut(", ".join(f"{key}={short(value) or repr(value)}" for key, value in config.items()), width)


def counts_line(counts: Mapping[str, int]) -> str:
    """Counts by status, those that are not zero: ``80 completed, 5 failed``."""
    return ", ".join(f"{count} {STATUSES[status].word}" for status, count in counts.items() if count) or "no trials"


def last_line(error: str | None) -> str:
    """The last line of a traceback, which says what was wrong."""
    lines = (error or "").strip().splitlines()
    return lines[-1] if lines else "no message"


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], *, indent: str = "  ") -> str:
    """A table as lines of text, with columns of numbers aligned to the right."""

    def is_number(value: Any) -> bool:
        return (
            value is None
            or (isinstance(value, str) and value == "")
            or (isinstance(value, (int, float)) and not isinstance(value, bool))
        )

    cells = [list(header), *[[short(value) for value in row] for row in rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [all(is_number(row[i]) for row in rows) for i in range(len(header))]
    lines = [
        "  ".join(cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True))
        for row in cells
    ]
    return "\n".join((indent + line).rstrip() for line in lines)
