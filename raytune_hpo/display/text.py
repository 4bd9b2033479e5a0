"""Readable text for numbers, durations and values: short, and safe to put on one line."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from raytune_hpo.display.status import STATUSES

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_ELLIPSIS = "..."
# C0 and C1 controls, marks that change the direction of text, and lone surrogates, which cannot be printed.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_FLOAT_BITS = 1023  # size of the largest int that fits a float
MAX_BITS = 14_000  # size of the largest int that Python writes out: 4,300 digits


def number(value: float) -> str:
    """A number to six significant digits, of any size."""
    if isinstance(value, int) and value.bit_length() > _FLOAT_BITS:
        power = math.floor(math.log10(abs(value)))
        digits = abs(value) // 10 ** (power - 9)
        return f"{'-' if value < 0 else ''}{digits / 1e9:.6g}e+{power}"
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


def size(num_bytes: float) -> str:
    """A size in bytes, kB, MB ...: powers of 1,000, as disks are sold."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if num_bytes < 999.5 or unit == "TB":
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    raise AssertionError


def seconds_of(text: str) -> float:
    """Parse a duration such as 90, 10m, 1h30m, 1.5h or 10d, in seconds.

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
    if isinstance(value, float) or (isinstance(value, int) and value.bit_length() > _FLOAT_BITS):
        return number(value)
    text = value if isinstance(value, str) else repr(value)
    return visible(cut(" ".join(text.split()), width))


def cut(text: str, width: int) -> str:
    """The text, or its beginning and an ellipsis if it is longer than ``width``."""
    if len(text) <= width:
        return text
    return text[: max(0, width - len(_ELLIPSIS))] + _ELLIPSIS[:width]


def config_line(config: Mapping[str, Any], width: int = 400) -> str:
    """A configuration on one line."""
    return cut(visible(", ".join(f"{key}={short(value) or repr(value)}" for key, value in config.items())), width)


def counts_line(counts: Mapping[str, int]) -> str:
    """Counts by status, those that are not zero: ``80 completed, 5 failed``."""
    return ", ".join(f"{count} {STATUSES[status].word}" for status, count in counts.items() if count) or "no trials"


def unfinished_text(num: int) -> str:
    """A hint on where to find the reports of unfinished trials."""
    return f"{num} unfinished trial{' has' if num == 1 else 's have'} reports: results.best_so_far"


def first_line(text: str) -> str:
    """The first line of a text that is not blank."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def writable(text: str) -> str:
    """The text with lone surrogates, which stand for undecodable bytes of file names, as backslash escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def visible(text: str) -> str:
    """The text with control characters escaped, except for line ends and tabs.

    A terminal would obey them: a trial's output could clear the screen, change the title, or hide a line.
    """
    if text.isprintable():
        return text
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], *, indent: str = "  ") -> str:
    """A table as lines of text, with columns of numbers aligned to the right."""

    def is_number(value: Any) -> bool:
        if isinstance(value, (int, float)):
            return not isinstance(value, bool)
        return value is None or (isinstance(value, str) and not value)  # arrays compare cell by cell

    cells = [list(map(visible, header)), *[[short(value) for value in row] for row in rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [all(is_number(row[i]) for row in rows) for i in range(len(header))]
    lines = [
        "  ".join(cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True))
        for row in cells
    ]
    return "\n".join((indent + line).rstrip() for line in lines)
