"""Checks of a SQLite database's files: not replaced since they were opened, private, and on a local disk."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

from sqlalchemy import Connection

from raytune_hpo.errors import JournalError
from raytune_hpo.journal.locks import FileLock

# The log's index is shared memory, which these do not share between machines.
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre", "beegfs", "gpfs"} | {
    f"fuse.{name}" for name in ("sshfs", "glusterfs", "ceph-fuse", "s3fs", "gcsfuse", "rclone", "juicefs", "mfs")
}
_LOG_MAGIC = (0x377F0682, 0x377F0683)  # the first four bytes of every write-ahead log that is in use
_creating = threading.Lock()


class FileRight:
    """The right to write a study in a SQLite file: a lock on a file beside it.

    Appends go to the log first. A file that was deleted while it is open accepts writes, and loses them when it is closed:
    so the database, its log and the log's index must still be the files that were opened.
    """

    def __init__(self, database: Path, study_id: int, owner: str) -> None:
        self._pieces = [str(database), f"{database}-wal", f"{database}-shm"]
        self._opened: list[tuple[int, int] | None] = []
        self._log: tuple[bytes, int] = b"", 0  # what distinguishes this filling of the log from the next, and its size
        self._lock = FileLock(Path(f"{database}.{study_id}.lock"), owner, mode=_lock_mode(database))

    def claim(self, connection: Connection) -> bool:
        if not self._lock.acquire():
            return False
        found = [_identity(piece) for piece in self._pieces]
        # A new connection may come with a new log, but never with a new database: facts of ours are in the old one.
        self._opened = [*(self._opened[:1] or found[:1]), *found[1:]]
        self._log = b"", 0
        return True

    def holder(self) -> str:
        return self._lock.holder()

    def check(self) -> None:
        self._compare(1)  # SQLite removes the others itself when a connection that broke is closed

    def confirm(self) -> None:
        self._compare(3)
        self._check_log()

    def release(self) -> None:
        self._lock.release()

    def _check_log(self) -> None:
        """Check the log, which any process may checkpoint; it is then refilled from its beginning, with a new salt."""
        log = self._pieces[1]
        try:
            descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return  # no descriptor is left, say; the next check looks again
        try:
            header, size = os.read(descriptor, 24), os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)  # SQLite has no locks on the log, which this would drop
        salt, last_size = self._log
        is_log = int.from_bytes(header[:4], "big") in _LOG_MAGIC
        if size and (not is_log or (header[16:] == salt and size < last_size)):
            raise self._lost(log, "cut short")
        self._log = header[16:], size

    def _compare(self, num_pieces: int) -> None:
        for piece, opened in zip(self._pieces[:num_pieces], self._opened, strict=False):
            if _identity(piece) != opened:
                raise self._lost(piece, "removed or replaced")

    def _lost(self, piece: str, what: str) -> JournalError:
        return JournalError(
            f"{piece} must stay as it is while a study runs, it was {what}; facts of the last seconds may be lost: "
            f"put it back, or run the study again, which continues from what is left"
        )


def create_private(path: Path) -> None:
    """Create the database, unless it is there, for its user alone. SQLite gives its log and the index the same mode."""
    # Closing a descriptor drops all locks of this process on its file. So no thread may connect between the two calls.
    with _creating, contextlib.suppress(OSError):  # SQLite's own error is clearer
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def network_file_system(path: Path, mounts: str | None = None) -> str | None:
    """The kind of network file system that holds the path; None for a local one.

    Args:
        mounts: in the format of /proc/mounts, which is read by default; where there is none, nothing is refused.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/mounts").read_text("utf-8", "replace")
        except OSError:
            return None
    deepest, kind = "", ""
    for line in mounts.splitlines():
        _, point, mounted = line.split(" ")[:3]
        point = point.replace("\\040", " ")
        if path.is_relative_to(point) and len(point) >= len(deepest):  # of two on one point the later one is seen
            deepest, kind = point, mounted
    return kind if kind in _NETWORK else None


def file_size(path: Path) -> int:
    """The size of a file in bytes; 0 if it does not exist.

    Raises:
        JournalError: this user may not access its folder.
    """
    try:
        return path.stat().st_size
    except PermissionError as error:
        raise JournalError(
            f"{path} must be in a folder that this user may open: ask its owner, or use another storage"
        ) from error
    except OSError:
        return 0


def _lock_mode(database: Path) -> int:
    """The mode of the lock's file: whoever may open it may hold the lock, so only users who may write the database may."""
    try:
        mode = database.stat().st_mode
    except OSError:
        return 0o600
    return 0o600 | (0o060 if mode & 0o020 else 0) | (0o006 if mode & 0o002 else 0)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
