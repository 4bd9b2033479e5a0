"""Places of checkpoints: the folder or URL of a study's checkpoints, by default or as its user sets it."""

from __future__ import annotations

import hashlib
import os
import secrets
from os import PathLike
from pathlib import Path
from urllib.parse import quote

from raytune_hpo.checkpoints.fetching import is_local
from raytune_hpo.checkpoints.temporary import temporary_place
from raytune_hpo.errors import SpecError

MAX_NAME = 120  # bytes of a study's name in a folder's name
_SQLITE, _MEMORY = "sqlite:///", "memory"


def place_of(checkpoints: str | None, storage: str, study: str) -> str:
    """The folder, or URL, for the checkpoints of one study alone.

    Args:
        checkpoints: the user's setting, see ``checked_place``; None: beside a SQLite file, below the home folder for
            another database, and in a temporary folder, which this process deletes at its end, for a study in memory.
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
        return False  # studies in memory have separate places, but which is whose is unknown
    return place == place_of(None, storage, study) or place.rpartition("/")[2] == _shared_name(storage, study)


def _shared_name(storage: str, study: str) -> str:
    """The name of a study's folder below a root that is shared with studies of the same name in other storages."""
    whose = secrets.token_hex(4) if storage == _MEMORY else _digest(storage)[:8]
    return f"{_folder_name(study)}-{whose}"


def _folder_name(study: str) -> str:
    """A folder name for a study; a long name is cut, and made unique by a digest."""
    quoted = quote(study, safe=" ").replace(".", "%2E")
    if len(quoted) <= MAX_NAME:
        return quoted
    return f"{quoted[: MAX_NAME - 17]}-{_digest(study)}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def checked_place(checkpoints: object) -> str:
    """Check a user's setting, and return an absolute path or the URL.

    Raises:
        SpecError: it is neither, or no installed package supports that kind of URL.
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
