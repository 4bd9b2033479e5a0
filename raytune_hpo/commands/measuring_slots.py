"""Measuring slots and exclusive resources: locks that limit concurrent measurements on one machine, across processes."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

_PAUSE_S = 0.05


@contextlib.contextmanager
def measuring(num_slots: int, folder: Path | None = None) -> Iterator[None]:
    """Context manager: wait for one of this user's measuring slots, and hold it.

    The locks are the kernel's, which releases them when a process dies.

    Args:
        num_slots: how many measurements may run at the same time.
        folder: the folder of the lock files; by default that of temporary files, which all processes share.
    """
    slots = [_lock(folder, f"measuring-{number}") for number in range(num_slots)]
    try:
        while not any(map(_is_taken_by_us, slots)):
            time.sleep(_PAUSE_S)
        yield
    finally:
        for slot in slots:
            os.close(slot)


@contextlib.contextmanager
def holding(resources: Iterable[str], folder: Path | None = None) -> Iterator[None]:
    """Context manager: wait for exclusive resources, like ``"port:8080"``, among this user's processes, and hold them.

    All are taken before a measuring slot, and in sorted order, which rules out deadlocks.
    """
    names = [hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16] for name in set(resources)]
    locks = []
    try:
        for name in sorted(names):
            locks.append(_lock(folder, f"uses-{name}"))
            while not _is_taken_by_us(locks[-1]):
                time.sleep(_PAUSE_S)
        yield
    finally:
        for lock in locks:
            os.close(lock)


def _lock(folder: Path | None, name: str) -> int:
    path = (folder or Path(tempfile.gettempdir())) / f"raytune-hpo-{os.getuid()}-{name}.lock"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _is_taken_by_us(slot: int) -> bool:
    try:
        fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
