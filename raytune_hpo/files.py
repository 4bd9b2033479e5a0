"""Reading and writing of files: nobody ever sees half of one, and what is not of the expected kind is refused by name."""

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
    """Context in which a file that someone else may have written is read: whatever breaks over it is told with its name.

    Args:
        rule: what such a file is, as in "settings are YAML or JSON".

    Raises:
        error: instead of what came; errors of ours pass.
    """
    try:
        yield
    except HpoError:
        raise
    # Parsers raise ValueError; a value in another's place, everything else that a wrong type can lead to.
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as reason:
        raise error(f"{rule}, {path} is not: {_told(reason)}{way_out and f'; {way_out}'}") from reason


def _told(reason: Exception) -> str:
    if isinstance(reason, KeyError):
        return f"{reason} is missing"
    said = reason.strerror if isinstance(reason, OSError) else None
    return cut(" ".join((said or str(reason) or type(reason).__name__).split()), _MOST_TOLD)


def json_object(path: Path) -> dict[str, Any]:
    """What is in a JSON file, which has to be an object; to be called while ``reading``."""
    data = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise TypeError(f"a {type(data).__name__} stands where an object should")
    return data


def write_whole(path: Path, text: str, *, private: bool = False) -> None:
    """Write a file atomically: whoever reads it meanwhile gets the old one or the new one, even after a crash.

    Args:
        private: nobody but this user may read it.

    Raises:
        HpoError: it cannot be written there.
    """
    try:
        # Beside the file itself, since a file can be put in another's place only within one file system.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", text=True)
        try:
            with open(handle, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())  # before the new name is: or a crash may leave an empty file under it
            if not private:  # as the draft is
                Path(name).chmod(0o666 & ~_umask())
            Path(name).replace(path)
            _sync_folder(path.parent)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise HpoError(f"{path} cannot be written: {error.strerror or error}; name a place that can be") from error


def _sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk. Some file systems know no such thing: there the file's own sync must do."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    """The permissions that new files do not get; they can only be read by setting them."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
