"""SQLite storage: a file with a write-ahead log, so that one process writes while others read."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, NullPool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from raytune_hpo.errors import JournalCorrupt, JournalError, SpecError
from raytune_hpo.journal.database import FAILURES, Database, cause
from raytune_hpo.journal.sql import SqlStorage
from raytune_hpo.journal.sqlite_files import FileRight, create_private, file_size, network_file_system
from raytune_hpo.journal.storage import PATIENCE_S

_BUSY_S = 2.0  # how long SQLite itself waits for a lock before it fails
_WAY_OUT = "use storage=... or RAYTUNE_HPO_STORAGE for another place: a local path, or postgresql://..."
# By message: Python 3.10 does not know SQLite's error codes. "disk I/O error" is also what a full disk or quota says.
_PASSING = ("locked", "is full", "no space left", "quota exceeded", "disk i/o error")
_CORRUPT = ("malformed", "could not decode", "corrupt")
_READ_ONLY = ("readonly", "unable to open", "permission denied", "read-only")


class SqliteStorage(SqlStorage):
    """Studies in a SQLite file, which is named by a path or by a URL with three slashes."""

    @classmethod
    def open(cls, words: str, *, patience_s: float = PATIENCE_S) -> SqliteStorage:
        if words == "sqlite":
            raise SpecError('a SQLite storage is a file, got "sqlite"; a file of that name is written ./sqlite')
        path, synchronous = _parse_url(words) if "://" in words else (words, "normal")
        return cls(SqliteDatabase(_at_home(path), synchronous=synchronous), patience_s=patience_s)

    @classmethod
    def absolute(cls, words: str) -> str:
        scheme, slashes, path = words.partition(":///")
        if "://" in words and not slashes:
            return words  # to be refused by open
        file, question, options = path.partition("?") if slashes else (words, "", "")
        absolute = os.path.abspath(_at_home(file))
        return f"{scheme}{slashes}{absolute}{question}{options}" if slashes else absolute


def _at_home(path: str) -> Path:
    """The path with the home of a user in the place of its tilde.

    Raises:
        SpecError: there is no such user, or no file may have that name.
    """
    if "\0" in path:
        raise SpecError(f"the name of a file has no NUL character, got {path!r}; leave it out")
    try:
        return Path(path).expanduser()
    except RuntimeError:
        user = Path(path).parts[0]
        raise SpecError(
            f"a path that begins with a tilde names the home of a user, got {path!r}, and {user} has none here; write the "
            f"path out, or ./{path} for a file of that name"
        ) from None


def _parse_url(words: str) -> tuple[str, str]:
    """The path and the option ``synchronous`` of a SQLite URL.

    Raises:
        SpecError: it has anything else.
    """
    try:
        url = make_url(words)
    except (ArgumentError, ValueError):
        raise SpecError('a SQLite URL is "sqlite:///studies.db", got a URL that cannot be read') from None
    if url.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise SpecError(f"a SQLite URL begins with sqlite:///, got {url.drivername!r}")
    if url.host or url.username:
        raise SpecError(
            "a SQLite URL has three slashes and a path, or four and an absolute one, got two and a host; write sqlite:///studies.db"
        )
    path = url.database or ""
    if path in ("", ":memory:") or path.startswith("file:"):
        raise SpecError(f'a SQLite study lives in a plain file, got {path!r}; use "sqlite:///studies.db" or "memory"')
    if unknown := set(url.query) - {"synchronous"}:
        raise SpecError(f"a SQLite URL takes the option synchronous, got {sorted(unknown)}")
    synchronous = str(url.query.get("synchronous", "normal")).lower()
    if synchronous not in ("normal", "full"):
        raise SpecError(f"synchronous is normal or full, got {synchronous!r}; anything less loses studies")
    return path, synchronous


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
        if not self._path.parent.is_dir():
            raise JournalError(
                f"{self._path} must be in a folder that exists, {self._path.parent} does not; create it, or {_WAY_OUT}"
            )
        create_private(self._path)
        return self._writers.connect()

    def read(self) -> Connection | None:
        self._check_pieces()
        return self._readers.connect() if file_size(self._path) else None

    def right(self, study_id: int, name: str, owner: str) -> FileRight:
        return FileRight(self._path, study_id, owner)

    def serialize(self, connection: Connection) -> None:
        """Do nothing: BEGIN IMMEDIATE locks out other writers."""

    def settle(self, connection: Connection) -> None:
        """Checkpoint the log into the database, as far as readers allow: losing the log then loses only seconds."""
        try:
            # The driver's own connection, since SQLAlchemy would begin a transaction, inside which there are no checkpoints.
            connection.connection.driver_connection.execute("PRAGMA wal_checkpoint(PASSIVE)")  # type: ignore[union-attr]
        except (sqlite3.Error, *FAILURES):
            pass  # a full disk, say: the facts are in the log, and the next append says what is wrong

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
        if _says(error, ("locked",)):
            return JournalError(f"{self._path} is held by another program: {what}; end that, or {_WAY_OUT}")
        if _says(error, _PASSING):
            return JournalError(f"{self._path} cannot be used now: {what}; make room on its disk, or {_WAY_OUT}")
        return JournalError(f"{self._path} cannot be used: {what}; if it is not a study file, {_WAY_OUT}")

    def _check_pieces(self) -> None:
        size = file_size(self._path)
        if self._path.is_dir():  # SQLite would speak of the disk
            raise JournalError(f"studies are in a file, {self._path} is a folder; name a file in it, or {_WAY_OUT}")
        # SQLite would silently discard the log.
        if size == 0 and file_size(self._wal) > 0:
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
        # If no log can be created, a file without one can still be read: no process is writing to it.
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
