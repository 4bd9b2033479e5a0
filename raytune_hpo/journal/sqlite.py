"""SQLite: a file with a write-ahead log, so that one writes while others read."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, NullPool, create_engine, event

from raytune_hpo.errors import JournalCorrupt, JournalError
from raytune_hpo.journal.database import Database, cause
from raytune_hpo.journal.locks import FileLock

_BUSY_S = 2.0  # how long SQLite itself waits for a lock before it says so
_WAY_OUT = "use storage=... or RAYTUNE_HPO_STORAGE for another place: a local path, or postgresql://..."
# The log's index is shared memory, which these do not share between machines.
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre", "beegfs", "gpfs"} | {
    f"fuse.{name}" for name in ("sshfs", "glusterfs", "ceph-fuse", "s3fs", "gcsfuse", "rclone", "juicefs", "mfs")
}
# By message: Python 3.10 does not know SQLite's error codes. "disk I/O error" is also what a full disk or quota says.
_PASSING = ("locked", "is full", "no space left", "quota exceeded", "disk i/o error")
_CORRUPT = ("malformed", "could not decode", "corrupt")
_READ_ONLY = ("readonly", "unable to open", "permission denied", "read-only")


class SqliteDatabase(Database):
    """One SQLite file.

    Args:
        synchronous: ``normal`` survives a killed process, ``full`` a power cut too.
    """

    def __init__(self, path: Path, *, synchronous: str = "normal") -> None:
        self._path = Path(os.path.realpath(path))
        self._wal = Path(f"{self._path}-wal")
        self._synchronous = synchronous
        self.url = f"sqlite:///{self._path}"
        # Taking the write lock at once avoids the one wait that SQLite refuses: for a lock to be upgraded.
        self._writers = _engine(self._connect_writer, begin="BEGIN IMMEDIATE")
        self._readers = _engine(self._connect_reader, begin="BEGIN")

    def write(self) -> Connection:
        if kind := network_file_system(self._path):
            raise JournalError(f"SQLite studies need a local disk, {self._path} is on {kind}; {_WAY_OUT}")
        self._check_pieces()
        return self._writers.connect()

    def read(self) -> Connection | None:
        self._check_pieces()
        return self._readers.connect() if _size(self._path) else None

    def right(self, study_id: int, name: str, owner: str) -> FileRight:
        return FileRight(self._path, study_id, owner)

    def serialize(self, connection: Connection) -> None:
        """BEGIN IMMEDIATE does."""

    def passes(self, error: BaseException) -> bool:
        return _says(error, _PASSING)

    def explain(self, error: BaseException) -> JournalError:
        what = str(cause(error))
        if _says(error, ("not a database",)):
            return JournalError(f"{self._path} is not a SQLite database: {what}; {_WAY_OUT}")
        if _says(error, _CORRUPT):
            return JournalCorrupt(f"{self._path} is damaged: {what}; restore it from a copy, or {_WAY_OUT}")
        if _says(error, _READ_ONLY):
            return JournalError(f"{self._path} must be a file that can be read and written: {what}; {_WAY_OUT}")
        if _says(error, _PASSING):
            return JournalError(f"{self._path} cannot be used now: {what}")
        return JournalError(f"{self._path} cannot be used: {what}; if it is no study file, {_WAY_OUT}")

    def _check_pieces(self) -> None:
        # SQLite would throw the log away without a word.
        if _size(self._path) == 0 and _size(self._wal) > 0:
            raise JournalCorrupt(
                f"{self._path} is empty or gone while its log {self._wal.name} is not: they belong together; "
                f"restore both from a copy, or remove the log to begin anew"
            )

    def _connect_writer(self) -> sqlite3.Connection:
        connection = self._connect("mode=rwc")
        try:
            _use_wal(connection)
            connection.execute(f"PRAGMA synchronous={self._synchronous}")
            connection.execute("PRAGMA cell_size_check=ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect_reader(self) -> sqlite3.Connection:
        # Where no log can be created, a file without one can still be read: nobody is writing to it.
        frozen = not os.access(self._path.parent, os.W_OK) and not self._wal.exists()
        return self._connect("immutable=1" if frozen else "mode=ro")

    def _connect(self, options: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"file:{quote(str(self._path))}?{options}",
            uri=True,
            timeout=_BUSY_S,
            isolation_level=None,  # transactions begin where we say
            check_same_thread=False,  # the journal has its own lock
        )


class FileRight:
    """The right to write a study in a SQLite file: a lock on a file beside it."""

    def __init__(self, database: Path, study_id: int, owner: str) -> None:
        self._database = database
        self._lock = FileLock(Path(f"{database}.{study_id}.lock"), owner)
        self._identity: tuple[int, int] | None = None

    def claim(self, connection: Connection) -> bool:
        if not self._lock.acquire():
            return False
        if self._identity is None:
            self._identity = _identity(self._database)
        return True

    def holder(self) -> str:
        return self._lock.holder()

    def check(self) -> None:
        # An open file that was removed takes everything that is written to it, and forgets it when it is closed.
        if _identity(self._database) != self._identity:
            raise JournalError(
                f"{self._database} must stay where it is while a study runs, it was removed or replaced; "
                f"put it back, or start the study anew"
            )

    def release(self) -> None:
        self._lock.release()


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


def _engine(connect: object, *, begin: str) -> Engine:
    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, pool_reset_on_return=None)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch the file to its write-ahead log; where two do so at once, SQLite refuses one without waiting."""
    deadline = time.monotonic() + _BUSY_S
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
            continue
        if mode != "wal":
            raise sqlite3.OperationalError(f"unable to open a write-ahead log, the file system only allows {mode!r}")
        return


def _says(error: BaseException, words: tuple[str, ...]) -> bool:
    message = str(cause(error)).lower()
    return any(word in message for word in words)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
