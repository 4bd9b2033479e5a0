"""Reader of hyperparameter files: one configuration per line, or one range per line.

A list of configurations names its parameters in the first line::

    step_size  length
    5e-6       5
    1e-5       5

Ranges are given one to a line, and configurations are drawn from them (or all are tried, if every line is a list)::

    step_size = 1e-7 .. 1e-4 log
    length    = 2 .. 8              # two whole numbers: whole numbers, both ends included
    window    in [hann, none]
    passes    = 20                  # the same for all

Values are separated by spaces or commas; ``#`` starts a comment.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from raytune_hpo.errors import SpaceError, SpecError
from raytune_hpo.space import Choice, Float, Int, Ordinal, Space

_NAME = r"[^\W\d]\w*"
_IS_RANGE = re.compile(rf"({_NAME})\s*(=|in\b)\s*(.*)")
_INTERVAL = re.compile(r"(\S+?)\s*\.\.\s*(\S+)(?:\s+(log))?")
_LIST = re.compile(r"\[(.*)\]")
_WORDS = {"true": True, "false": False, "none": None}
_FORMS = "`name = low .. high`, `name = low .. high log`, `name in [a, b]` or `name = value`"


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The configurations to try, or the ranges to draw them from.

    Attributes:
        space: what configurations are drawn from; for a list of configurations, all values of each parameter.
        points: the configurations of a list, in order; empty where ranges are given.
        is_grid: every parameter is a list of values, so that all combinations can be tried.
    """

    space: Space
    points: tuple[Mapping[str, Any], ...] = ()
    is_grid: bool = False

    @staticmethod
    def of(given: Any) -> Parameters:
        """The parameters in a file, in a list of dicts, or in a space as ``hpo.tune`` takes it.

        Raises:
            SpecError, SpaceError: a line breaks a rule, or the file cannot be read.
        """
        if isinstance(given, Parameters):
            return given
        if isinstance(given, (str, os.PathLike)):
            try:
                text = Path(given).read_text(encoding="utf-8-sig")
            except FileNotFoundError:
                raise SpecError(f"there is no file of hyperparameters {str(given)!r}") from None
            except (OSError, UnicodeDecodeError) as error:
                raise SpecError(
                    f"a file of hyperparameters is a text file, {str(given)!r} cannot be read: {error}"
                ) from error
            return parse(text, str(given))
        if isinstance(given, Sequence) and all(isinstance(point, Mapping) for point in given):
            if not given:
                raise SpecError("a list of configurations has at least one, got an empty list")
            return _listed([dict(point) for point in given])
        space = Space.of(given)
        return Parameters(space=space, is_grid=all(isinstance(c.domain, (Choice, Ordinal)) for c in space.columns))


class _Line(NamedTuple):
    """A line that is not blank, with its number."""

    where: str
    text: str

    def error(self, rule: str) -> SpecError:
        return SpecError(f"{self.where}: {rule}, got {self.text!r}")


def parse(text: str, source: str = "parameters") -> Parameters:
    """Parse a text of hyperparameters; ``source`` names it in messages.

    Raises:
        SpecError: a line breaks a rule; the message names the line.
    """
    uncommented = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    lines = [_Line(f"{source}, line {number}", line) for number, line in enumerate(uncommented, 1) if line]
    if not lines:
        raise SpecError(f"{source} has no parameters: name them in the first line, then write a configuration per line")
    return _ranges(lines) if _IS_RANGE.fullmatch(lines[0].text) else _table(lines)


# ------------------------------------------------------------------------------------------------ configurations


def _table(lines: Sequence[_Line]) -> Parameters:
    """A list of configurations: the names in the first line, then one configuration per line."""
    header, *rows = lines
    names = _cells(header.text)
    if not all(re.fullmatch(_NAME, name) for name in names):
        raise header.error(f"the first line names the parameters, like `step_size length`, or gives a range: {_FORMS}")
    if len(set(names)) < len(names):
        raise header.error("each parameter is named once")
    if not rows:
        raise SpecError(f"{header.where}: only the names are there; write one configuration per line below them")
    points = []
    for line in rows:
        cells = _cells(line.text)
        if len(cells) != len(names):
            raise line.error(
                f"a configuration has {len(names)} values ({', '.join(names)}), this one {len(cells)}; "
                f"separate them by spaces, or by commas where a value has spaces"
            )
        points.append({name: _value(cell, line) for name, cell in zip(names, cells, strict=True)})
    return _listed(points)


