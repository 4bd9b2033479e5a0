"""Readable text for numbers, durations and values: short, and safe to put on one line."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from raytune_hpo.display.status import STATUSES

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_ELLIPSIS = "..."
_CELL = 40  # characters of a value on one line
# C0 and C1 controls, marks that change the direction of text, and lone surrogates, which cannot be printed.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_FLOAT_BITS = 1023  # size of the largest int that fits a float
MAX_BITS = 14_000  # size of the largest int that Python writes out: 4,300 digits
_DIGITS, _MOST_DIGITS = 6, 16  # of a number; a 17th would show 0.1 + 0.2 as 0.30000000000000004


def number(value: float, digits: int = _DIGITS) -> str:
    """A number to six significant digits, or as many as asked for, of any size; a negative zero reads 0."""
    if isinstance(value, int) and value.bit_length() > _FLOAT_BITS:
        power = math.floor(math.log10(abs(value)))
        digits = abs(value) // 10 ** (power - 9)
        return f"{'-' if value < 0 else ''}{digits / 1e9:.6g}e+{power}"
    return f"{value + 0.0:.{digits}g}"


def numbers(values: Iterable[float]) -> list[str]:
    """Numbers to six significant digits; different ones that then read the same, to as many as tell them apart, up to 16."""
    values = list(values)
    alike: dict[str, set[float]] = {}
    for value in values:
        alike.setdefault(number(value), set()).add(value)
    digits = {text: _digits_apart(group) for text, group in alike.items()}
    return [number(value, digits[number(value)]) for value in values]


def _digits_apart(group: Collection[float]) -> int:
    """The fewest digits that tell different numbers apart as well as the most do."""
    if len(group) == 1:
        return _DIGITS
    told = {digits: len({number(value, digits) for value in group}) for digits in range(_DIGITS, _MOST_DIGITS + 1)}
    return next(digits for digits, num in told.items() if num == told[_MOST_DIGITS])


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


def short(value: Any, width: int = _CELL) -> str:
    """Any value on one line of at most ``width`` characters."""
    if isinstance(value, float) or (isinstance(value, int) and value.bit_length() > _FLOAT_BITS):
        return number(value)
    text = value if isinstance(value, str) else repr(value)
    return visible(cut(" ".join(text.split()), width))


def value_text(value: Any) -> str:
    """A value as text: a float to six significant digits, anything else as Python writes it."""
    return number(value) if isinstance(value, float) else str(value)


def cut(text: str, width: int) -> str:
    """The text, or its beginning and an ellipsis if it is longer than ``width``."""
    if len(text) <= width:
        return text
    return text[: max(0, width - len(_ELLIPSIS))] + _ELLIPSIS[:width]


def cut_apart(texts: Sequence[str], width: int) -> list[str]:
    """Different texts of at most ``width`` characters each, cut so that they still differ.

    They are cut at their ends or, if that leaves some alike, without the beginning that all share, or in their middles; what
    is alike even then is numbered.
    """
    shortest = min(map(len, texts), default=0)
    shared = next((i for i in range(shortest) if len({text[i] for text in texts}) > 1), max(0, shortest - 1))
    rests, tail = [text[shared:] for text in texts], max(1, (width - len(_ELLIPSIS)) // 2)
    mark = _ELLIPSIS if width >= 4 * len(_ELLIPSIS) else ""  # of few characters, each is needed
    middles = [t if len(t) <= width else cut(t[: len(t) - tail], width - tail) + t[-tail:] for t in texts]
    for shortened in ([cut(t, width) for t in texts], [cut(mark + rest, width) for rest in rests], middles):
        if len(set(shortened)) == len(texts):
            return shortened
    return [cut(f"{place}: {text}", max(width, len(str(place)))) for place, text in enumerate(texts, start=1)]


def config_line(config: Mapping[str, Any], width: int = 400) -> str:
    """A configuration on one line."""
    return cut(visible(", ".join(f"{key}={short(value) or repr(value)}" for key, value in config.items())), width)


def counted(num: int, noun: str) -> str:
    """A number of things, as English has it: ``1 trial``, ``1,200 trials``."""
    return f"{num:,} {noun}{'' if num == 1 else 's'}"


def counts_line(counts: Mapping[str, int]) -> str:
    """Counts by status, those that are not zero: ``80 completed, 5 failed``."""
    return ", ".join(f"{count:,} {STATUSES[status].word}" for status, count in counts.items() if count) or "no trials"


def reporting_text(num: int) -> str:
    """A hint on where to find the reports of trials without a result."""
    return (
        f"{num} trial{' without a result has' if num == 1 else 's without a result have'} reports: results.best_so_far"
    )


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


def terminal_columns(text: str) -> int:
    """How many columns of a terminal a text takes: wide characters take two, marks on other characters none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def column(values: Sequence[Any], width: int = _CELL) -> list[str]:
    """The cells of a column of a table, each on one line; its numbers have as many digits as tell them apart."""
    told = iter(numbers(value for value in values if isinstance(value, float)))
    return [next(told) if isinstance(value, float) else short(value, width) for value in values]


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], *, indent: str = "  ", room: int = 0) -> str:
    """A table as lines of text, with columns of numbers aligned to the right.

    Args:
        room: the columns of the terminal; the last column of the table may be as wide as the others leave it.
    """

    def is_number(value: Any) -> bool:
        if isinstance(value, (int, float)):
            return not isinstance(value, bool)
        return value is None or (isinstance(value, str) and not value)  # arrays compare cell by cell

    padded: list[list[str]] = []
    used = len(indent)
    for place, name in enumerate(header):
        values = [row[place] for row in rows]
        is_last = place == len(header) - 1
        cells = [visible(name), *(column(values, max(_CELL, room - used)) if is_last else column(values))]
        width = max(map(terminal_columns, cells))
        gaps = [" " * (width - terminal_columns(cell)) for cell in cells]
        is_right = all(map(is_number, values))
        padded.append([gap + cell if is_right else cell + gap for gap, cell in zip(gaps, cells, strict=True)])
        used += width + 2
    return "\n".join((indent + "  ".join(line)).rstrip() for line in zip(*padded, strict=True))
