"""PostgreSQL: for optimizers that may move between machines."""

from __future__ import annotations

import time

from sqlalchemy import URL, Connection, NullPool, create_engine, text
from sqlalchemy.exc import InterfaceError, OperationalError

from raytune_hpo.errors import JournalError
from raytune_hpo.journal.database import Database, cause

# SQLSTATE classes: connection, transaction rolled back, resources (a full disk), lock, operator, system.
_PASSING = {"08", "40", "53", "55", "57", "58"}
_UNIQUE = "23505"  # a transaction of ours that was in doubt has come through: look again
_SCHEMA_LOCK = 0x7261_7974_756E_65  # any number that nobody else uses
_GHOST_S = 1.0  # how long the session of a process that is gone may take to end
_SETTINGS = {"connect_timeout": "10", "application_name": "raytune_hpo", "client_encoding": "utf8"}
# A machine that lost its power says nothing: its session, and with it the right to write, ends after a minute.
_KEEPALIVE = (
    "SET tcp_keepalives_idle = 30",
    "SET tcp_keepalives_interval = 10",
    "SET tcp_keepalives_count = 3",
    "SET idle_session_timeout = 0",
)


class PostgresDatabase(Database):
    """One PostgreSQL database, and in it the schema that the connection's search path names first."""

    def __init__(self, url: URL) -> None:
        self.url = url.set(drivername="postgresql").render_as_string(hide_password=True)
        self._engine = create_engine(
            url.update_query_dict({k: v for k, v in _SETTINGS.items() if k not in url.query}),
            poolclass=NullPool,
            pool_reset_on_return=None,
        )

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

    def passes(self, error: BaseException) -> bool:
        state = _state(error)
        if state is None:  # the server did not answer at all
            return isinstance(error, (OperationalError, InterfaceError, OSError))
        return state[:2] in _PASSING or state == _UNIQUE

    def explain(self, error: BaseException) -> JournalError:
        what = " ".join(str(cause(error)).split())
        if self.passes(error):
            return JournalError(f"{self.url} cannot be used now: {what}")
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
        """The server looks after its files."""

    def release(self) -> None:
        """Closing the connection does."""

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
        """Remember who has the right. A session of our own, left over from a connection that broke, is ended."""
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


def _state(error: BaseException) -> str | None:
    driver = cause(error)
    state: str | None = getattr(driver, "sqlstate", None) or getattr(driver, "pgcode", None)
    return state