def _cells(text: str) -> list[str]:
    """The values of a line, separated by commas where there are any, otherwise by spaces."""
    return [cell.strip() for cell in text.split(",")] if "," in text else text.split()


def _listed(points: Sequence[Mapping[str, Any]]) -> Parameters:
    """A list of configurations, all of which have the same parameters."""
    names = list(points[0])
    if odd := next((point for point in points if list(point) != names), None):
        raise SpecError(f"all configurations have the same parameters: {names}, one has {list(odd)}")
    space = Space({name: _options([point[name] for point in points]) for name in names})
    return Parameters(space=space, points=tuple(points))


def _options(values: Sequence[Any]) -> Choice | Ordinal:
    """The domain of a parameter's values; numbers are ordered, so that plots can show them on an axis."""
    different = list({(type(value), value): value for value in values}.values())
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in different):
        return Ordinal(sorted(different))
    return Choice(different)


# ------------------------------------------------------------------------------------------------ ranges


def _ranges(lines: Sequence[_Line]) -> Parameters:
    """A file of ranges: one parameter per line."""
    domains: dict[str, Any] = {}
    for line in lines:
        match = _IS_RANGE.fullmatch(line.text)
        if match is None:
            raise line.error(f"in a file of ranges every line is {_FORMS}")
        name, sign, rest = match.groups()
        if name in domains:
            raise line.error(f"each parameter has one line, {name!r} has two")
        domains[name] = _list(rest, line) if sign == "in" else _interval(rest, line)
    space = Space(domains)
    if not space.columns:
        raise SpecError(
            f"{lines[0].where}: with nothing but constants there is nothing to tune; give a range: {_FORMS}"
        )
    return Parameters(space=space, is_grid=not any(isinstance(d, (Int, Float)) for d in domains.values()))


def _list(text: str, line: _Line) -> Choice | Ordinal:
    """The domain of ``[a, b, c]``."""
    match = _LIST.fullmatch(text)
    values = [_value(cell, line) for cell in _cells(match[1])] if match else []
    if not values:
        raise line.error("a list of values is like `name in [0.1, 0.2, 0.3]`")
    if len({(type(value), value) for value in values}) < len(values):
        raise line.error("a list names each value once")
    return _options(values)


def _interval(text: str, line: _Line) -> Any:
    """The domain of ``low .. high`` or ``low .. high log``, or a single constant value."""
    match = _INTERVAL.fullmatch(text)
    if match is None:
        if not text or len(_cells(text)) > 1 or ".." in text:
            raise line.error(f"a line is {_FORMS}")
        return _value(text, line)
    low, high = _value(match[1], line), _value(match[2], line)
    numbers = [type(end) for end in (low, high)]
    if not set(numbers) <= {int, float}:
        raise line.error("the ends of a range are numbers, like `1e-4 .. 1e-1`")
    make: Callable[..., Any] = Int if numbers == [int, int] else Float
    try:
        return make(low, high, log=match[3] is not None)
    except SpaceError as error:
        raise SpecError(f"{line.where}: {error}") from error


def _value(text: str, line: _Line) -> Any:
    """The value of a cell: a number if it reads like one; true, false or none; otherwise the word itself."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for kind in (int, float):
        try:
            value: float = kind(text)
        except ValueError:  # no such number: perhaps a number of the other kind, or a word
            continue
        if not math.isfinite(value):
            raise line.error(f"a value is finite, {text!r} is not")
        return value
    if not text or re.search(r"[\[\]=]", text):
        raise line.error("a value is a number, true, false, none or a word")
    return text.strip("'\"")
