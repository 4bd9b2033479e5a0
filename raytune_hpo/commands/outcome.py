"""The outcome of a program's run: what was measured, and the numbers and JSON in its output and files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from raytune_hpo.commands.launching import Ran
from raytune_hpo.display.text import cut
from raytune_hpo.errors import ObjectiveError

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


class FileState(NamedTuple):
    """What changes whenever a file is written.

    Attributes:
        changed_ns: the time of its last change (ctime), since gzip and others copy that of modification from their input.
    """

    inode: int
    size: int
    modified_ns: int
    changed_ns: int


def file_state(path: Path) -> FileState | None:
    """The state of a file; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return FileState(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of one run, from which metrics are read: the measurements, and the folder with its files.

    Attributes:
        before: the states of files before the run, by their paths as written; one that still is in this state holds what
            another run has left there.
    """

    ran: Ran
    folder: Path
    before: Mapping[str, FileState | None] = field(default_factory=dict)

    def text(self, source: str) -> str:
        """The text of a source: "stdout", "stderr" or "file:PATH".

        Raises:
            ObjectiveError: there is no such file, or the run has not written it.
        """
        path = file_in(source)
        if path is None:
            return str(getattr(self.ran, source))
        return self.file(path).read_text(encoding="utf-8", errors="replace")

    def file(self, path: str) -> Path:
        """A file that the run has written.

        Raises:
            ObjectiveError: it has not.
        """
        found = self.folder / path
        if not found.is_file():
            raise ObjectiveError(f"the command makes the file {path!r}, by which it is measured; there is none")
        if path in self.before and file_state(found) == self.before[path]:
            raise ObjectiveError(
                f"the command makes the file {path!r}, by which it is measured, in each run; it did not write it in this "
                "run, so that it holds what another has left. A command that leaves an existing file alone needs a "
                "--prepare that removes it"
            )
        return found


def number_in(name: str, value: Any) -> float:
    """A number that a command wrote.

    Raises:
        ObjectiveError: it is something else, ``1,234`` and ``inf`` included.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = repr(value)
    if not isinstance(value, str) or NUMBER.fullmatch(value.strip()) is None:
        raise ObjectiveError(f"metric {name!r} is a finite number like 12.5 or 1e-3, got {cut(repr(value), 80)}")
    return float(value)


def json_in(name: str, text: str) -> Any:
    """The JSON document in an output: its last line that is valid JSON, or all of it.

    Raises:
        ObjectiveError: there is none.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    for candidate in (*lines[-1:], text, *(line for line in reversed(lines) if line.lstrip().startswith(("{", "[")))):
        try:
            return json.loads(candidate)
        except ValueError:
            continue  # the next one may be
    raise ObjectiveError(f"metric {name!r} is read from JSON, and the output has none; it ends with {end_of(text)}")


def file_in(source: str) -> str | None:
    """The path of a source that is a file."""
    return source.removeprefix("file:") if source.startswith("file:") else None


def end_of(text: str) -> str:
    """The end of an output, for a message."""
    return repr(text.rstrip()[-200:]) if text.strip() else "nothing"
