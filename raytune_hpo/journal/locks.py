"""File locks that are released when their process dies: ``flock`` on a separate file.

The kernel releases it when the last descriptor of its open file is closed, kill -9 included. A forked child inherits
descriptors, and would keep the lock after its parent's death: so children close theirs at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import weakref
from pathlib import Path


class FileLock:
    """An exclusive lock named by a path; the file exists while the lock is held, and names the holder.

    Args:
        mode: the file's mode. Every user who may open the file may hold the lock.

    Raises:
        OSError: the file cannot be created, or its file system has no locks.
    """

    def __init__(self, path: Path, owner: str, *, mode: int = 0o600) -> None:
        self._path, self._owner, self._mode = path, owner, mode
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock if it is free; returns whether we hold it."""
        while self._descriptor is None:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, self._mode)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            except BaseException:
                os.close(descriptor)
                raise
            # The previous holder may have removed the file between our open and our lock: then we locked a deleted file.
            if self._is_at_path(descriptor):
                self._take(descriptor)
            else:
                os.close(descriptor)
        return True

    def holder(self) -> str:
        """The holder's name, as written in the file."""
        with contextlib.suppress(OSError, ValueError):
            return self._path.read_text("utf-8") or "another process"
        return "another process"

    def release(self) -> None:
        if self._descriptor is None:
            return
        if self._is_at_path(self._descriptor):  # the file may have been deleted, and another process hold a new one
            with contextlib.suppress(OSError):
                self._path.unlink()  # while we still hold it, or we might remove the next holder's
        self.forget()

    def forget(self) -> None:
        """Close our descriptor and leave the file."""
        if self._descriptor is not None:
            _held.discard(self)
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:  # a journal that was not closed must not hold its study until the process ends
        self.forget()

    def _take(self, descriptor: int) -> None:
        self._descriptor = descriptor
        _held.add(self)
        text = f"{self._owner} (process {os.getpid()} on {socket.gethostname()})"
        with contextlib.suppress(OSError):  # another's, left behind by a process that was killed
            os.fchmod(descriptor, self._mode)
        with contextlib.suppress(OSError):  # a courtesy: on a full disk the lock still holds
            os.ftruncate(descriptor, 0)
            os.write(descriptor, text.encode())

    def _is_at_path(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self._path))
        except FileNotFoundError:
            return False


_held: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _forget_all() -> None:
    for lock in list(_held):
        lock.forget()


os.register_at_fork(after_in_child=_forget_all)
