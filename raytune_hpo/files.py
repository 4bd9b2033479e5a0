"""Reading and writing of files: writes are atomic, and errors about unexpected content name the file."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from raytune_hpo.display.text import cut
from raytune_hpo.errors import HpoError, SpecError

_MOST_TOLD = 200  # characters of what was wrong


@contextmanager
def reading(rule: str, path: str | Path, way_out: str = "", *, error: type[HpoError] = SpecError) -> Iterator[None]:
    """Context for reading a file that may be malformed: exceptions become an error that names the file.

    Args:
        rule: what such a file must be, as in "settings are YAML or JSON".

    Raises:
        error: in place of the original exception; errors of this package pass through.
    """
    try:
        yield
    except HpoError:
        raise
    # Parsers raise ValueError; values of a wrong type may cause any of the others.
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as reason:
        raise error(f"{rule}, {path} is not: {_told(reason)}{way_out and f'; {way_out}'}") from reason


def _told(reason: Exception) -> str:
    if isinstance(reason, KeyError):
        return f"{reason} is missing"
    said = reason.strerror if isinstance(reason, OSError) else None
    return cut(" ".join((said or str(reason) or type(reason).__name__).split()), _MOST_TOLD)


def json_object(path: Path) -> dict[str, Any]:
    """The content of a JSON file, which must be an object; to be called inside ``reading``."""
    data = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise TypeError(f"a {type(data).__name__} stands where an object is expected")
    return data


def object_if_any(path: Path) -> dict[str, Any] | None:
    """The content of a JSON file, as from ``json_object``; None if there is no such file.

    To ask for the file first would not do: another process may delete it in between.
    """
    try:
        return json_object(path)
    except FileNotFoundError:
        return None


def write_whole(path: Path, text: str, *, private: bool = False) -> None:
    """Write a file atomically: a reader gets either the old or the new content, even after a crash.

    What a link points to is written, and a pipe or a terminal, which nothing can replace, is written directly.

    Args:
        private: only this user may read it.

    Raises:
        HpoError: it cannot be written there.
    """
    try:
        if path.exists() and not path.is_file():
            with open(path, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                file.write(text)
            return
        target = path.resolve()
        # In the same folder, since a file can replace another only within one file system.
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", text=True)
        try:
            with open(handle, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())  # before the rename, or a crash may leave an empty file under the new name
            if not private:  # as temporary files are
                Path(name).chmod(0o666 & ~_umask())
            Path(name).replace(target)
            _sync_folder(target.parent)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise HpoError(f"{path} cannot be written: {error.strerror or error}; name a place that can be") from error


def make_private(folder: Path) -> None:
    """Make a folder that this user alone may enter, and those above it; one that is there stays as it is.

    Raises:
        HpoError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise HpoError(f"{folder} cannot be made: {error.strerror or error}; name a folder that can be") from error


def _sync_folder(folder: Path) -> None:
    """Sync the names in a folder to disk. File systems without this must rely on the sync of the file itself."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
