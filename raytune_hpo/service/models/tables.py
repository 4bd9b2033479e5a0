"""Tables: those bundled with scikit-learn, and uploaded ones, identified by a digest of their bytes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from raytune_hpo.core.optimizer import WallClock
from raytune_hpo.errors import HpoError
from raytune_hpo.files import json_object, make_private, write_whole

MAX_BYTES = 50 << 20  # of one file
QUOTA_BYTES = 2 << 30  # of all
READ_S = 30.0
ONE_HOT_LEVELS = 50  # distinct values of a text column; with more, it becomes codes: one-hot would fill the memory
SAMPLE = 1_000
BUNDLED = {  # by the loader's name in sklearn.datasets
    "iris": "three kinds of iris by four measures",
    "wine": "three growers of wine by thirteen measures",
    "breast_cancer": "tumours, benign or not, by thirty measures",
    "digits": "ten digits as 64 grey values",
    "diabetes": "the progress of diabetes, a number, by ten measures",
}
BUNDLED_PREFIX = "bundled:"
_TELLING = 0.99  # share of rows whose target a column gives away


class NoRoom(HpoError):
    """The uploaded tables together would exceed their quota, or their folder cannot be written."""


class NotATable(HpoError):
    """The file cannot be read as a table."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        kind: "number" or "text".
        missing: the number of rows without a value.
        levels: the count of each distinct value, unless there are too many.
    """

    name: str
    kind: str
    missing: int
    levels: Mapping[str, int] | None


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table and the profile of its columns.

    Attributes:
        id: "bundled:iris", or a digest of the bytes.
        title: the name of its file, as uploaded.
        rows: the first rows as text; ``sample``: more of them, for the remarks on columns.
        path: the file; None for a bundled table.
    """

    id: str
    title: str
    separator: str
    num_rows: int
    num_bytes: int
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    sample: tuple[tuple[str, ...], ...]
    created_at: float = 0.0
    path: Path | None = None

    @property
    def is_bundled(self) -> bool:
        return self.path is None

    def column(self, name: str) -> Column | None:
        """The column of this name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    def line(self) -> dict[str, Any]:
        """As it stands in a list."""
        return {
            "id": self.id,
            "name": self.title,
            "num_rows": self.num_rows,
            "num_columns": len(self.columns),
            "bytes": self.num_bytes,
            "created_at": self.created_at,
        }

    def record(self) -> dict[str, Any]:
        """As JSON, with remarks on its columns."""
        return {
            **self.line(),
            "separator": self.separator,
            "columns": [
                {
                    "name": c.name,
                    "type": c.kind,
                    "missing": c.missing,
                    "distinct": None if c.levels is None else len(c.levels),
                }
                for c in self.columns
            ],
            "warnings": [{"column": name, "message": text} for name, text in remarks(self).items()],
            "rows": self.rows,
        }


def remarks(table: Table, target: str | None = None) -> dict[str, str]:
    """Remarks on columns, by name: identifiers, many distinct values, missing values, and target leakage."""
    said: dict[str, str] = {}
    samples = dict(zip((c.name for c in table.columns), zip(*table.sample, strict=True), strict=True))
    for column in table.columns:
        if column.name == target:
            continue
        values = samples[column.name]
        told = _told(values, samples[target]) if target is not None and target in samples else 0.0
        if is_like_identifier(column, values):
            said[column.name] = "Different in every row: an identifier, not a feature."
        elif told >= _TELLING:
            said[column.name] = (
                f"On its own it gives {target} away in {told:.1%} of rows. Is it known before {target} is?"
            )
        elif column.kind == "text" and (column.levels is None or len(column.levels) > ONE_HOT_LEVELS):
            n = "many" if column.levels is None else f"{len(column.levels):,}"
            said[column.name] = f"More than {ONE_HOT_LEVELS} values: codes instead of {n} columns."
        elif column.missing and column.kind == "number":
            said[column.name] = f"{column.missing:,} missing become the median."
    return said


def is_like_identifier(column: Column, values: Sequence[str]) -> bool:
    """Whether a column looks like an identifier: text or whole numbers, no two of them the same."""
    if column.levels is not None or len(set(values)) < len(values):
        return False
    return column.kind == "text" or all(value.strip().isdigit() for value in values)


def _told(values: Sequence[str], targets: Sequence[str]) -> float:
    """The share of rows whose target is the most frequent one for their value; 0 if values or targets hardly repeat."""
    counts: dict[str, dict[str, int]] = {}
    for value, answer in zip(values, targets, strict=True):
        of_value = counts.setdefault(value, {})
        of_value[answer] = of_value.get(answer, 0) + 1
    num_answers = len(set(targets))
    if not 1 < num_answers <= len(targets) / 4 or len(counts) > len(values) / 4:
        return 0.0
    usual = max(list(targets).count(answer) for answer in set(targets)) / len(targets)
    told = sum(max(of_value.values()) for of_value in counts.values()) / len(values)
    return told if usual < _TELLING else 0.0


# ------------------------------------------------------------------------------------------------ those that are there


class Tables:
    """The tables of a service: bundled ones, and those that were uploaded into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._clock = folder, WallClock()

    def prepare(self) -> None:
        """Create the folder, unless it is there.

        Raises:
            HpoError: it cannot be created, or written.
        """
        make_private(self._folder)
        try:
            with TemporaryFile(dir=self._folder):
                pass
        except OSError as error:
            raise HpoError(
                f"the service keeps uploaded tables in {self._folder}, which cannot be written: "
                f"{error.strerror or error}; name another --data"
            ) from error

    def find(self, key: str) -> Table | None:
        """The table of this id."""
        if key.startswith(BUNDLED_PREFIX):
            name = key.removeprefix(BUNDLED_PREFIX)
            return bundled(name) if name in BUNDLED else None
        if not (key.isascii() and key.isalnum()):
            return None
        path = self._folder / f"{key}.json"
        return _read_record(json_object(path), path.with_suffix(".csv")) if path.is_file() else None

    def uploaded(self) -> list[Table]:
        """Those that were uploaded, the newest first."""
        found = [table for path in self._folder.glob("*.json") if (table := self.find(path.stem)) is not None]
        return sorted(found, key=lambda table: -table.created_at)

    async def add(self, file: BinaryIO, title: str) -> Table:
        """Store an uploaded file as a table.

        Raises:
            NoRoom: it would exceed the quota, or the folder cannot be written. NotATable: it cannot be read as a table.
        """
        draft = await asyncio.to_thread(self._draft, file)
        try:
            key = await asyncio.to_thread(_digest, draft)
            known = self.find(key)
            if known is not None:
                return known
            found = await _in_child(draft)
            size = draft.stat().st_size
            record = {"title": title, "num_bytes": size, "created_at": self._clock.now(), **found}
            os.replace(draft, self._folder / f"{key}.csv")
            write_whole(self._folder / f"{key}.json", json.dumps({"id": key, **record}))
        finally:
            draft.unlink(missing_ok=True)
        added = self.find(key)
        assert added is not None
        return added

    def delete(self, key: str) -> bool:
        """Delete an uploaded table, and return whether there was one."""
        table = None if key.startswith(BUNDLED_PREFIX) else self.find(key)
        if table is None:
            return False
        for suffix in ("json", "csv"):
            (self._folder / f"{key}.{suffix}").unlink(missing_ok=True)
        return True

    def _draft(self, file: BinaryIO) -> Path:
        """Write the file's bytes into the folder, under a temporary name.

        Raises:
            NoRoom: see ``add``.
        """
        kept = sum(path.stat().st_size for path in self._folder.glob("*.csv"))
        size = file.seek(0, os.SEEK_END)
        if kept + size > QUOTA_BYTES:
            raise NoRoom(
                f"the tables here may take {QUOTA_BYTES >> 30} GiB together, and take {kept / 2**30:.2f}; delete some"
            )
        file.seek(0)
        draft = self._folder / f".{secrets.token_hex(8)}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                while part := file.read(1 << 20):
                    out.write(part)
        except OSError as error:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise NoRoom(
                f"the service has no place for the table: {error.strerror or error}; see its --data"
            ) from error
        return draft


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()[:32]


