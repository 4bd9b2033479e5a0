"""From what a user typed to a storage."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from raytune_hpo.errors import SpecError
from raytune_hpo.journal.memory import MemoryStorage
from raytune_hpo.journal.storage import Storage

if TYPE_CHECKING:
    from sqlalchemy import URL

    from raytune_hpo.journal.database import Database

ENV = "RAYTUNE_HPO_STORAGE"
DEFAULT = Path("~/.raytune_hpo/studies.db")
PATIENCE_S = 600.0  # how long an append waits for a database that is gone, slow or full
_ACCEPTED = (
    'storage is a file ("studies.db"), "sqlite:///studies.db", "postgresql://user:password@host/database" or "memory"'
)
_POSTGRES_DRIVERS = ("psycopg", "psycopg2")  # in the order of preference


def open_storage(storage: str | os.PathLike[str] | Storage | None = None, *, patience_s: float = PATIENCE_S) -> Storage:
    """The storage that the words stand for; a Storage comes back as it is.

    Nothing is created or connected to before the storage is used, the folder of the default excepted.

    Args:
        storage: None asks the environment variable RAYTUNE_HPO_STORAGE, then takes ``~/.raytune_hpo/studies.db``.
        patience_s: how long an append waits for a database that is gone, slow or full.

    Raises:
        SpecError: another kind of database or a misspelt option.
        JournalError: a place where studies would not be safe.
    """
    if storage is None:
        storage = os.environ.get(ENV) or _default()
    if isinstance(storage, os.PathLike):
        return _sql(_sqlite(Path(storage)), patience_s)
    if not isinstance(storage, str):
        if isinstance(storage, Storage):
            return storage
        raise SpecError(f"{_ACCEPTED}, got a {type(storage).__name__}")
    if storage == "memory":
        return MemoryStorage()
    return _sql(_from_url(storage) if "://" in storage else _from_text(storage), patience_s)


def _sql(database: Database, patience_s: float) -> Storage:
    from raytune_hpo.journal.sql import SqlStorage

    return SqlStorage(database, patience_s=patience_s)


def _default() -> Path:
    path = DEFAULT.expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        pass  # whoever writes is told by the database's own message, and whoever reads finds no study
    return path


def _sqlite(path: Path, synchronous: str = "normal") -> Database:
    from raytune_hpo.journal.sqlite import SqliteDatabase

    return SqliteDatabase(path.expanduser(), synchronous=synchronous)


def _from_text(text: str) -> Database:
    if text == ":memory:":
        raise SpecError(f'{_ACCEPTED}, got {text!r}; use "memory"')
    if not Path(text).suffix and os.sep not in text:  # else a misspelt "memory" would become a file
        raise SpecError(f"{_ACCEPTED}, got {text!r}; a file without a suffix is written ./{text}")
    return _sqlite(Path(text))


def _from_url(text: str) -> Database:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise SpecError(f"{_ACCEPTED}, got a URL that cannot be read") from None  # it may hold a password
    backend, _, driver = url.drivername.partition("+")
    if backend == "sqlite" and driver in ("", "pysqlite"):
        return _sqlite_from(url)
    if backend in ("postgresql", "postgres") and driver in ("", *_POSTGRES_DRIVERS):
        return _postgres_from(url, driver)
    raise SpecError(f"{_ACCEPTED}, got {url.drivername!r}")


def _sqlite_from(url: URL) -> Database:
    if url.host or url.username:
        raise SpecError(
            f"a SQLite URL has three slashes and a path, or four and an absolute one, got {url.render_as_string()!r}"
        )
    path = url.database or ""
    if path in ("", ":memory:") or path.startswith("file:"):
        raise SpecError(f'a SQLite study lives in a plain file, got {path!r}; use "sqlite:///studies.db" or "memory"')
    if unknown := set(url.query) - {"synchronous"}:
        raise SpecError(f"a SQLite URL takes the option synchronous, got {sorted(unknown)}")
    synchronous = str(url.query.get("synchronous", "normal")).lower()
    if synchronous not in ("normal", "full"):
        raise SpecError(f"synchronous is normal or full, got {synchronous!r}; anything less loses studies")
    return _sqlite(Path(path), synchronous)


def _postgres_from(url: URL, driver: str) -> Database:
    from raytune_hpo.journal.postgres import PostgresDatabase

    installed = [name for name in _POSTGRES_DRIVERS if importlib.util.find_spec(name)]
    if not installed or (driver and driver not in installed):
        raise SpecError(f'a PostgreSQL storage needs the package {driver or "psycopg"}: pip install "psycopg[binary]"')
    return PostgresDatabase(url.set(drivername=f"postgresql+{driver or installed[0]}"))
