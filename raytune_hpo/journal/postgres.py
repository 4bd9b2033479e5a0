"""PostgreSQL storage, for optimizers that may move between machines."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import time
import weakref
from collections.abc import Mapping
from typing import Any, ClassVar

from sqlalchemy import URL, Connection, NullPool, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError

from raytune_hpo.errors import JournalError, SpecError
from raytune_hpo.journal.database import Database, cause
from raytune_hpo.journal.sql import SqlStorage
from raytune_hpo.journal.storage import PATIENCE_S

_DRIVERS = {"psycopg": "psycopg", "psycopg2": "psycopg2-binary"}  # and their packages, in the order of preference

# SQLSTATE classes: connection, transaction rolled back, resources (a full disk), lock, operator, system.
_PASSING = {"08", "40", "53", "55", "57", "58"}
_UNIQUE = "23505"  # a transaction of ours that was in doubt has come through: look again
_SCHEMA_LOCK = 0x7261_7974_756E_65  # any number that no other program uses
_GHOST_S = 1.0  # how long the session of a process that is gone may take to end
_SETTINGS = {"connect_timeout": "10", "application_name": "raytune_hpo", "client_encoding": "utf8"}
# Options of a URL that messages may show; any other one may be a secret.
_SHOWN = {"application_name", "dbname", "host", "options", "port", "service", "sslmode", "target_session_attrs", "user"}
# A machine that loses power closes no connection: its session, and with it the right to write, ends after a minute.
_KEEPALIVE = (
    "SET tcp_keepalives_idle = 30",
    "SET tcp_keepalives_interval = 10",
    "SET tcp_keepalives_count = 3",
    "SET idle_session_timeout = 0",
)


_connections: weakref.WeakSet[Any] = weakref.WeakSet()  # the drivers' own


def _cut_off_child() -> None:
    """In a fork: keep copies of connections from being closed, which would end the parent's session on the server."""
    if not len(_connections):
        return
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for connection in list(_connections):
        with contextlib.suppress(Exception):  # closed already
            os.dup2(nowhere, connection.fileno(), inheritable=False)
    os.close(nowhere)


os.register_at_fork(after_in_child=_cut_off_child)


class PostgresStorage(SqlStorage):
    """Studies in a PostgreSQL database."""

    is_movable = True
    needs: ClassVar[Mapping[str, str]] = {**SqlStorage.needs, **_DRIVERS}

    @classmethod
    def open(cls, words: str, *, patience_s: float = PATIENCE_S) -> PostgresStorage:
        try:
            url = make_url(words)
        except (ArgumentError, ValueError):
            raise SpecError(
                "a PostgreSQL storage is postgresql://user:password@host/database, got a URL that cannot be read"
            ) from None  # the cause repeats what may be a password
        driver = url.drivername.partition("+")[2]
        if driver and driver not in _DRIVERS:
            raise SpecError(f"PostgreSQL is reached through {' or '.join(_DRIVERS)}, got {url.drivername!r}")
        installed = [name for name in _DRIVERS if importlib.util.find_spec(name)]
        if not installed or (driver and driver not in installed):
            raise SpecError(
                f'a PostgreSQL storage needs the package {driver or "psycopg"}: pip install "psycopg[binary]"'
            )
        try:
            database = PostgresDatabase(url.set(drivername=f"postgresql+{driver or installed[0]}"))
        except (ArgumentError, ValueError, TypeError):
            raise SpecError(
                "a PostgreSQL storage is postgresql://user:password@host:port/database, got a port that cannot be read"
            ) from None
        return cls(database, patience_s=patience_s)


