"""Folders that are written atomically, and identified by a digest of their contents."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

_UNFINISHED = ".unfinished-"
_CHUNK = 1 << 20


def written(root: Path, name: str, write: Callable[[Path], object]) -> Path:
    """Write a folder under a temporary name, and rename it once it is complete and synced to disk.

    Args:
        write: called with the empty folder of the temporary name.

    Raises:
        OSError: it cannot be written.
    """
    root.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f"{_UNFINISHED}{name}-", dir=root))
    try:
        write(unfinished)
        _sync(unfinished)
        place = root / name
        removed(place)
        unfinished.rename(place)
    except BaseException:
        removed(unfinished)
        raise
    _sync_one(root)
    return place


def removed(folder: Path) -> None:
    """Delete a folder, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)


def swept(root: Path, prefix: str, kept: Callable[[str], bool]) -> None:
    """Delete the folders below a root, unfinished ones included, whose names begin with a prefix and are not kept."""
    if not root.is_dir():
        return
    for folder in root.iterdir():
        name = folder.name.removeprefix(_UNFINISHED)
        is_whole = name == folder.name
        if name.startswith(prefix) and not (is_whole and kept(name)):
            removed(folder)


def measured(folder: Path) -> tuple[int, str]:
    """The size of all files in bytes, and a digest of their names and contents (SHA-256, which processors compute)."""
    size, digest = 0, hashlib.sha256()
    for path in _files(folder):
        name = str(path.relative_to(folder)).encode("utf-8", "surrogateescape")
        length = path.stat().st_size
        digest.update(b"%d:%s%d:" % (len(name), name, length))
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                size += len(chunk)
                digest.update(chunk)
    return size, digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    """All files below a folder, in the order of their names."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _files(path)
        else:
            yield path


def _sync(folder: Path) -> None:
    """Sync a folder, and everything in it, to disk."""
    for path in folder.iterdir():
        if path.is_dir():
            _sync(path)
        else:
            _sync_one(path)
    _sync_one(folder)


def _sync_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
