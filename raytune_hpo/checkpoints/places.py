"""Places of checkpoints: where a study's are kept if its user names no other."""

from __future__ import annotations

import hashlib
import itertools
import os
import secrets
import tempfile
from os import PathLike
from pathlib import Path
from urllib.parse import quote

from raytune_hpo.checkpoints.fetching import is_local
from raytune_hpo.errors import SpecError

MAX_NAME = 120  # bytes of a folder's name that stand for a study's
_SQLITE, _MEMORY = "sqlite:///", "memory"
_MEMORY_DISK = "/dev/shm"  # on Linux
_temporary: dict[bool, tempfile.TemporaryDirectory[str]] = {}  # by ``in_memory``; they go with the process
_count = itertools.count()


def place_of(checkpoints: str | None, storage: str, study: str) -> str:
    """The folder, or URL, that holds the checkpoints of a study, and of no other one.

    Args:
        checkpoints: what the user said, see ``checked_place``; None: beside an SQLite file, below the home folder for
            another database, and in a temporary folder, as long as this process lives, for a study in memory.
        storage: the URL of the study's storage.
    """
    if checkpoints is None and storage.startswith(_SQLITE):
        return f"{storage.removeprefix(_SQLITE)}.checkpoints/{_folder_name(study)}"
    if checkpoints is None and storage == _MEMORY:
        return temporary_place()
    root = str(Path("~/.raytune_hpo/checkpoints").expanduser()) if checkpoints is None else checkpoints
    return f"{root.rstrip('/')}/{_shared_name(storage, study)}"


def is_own_place(place: str, storage: str, study: str) -> bool:
    """Whether a folder, or URL, holds the checkpoints of this study and nothing else."""
    if storage == _MEMORY:
        return False  # no two studies in memory have one, but which is whose cannot be told
    return place == place_of(None, storage, study) or place.rpartition("/")[2] == _shared_name(storage, study)


def temporary_place(*, in_memory: bool = False) -> str:
    """A folder that nobody else uses, and that goes with this process.

    Args:
        in_memory: whether it is small enough to be kept there, if there is such a file system.
    """
    if in_memory not in _temporary:
        parent = _MEMORY_DISK if in_memory and os.access(_MEMORY_DISK, os.W_OK) else None
        made = tempfile.TemporaryDirectory(prefix="raytune_hpo-", dir=parent, ignore_cleanup_errors=True)
        _temporary[in_memory] = made
    return f"{_temporary[in_memory].name}/{next(_count)}"


def _shared_name(storage: str, study: str) -> str:
    """The name of a study's folder below a root that studies of the same name in other storages may have, too."""
    whose = secrets.token_hex(4) if storage == _MEMORY else _digest(storage)[:8]
    return f"{_folder_name(study)}-{whose}"


def _folder_name(study: str) -> str:
    """The study's name as that of a folder; a long one is cut, and told apart by a digest."""
    quoted = quote(study, safe=" ").replace(".", "%2E")
    if len(quoted) <= MAX_NAME:
        return quoted
    return f"{quoted[: MAX_NAME - 17]}-{_digest(study)}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def checked_place(checkpoints: object) -> str:
    """The user's word for a folder or URL: an absolute path, or the URL.

    Raises:
        SpecError: it is neither, or nothing installed knows that kind of URL.
    """
    if not isinstance(checkpoints, (str, PathLike)) or not str(checkpoints).strip():
        raise SpecError(
            f"checkpoints is a folder or a URL that fsspec knows, such as s3://bucket/path, got {checkpoints!r}"
        )
    place = os.fspath(checkpoints)
    if is_local(place):
        return str(Path(place).expanduser().absolute())
    from raytune_hpo.checkpoints.remote import check

    check(place)
    return place
