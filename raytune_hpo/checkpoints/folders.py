"""Folders that are written atomically, and identified by a digest of their contents."""

from __future__ import annotations

import contextvars
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from pathlib import Path
from typing import NamedTuple

_UNFINISHED = ".unfinished-"
_CHUNK = 1 << 20
_MOST_SYNCS = 8  # at a time


class Contents(NamedTuple):
    """The contents of a folder: the size of all files in bytes, and a digest of their names and contents."""

    size: int
    digest: str


def written(root: Path, name: str, write: Callable[[Path], object]) -> Contents:
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
        contents = _synced(unfinished)
        place = root / name
        removed(place)
        unfinished.rename(place)
    except BaseException:
        removed(unfinished)
        raise
    _sync(root)
    return contents


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


def measured(folder: Path) -> Contents:
    """The contents of a folder; the digest is SHA-256, which processors compute."""
    size, digest = 0, hashlib.sha256()
    for path in paths_below(folder):
        if path.is_dir():
            continue
        name = str(path.relative_to(folder)).encode("utf-8", "surrogateescape")
        length = path.stat().st_size
        digest.update(b"%d:%s%d:" % (len(name), name, length))
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                size += len(chunk)
                digest.update(chunk)
    return Contents(size, digest.hexdigest())


def paths_below(folder: Path) -> Iterator[Path]:
    """All files and folders below a folder, in the order of their names."""
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir():
            yield from paths_below(path)


def _synced(folder: Path) -> Contents:
    """Sync a folder, and everything in it, to disk, and return its contents.

    All is synced at once, which takes little longer than one file, and meanwhile the digest is computed.
    """
    paths, outside = [*paths_below(folder), folder], contextvars.Context()  # else the threads would keep the trial's
    syncs = outside.run(lambda: [_syncing().submit(_sync, path) for path in paths])
    try:
        contents = measured(folder)
    finally:
        wait(syncs)
    for sync in syncs:
        sync.result()  # raises what went wrong
    return contents


@cache
def _syncing() -> ThreadPoolExecutor:
    """Threads that sync files; they stay, since starting them takes longer than syncing a small file."""
    return ThreadPoolExecutor(_MOST_SYNCS, thread_name_prefix="raytune_hpo-syncing")


os.register_at_fork(after_in_child=_syncing.cache_clear)  # a child process has no threads but its own


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
