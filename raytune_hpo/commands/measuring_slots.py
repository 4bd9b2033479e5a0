"""Measuring slots: at most so many measurements at a time on one machine, whichever process or study they belong to."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_PAUSE_S = 0.05


@contextlib.contextmanager
def measuring(num_slots: int, folder: Path | None = None) -> Iterator[None]:
    """Measure inside; waits until one of this user's slots is free.

    The locks are the kernel's: they go with a process that dies, however it does.

    Args:
        num_slots: how many measurements may run at the same time.
        folder: in which the locks are; by default that of temporary files, which all processes of a machine share.
    """
    slots = [_slot(folder or Path(tempfile.gettempdir()), number) for number in range(num_slots)]
    try:
        while not any(map(_is_taken_by_us, slots)):
            time.sleep(_PAUSE_S)
        yield
    finally:
        for slot in slots:
            os.close(slot)


def _slot(folder: Path, number: int) -> int:
    path = folder / f"raytune-hpo-{os.getuid()}-measuring-{number}.lock"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _is_taken_by_us(slot: int) -> bool:
    try:
        fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
