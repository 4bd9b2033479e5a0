"""Reading of CSV files: a profile of each column, made in a separate process with limits.

The file is UTF-8 with one line of names. It is read once, row by row; the memory for a column does not grow with its length.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import resource
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

MAX_ROWS, MAX_COLUMNS, MAX_CELLS = 1_000_000, 2_000, 10_000_000
MAX_LEVELS = 200  # distinct values of a column that are counted
MAX_NAME = 200
SHOWN_ROWS = 20
SAMPLED_CELLS = 200_000  # cells of the first rows that are kept as a sample
MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?"))  # spellings of a missing number, in any case
_SEPARATORS = ",;\t|"
MAX_CPU_S = 60
_SPARE_BYTES, _TIMES = 256 << 20, 4  # of memory: what any file may take, and more by its size


class TableError(ValueError):
    """The file is not a table; the message has the number of the line, from 1."""


def read_table(path: Path) -> dict[str, Any]:
    """The profile of a CSV file, as JSON: separator, number of rows, columns, and the first rows.

    Raises:
        TableError: the file breaks a rule; the message has the rule, what came instead, and the line.
    """
    if path.stat().st_size == 0:
        raise TableError("the file is empty; a table has a line of names, and rows")
    try:
        with path.open("rb") as raw:
            begin = raw.read(65_536)
        separator = _separator_of(codecs.getincrementaldecoder("utf-8-sig")().decode(begin))
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _read(file, separator)
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1 if error.start < 65_536 else None
        where = "" if line is None else f", from line {line}"
        raise TableError(f"a table is UTF-8; this file is not{where}; save it as UTF-8") from None


def _separator_of(text: str) -> str:
    """The separator that is most frequent in the line of names."""
    names = text.partition("\n")[0]
    return max(_SEPARATORS, key=names.count)


def _read(file: io.TextIOBase, separator: str) -> dict[str, Any]:
    rows = _rows(file, separator)
    names = [name.strip() for name in next(rows, [])]
    _check_names(names)
    columns = [_Column(name) for name in names]
    most = max(SHOWN_ROWS, min(1_000, SAMPLED_CELLS // len(names)))
    num_rows = 0
    sample: list[list[str]] = []
    for row in rows:
        num_rows += 1
        if num_rows > MAX_ROWS or num_rows * len(names) > MAX_CELLS:
            raise TableError(
                f"a table has at most {MAX_ROWS:,} rows and {MAX_CELLS:,} cells; this one has more than "
                f"{num_rows - 1:,} rows of {len(names):,} cells; upload a part of it"
            )
        for column, cell in zip(columns, row, strict=True):
            column.take(cell)
        if len(sample) < most:
            sample.append(row)
    if num_rows == 0:
        raise TableError("a table has rows below its names; this one has none")
    return {
        "separator": separator,
        "num_rows": num_rows,
        "columns": [column.record() for column in columns],
        "rows": sample[:SHOWN_ROWS],
        "sample": sample,
    }


def _rows(file: io.TextIOBase, separator: str) -> Iterator[list[str]]:
    """The rows, all as long as the first; empty lines are skipped."""
    reader = csv.reader(file, delimiter=separator, strict=True)
    width = None
    try:
        for row in reader:
            if not row:
                continue
            width = len(row) if width is None else width
            if len(row) != width:
                raise TableError(
                    f"every row has as many cells as there are names, {width}; line {reader.line_num} has {len(row)}"
                )
            if any("\0" in cell for cell in row):
                raise TableError(f"a table is text; line {reader.line_num} holds the character NUL")
            yield row
    except csv.Error as error:
        raise TableError(f"line {reader.line_num} cannot be read: {error}") from None


def _check_names(names: Sequence[str]) -> None:
    if len(names) < 2:
        raise TableError(
            f"a table has at least two columns, one of them the target; this one has {len(names)}. Separators are "
            f"a comma, a semicolon, a tab or a bar"
        )
    if len(names) > MAX_COLUMNS:
        raise TableError(f"a table has at most {MAX_COLUMNS:,} columns; this one has {len(names):,}")
    if empty := [str(place) for place, name in enumerate(names, 1) if not name]:
        raise TableError(f"line 1 names every column; columns {', '.join(empty[:10])} have no name")
    if doubled := [name for name, n in Counter(names).items() if n > 1]:
        raise TableError(f"names of columns are unique; {doubled[0][:60]!r} occurs several times in line 1")
    if long := [name for name in names if len(name) > MAX_NAME]:
        raise TableError(f"the name of a column has at most {MAX_NAME} characters; {long[0][:40]!r}... has more")
    if all(_is_number(name) for name in names):
        raise TableError("line 1 holds the names of the columns; it holds numbers only. Put a line of names above them")


class _Column:
    """The statistics of a column while it is read."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_number = True
        self.num_missing = 0  # as text: empty; as a number: any of MISSING
        self.num_empty = 0
        self.levels: Counter[str] | None = Counter()

    def take(self, cell: str) -> None:
        if not cell:
            self.num_empty += 1
        if self.is_number and not _is_number(cell):
            self.is_number = _is_missing(cell)
            self.num_missing += 1
        if self.levels is not None:
            self.levels[cell] += 1
            if len(self.levels) > MAX_LEVELS:
                self.levels = None

    def record(self) -> dict[str, Any]:
        is_number = self.is_number and not (self.levels is not None and self._says_nothing())
        return {
            "name": self.name,
            "kind": "number" if is_number else "text",
            "missing": self.num_missing if is_number else self.num_empty,
            "levels": None if self.levels is None else dict(self.levels.most_common()),
        }

    def _says_nothing(self) -> bool:
        """Whether every cell is missing."""
        return all(map(_is_missing, self.levels or ()))


def _is_missing(text: str) -> bool:
    return text.strip().lower() in MISSING


def _is_number(text: str) -> bool:
    """Whether pandas reads a finite number from the text: ``float`` alone would also accept 1_000."""
    try:
        value = float(text)
    except ValueError:
        return False
    return "_" not in text and abs(value) < float("inf")


def main() -> None:
    """Print the profile of the file that is named on the command line, or the error, as one line of JSON."""
    path = Path(sys.argv[1])
    _limit(path.stat().st_size)
    try:
        answer: dict[str, Any] = {"table": read_table(path)}
    except TableError as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"error": "reading this table takes more memory than it may; upload a part of it"}
    json.dump(answer, sys.stdout)


def _limit(size: int) -> None:
    """Limit the process's memory, by the size of its file, and its CPU time, so that it ends even if its parent is gone."""
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_S, MAX_CPU_S))
    limit = _SPARE_BYTES + _TIMES * size
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard < 0 else min(limit, hard), hard))


if __name__ == "__main__":
    main()