def _read_record(record: Mapping[str, Any], path: Path) -> Table:
    columns = tuple(Column(**column) for column in record["columns"])
    rows, sample = (tuple(map(tuple, record[name])) for name in ("rows", "sample"))
    return Table(**{**record, "columns": columns, "rows": rows, "sample": sample, "path": path})


async def _in_child(path: Path) -> dict[str, Any]:
    """The profile of a file, made in a child process with limits of time and memory."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "raytune_hpo.service.models.table_reading",
        str(path),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        said, _ = await asyncio.wait_for(child.communicate(), READ_S)
    except asyncio.TimeoutError:
        raise NotATable(f"reading this table took longer than {READ_S:.0f} s; upload a part of it") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        raise NotATable("reading this table took more memory than it may; upload a part of it")
    answer = json.loads(said)
    if "error" in answer:
        raise NotATable(answer["error"])
    found: dict[str, Any] = answer["table"]
    return found


# ------------------------------------------------------------------------------------------------ those that are bundled


@cache
def bundled(name: str) -> Table:
    """A table bundled with scikit-learn, with the same profile as an uploaded one."""
    frame = bundled_frame(name)
    texts = frame.astype(str)
    columns = []
    for column in frame.columns:
        counts = texts[column].value_counts()
        levels = dict(counts.items()) if len(counts) <= ONE_HOT_LEVELS else None
        columns.append(Column(name=column, kind="number", missing=0, levels=levels))
    sample = tuple(tuple(row) for row in texts.head(SAMPLE).itertuples(index=False))
    return Table(
        id=f"{BUNDLED_PREFIX}{name}",
        title=name,
        separator=",",
        num_rows=len(frame),
        num_bytes=0,
        columns=tuple(columns),
        rows=sample[:20],
        sample=sample,
    )


def bundled_frame(name: str) -> Any:
    """The data frame of a bundled table."""
    import sklearn.datasets

    return getattr(sklearn.datasets, f"load_{name}")(as_frame=True).frame


def catalogue() -> list[dict[str, str]]:
    """The bundled tables, for a list."""
    return [{"id": f"{BUNDLED_PREFIX}{name}", "name": name, "about": about} for name, about in BUNDLED.items()]