class PostgresDatabase(Database):
    """One PostgreSQL database, and in it the schema that the connection's search path names first."""

    def __init__(self, url: URL) -> None:
        if isinstance(password := url.query.get("password"), str):  # where SQLAlchemy itself hides it, in a repr, say
            url = url.set(password=password).difference_update_query(["password"])
        hidden = {name for name in url.query if name not in _SHOWN}
        known = url.difference_update_query(hidden)
        shown = known.set(drivername="postgresql").render_as_string(hide_password=True)
        if hidden:
            shown += ("&" if "?" in shown else "?") + "&".join(f"{name}=***" for name in sorted(hidden))
        self.url = shown
        self._secrets = [str(secret) for secret in (url.password, *(url.query[name] for name in hidden)) if secret]
        self._engine = create_engine(
            known.update_query_dict({k: v for k, v in _SETTINGS.items() if k not in url.query}),
            connect_args={name: url.query[name] for name in hidden},  # which no repr shows
            poolclass=NullPool,
            pool_reset_on_return=None,
        )
        event.listen(self._engine, "connect", lambda connection, _: _connections.add(connection))

    def write(self) -> Connection:
        connection = self._engine.connect()
        try:
            with connection.begin():
                for setting in _KEEPALIVE:
                    connection.exec_driver_sql(setting)
        except BaseException:
            connection.invalidate()
            connection.close()
            raise
        return connection

    def read(self) -> Connection:
        return self._engine.connect()

    def right(self, study_id: int, name: str, owner: str) -> SessionRight:
        return SessionRight(study_id)

    def serialize(self, connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})

    def settle(self, connection: Connection) -> None:
        """Do nothing: the server checkpoints by itself."""

    def passes(self, error: BaseException) -> bool:
        driver = cause(error)
        state: str | None = getattr(driver, "sqlstate", None) or getattr(driver, "pgcode", None)
        if state is None:  # the server did not answer at all
            return isinstance(error, (OperationalError, InterfaceError, OSError))
        return state[:2] in _PASSING or state == _UNIQUE

    def explain(self, error: BaseException) -> JournalError:
        what = " ".join(str(cause(error)).split())
        for secret in self._secrets:
            what = what.replace(secret, "***")
        if self.passes(error):
            return JournalError(
                f"{self.url} cannot be used now: {what}; check the server, and the host and port of the URL"
            )
        return JournalError(f"{self.url} cannot be used: {what}; check the URL and the role's privileges")


class SessionRight:
    """The right to write a study in PostgreSQL: an advisory lock that the server frees with the connection's session."""

    def __init__(self, study_id: int) -> None:
        self._study_id = study_id
        self._session: int | None = None  # the server's process for the connection that held the right last
        self._holder = "another process"

    def claim(self, connection: Connection) -> bool:
        deadline = time.monotonic() + _GHOST_S
        while True:
            with connection.begin():
                if self._try(connection):
                    return True
                self._look_at_holder(connection)
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)

    def holder(self) -> str:
        return self._holder

    def check(self) -> None:
        """Do nothing: the server is responsible for its files."""

    def confirm(self) -> None:
        """Do nothing: the server's commit is sufficient."""

    def release(self) -> None:
        """Do nothing: closing the connection releases the lock."""

    def _try(self, connection: Connection) -> bool:
        # The facts' table is the lock's first half: studies in other schemas of this database have the same ids.
        got = connection.execute(
            text("SELECT pg_try_advisory_lock(to_regclass('raytune_facts')::oid::int8::bit(32)::int4, :study)"),
            {"study": self._study_id},
        ).scalar()
        if got:
            self._session = connection.execute(text("SELECT pg_backend_pid()")).scalar()
        return bool(got)

    def _look_at_holder(self, connection: Connection) -> None:
        """Find out which session has the right. One of our own, left over from a broken connection, is ended."""
        row = connection.execute(
            text(
                "SELECT pid, (SELECT owner FROM raytune_writers WHERE study_id = :study ORDER BY id DESC LIMIT 1) "
                "FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND objid = :study "
                "AND classid = to_regclass('raytune_facts')::oid "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            ),
            {"study": self._study_id},
        ).first()
        if row is None:  # gone since we tried
            return
        session, owner = row
        self._holder = f"{owner or 'another process'} (database session {session})"
        if session == self._session:
            connection.execute(text("SELECT pg_terminate_backend(:session)"), {"session": session})
