"""Inputs as they are typed: files, lists, JSON lines, or how many seeds."""

from __future__ import annotations

import glob
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raytune_hpo.errors import SpecError, nearest
from raytune_hpo.options import is_real

_KEYS = ("name", "path", "size", "weight")


class Input(str):
    """An input that a command is measured on: its name, which a study keeps.

    Attributes:
        path: the value of ``{instance}``; by default the name.
        size: its size, in any unit; None if unknown.
        weight: its weight in means and sums.
    """

    path: str
    size: float | None
    weight: float

    def __new__(cls, name: str, path: str | None = None, size: float | None = None, weight: float = 1.0) -> Input:
        made = super().__new__(cls, name)
        made.path, made.size, made.weight = name if path is None else path, size, weight
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Input, (str(self), self.path, self.size, self.weight)


def read_inputs(texts: Sequence[str], cwd: str | os.PathLike[str] = ".") -> list[Input] | int:
    """Read inputs as they were typed: patterns of files (``data/*.txt``), ``@FILE`` with an input on each line (a path, or
    a JSON object of ``name``, ``path``, ``size`` and ``weight``), or a number of seeds.

    Raises:
        SpecError: no file matches a pattern, a list cannot be read, or a number is mixed with other inputs.
    """
    if len(texts) == 1 and texts[0].isdigit() and not os.path.exists(os.path.join(cwd, texts[0])):
        return int(texts[0])
    found: list[Input] = []
    for text in texts:
        found += _listed(Path(cwd, text[1:]), cwd) if text.startswith("@") else _matching(text, cwd)
    return found


def _matching(pattern: str, cwd: str | os.PathLike[str]) -> list[Input]:
    paths = sorted(glob.glob(pattern, root_dir=cwd, recursive=True))
    if not paths:
        raise SpecError(
            f"instances are files, @FILE with one on each line, or how many seeds; nothing matches {pattern!r}"
        )
    return [Input(path, path, _size(path, cwd)) for path in paths]


def _listed(file: Path, cwd: str | os.PathLike[str]) -> list[Input]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"the list of instances {str(file)!r} cannot be read: {error}") from None
    found = [_entry(line.strip(), f"{file}:{number}", cwd) for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise SpecError(f"the list of instances {str(file)!r} is empty")
    return found


def _entry(line: str, where: str, cwd: str | os.PathLike[str]) -> Input:
    if not line.startswith("{"):
        return Input(line, line, _size(line, cwd))
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise SpecError(f"{where} is not a JSON object: {error}") from None
    if unknown := [key for key in entry if key not in _KEYS]:
        raise SpecError(f"{where} has {unknown[0]!r}, which an instance does not have; {nearest(unknown[0], _KEYS)}")
    path = entry.get("path", entry.get("name"))
    size, weight = entry.get("size"), entry.get("weight", 1.0)
    is_sized = size is None or (is_real(size) and 0 <= size < math.inf)
    if not (isinstance(path, str) and is_sized and is_real(weight) and 0 < weight < math.inf):
        raise SpecError(
            f"{where} has a name, a path, or both, and if any, a size of at least 0 and a weight above 0, both finite, "
            f"got {line[:120]!r}"
        )
    return Input(str(entry.get("name", path)), path, _size(path, cwd) if size is None else float(size), float(weight))


def _size(path: str, cwd: str | os.PathLike[str]) -> float | None:
    """The size of a file in bytes; None if the input is not a file."""
    place = os.path.join(cwd, path)
    return float(os.path.getsize(place)) if os.path.isfile(place) else None
