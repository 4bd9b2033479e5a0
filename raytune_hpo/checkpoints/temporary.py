"""Temporary folders for checkpoints: deleted when their process ends or, if it was killed, when the next one is made.

Each is locked by its process. The kernel releases the lock when the process dies, kill -9 included.
"""

from __future__ import annotations

import atexit
import fcntl
import itertools
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from raytune_hpo.checkpoints.folders import removed

_PREFIX = "raytune_hpo-brief-"
_MEMORY_DISK = "/dev/shm"  # on Linux
_count = itertools.count()


class _Locked(NamedTuple):
    """A folder, and the descriptor that holds its lock; None on a file system without locks."""

    folder: str
    descriptor: int | None


_own: dict[bool, _Locked] = {}  # by ``in_memory``


def temporary_place(*, in_memory: bool = False) -> str:
    """The path of a new folder in the ``temporary_folder``; it is not created."""
    return f"{temporary_folder(in_memory=in_memory)}/{next(_count)}"


def temporary_folder(*, in_memory: bool = False) -> str:
    """This process's temporary folder, which is deleted when the process ends.

    Args:
        in_memory: whether its contents are small enough for a file system in memory, if there is one.
    """
    if in_memory not in _own:
        parent = _MEMORY_DISK if in_memory and os.access(_MEMORY_DISK, os.W_OK) else tempfile.gettempdir()
        _collect(parent)
        _own[in_memory] = _locked(parent)
        atexit.register(removed, Path(_own[in_memory].folder))
    return _own[in_memory].folder


def _collect(parent: str) -> None:
    """Delete the folders of processes that have died."""
    for folder in Path(parent).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # it is locked, another user's, or just being deleted
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                removed(folder)
            finally:
                os.close(descriptor)


def _locked(parent: str) -> _Locked:
    while True:
        folder = tempfile.mkdtemp(prefix=_PREFIX, dir=parent)
        with suppress(FileNotFoundError):  # another process has collected it before it was locked
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError:  # nobody else can lock it either, and so it is not collected
                os.close(descriptor)
                return _Locked(folder, None)
            if os.path.isdir(folder):
                return _Locked(folder, descriptor)
            os.close(descriptor)


def _disown() -> None:
    """In a forked child: its parent's folders are not its own, to use, to delete or to keep locked."""
    for locked in _own.values():
        if locked.descriptor is not None:
            os.close(locked.descriptor)
    _own.clear()
    atexit.unregister(removed)


os.register_at_fork(after_in_child=_disown)
