"""Journal in a database: the right to write one study, and appends that take effect exactly once."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from raytune_hpo.codec import VERSION, encode
from raytune_hpo.errors import JournalCorrupt, JournalError, SequenceConflict
from raytune_hpo.facts import Fact
from raytune_hpo.journal import schema
from raytune_hpo.journal.backoff import Backoff
from raytune_hpo.journal.database import FAILURES, Database, Right
from raytune_hpo.journal.digests import digest_of
from raytune_hpo.journal.storage import closed, conflict

if TYPE_CHECKING:
    from raytune_hpo.journal.storage import Storage

SETTLE_S = 2.0  # at least this long between two calls of Database.settle, which costs milliseconds


class SqlJournal:
    """One study, held for writing. Any thread may append; one does so at a time.

    Every row has the writer's id and the batch's. If the connection breaks during a commit, its outcome is unknown: the next
    try first looks at the rows in the batch's place. Ours mean success, another's a conflict, none mean try again.
    """

    def __init__(
        self,
        storage: Storage,
        database: Database,
        right: Right,
        connection: Connection,
        *,
        name: str,
        study_id: int,
        writer: int,
        patience_s: float,
    ) -> None:
        self._storage, self._database, self._right = storage, database, right
        self._connection: Connection | None = connection
        self._name, self._study_id, self._writer = name, study_id, writer
        self._patience_s = patience_s
        self._batch = 0
        self._settled_at = time.monotonic()
        self._mutex = threading.Lock()
        self._closing = threading.Event()
        self._process = os.getpid()
        _journals.add(self)

    def append(self, facts: Sequence[Fact], *, expect: int) -> None:
        if os.getpid() != self._process:
            raise JournalError(
                f"the journal of study {self._name!r} was opened in process {self._process}, this is process {os.getpid()}, "
                f"a fork of it; write there, or close it there and open it here"
            )
        with self._mutex:
            self._batch += 1
            rows = self._rows(facts, expect)
            backoff = Backoff(self._patience_s, f"study {self._name!r}", self._closing)
            while not self._is_appended(rows, expect, backoff):
                pass
            backoff.succeeded()

    def read(self, start: int = 0) -> Iterator[Fact]:
        return self._storage.read(self._name, start)

    def close(self) -> None:
        if os.getpid() != self._process:
            return  # in a fork, all of this belongs to the parent
        self._closing.set()  # an append that waits gives up
        with self._mutex:
            if self._connection is not None:
                with contextlib.suppress(SQLAlchemyError):  # what was appended is safe, whatever the connection says
                    self._connection.close()
                self._connection = None
            self._right.release()

    def _is_appended(self, rows: list[tuple[Any, ...]], expect: int, backoff: Backoff) -> bool:
        """Try once, and return whether the rows are there. After a transient failure, wait; raise others."""
        if self._closing.is_set():
            raise closed(self._name)
        try:
            self._right.check()
            connection = self._connected()
            self._write(connection, rows, expect)
            self._right.confirm()  # rows in a file that was replaced meanwhile must not be acknowledged
        except FAILURES as error:
            if self._connection is not None:  # it may be in any state: the next try starts with a new one
                self._discard(self._connection)
                self._connection = None
            explained = self._database.explain(error)
            if not self._database.passes(error):
                raise explained from None  # the driver's own words may repeat a password
            backoff.wait(explained)
            return False
        if time.monotonic() - self._settled_at > SETTLE_S:
            self._database.settle(connection)
            self._settled_at = time.monotonic()
        return True

    def _rows(self, facts: Sequence[Fact], expect: int) -> list[tuple[Any, ...]]:
        """The rows of a batch, in the order of the columns of ``schema.facts``."""
        study, writer, batch = self._study_id, self._writer, self._batch
        rows: list[tuple[Any, ...]] = []
        for position, fact in enumerate(facts, expect):
            kind, number = type(fact).__name__, getattr(fact, "number", None)
            try:
                body = encode(fact)
            except (TypeError, ValueError) as error:
                raise JournalError(f"a fact holds plain JSON values, this {kind} does not: {error}") from error
            rows.append((study, position, kind, VERSION, number, writer, batch, body))
        return rows

    def _write(self, connection: Connection, rows: list[tuple[Any, ...]], expect: int) -> None:
        with connection.begin():
            length, sealed, previous = schema.end(connection, self._study_id)
            if sealed >= length:
                raise JournalCorrupt(
                    f"study {self._name!r} must hold every fact that was written to it, those from {length} on are gone; "
                    f"restore it from a copy, or delete it"
                )
            if length == expect:
                if rows:
                    schema.append(connection, rows)
                    facts = [(kind, version, number, body) for _, _, kind, version, number, _, _, body in rows]
                    schema.seal(connection, self._study_id, expect, digest_of(previous, expect, facts))
                return
            at = connection.execute(schema.BATCH_AT, {"study": self._study_id, "position": expect}).first()
            # Where this very batch stands at its place, an earlier try was committed after all.
            if not rows or at is None or tuple(at) != (self._writer, self._batch):
                raise conflict(self._name, expect, length)

    def _connected(self) -> Connection:
        """The held connection, or a new one after a failure, with the right to write."""
        if self._connection is None:
            connection = self._database.write()
            try:
                if not self._right.claim(connection):
                    raise SequenceConflict(
                        f"study {self._name!r} was taken over by {self._right.holder()} while the connection was broken; "
                        f"read it again and continue from there"
                    )
            except BaseException:
                self._discard(connection)
                raise
            self._connection = connection
        return self._connection

    def _discard(self, connection: Connection) -> None:
        with contextlib.suppress(SQLAlchemyError, JournalError):
            connection.invalidate()
            connection.close()

    # -------------------------------------------------------------------------------------------- forks

    def pause(self) -> bool:
        """Hold off appends while the process forks; returns False if one in progress takes too long."""
        return self._mutex.acquire(timeout=_FORK_S)

    def resume(self) -> None:
        self._mutex.release()

    def forsake(self) -> None:
        """In a fork: never close the copy of the connection, since that would end the parent's session."""
        self._mutex = threading.Lock()
        if self._connection is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))  # beyond the end of the interpreter, too
            self._connection = None


_FORK_S = 0.5  # how long a fork waits for an append, which takes milliseconds unless it waits for a database
_journals: weakref.WeakSet[SqlJournal] = weakref.WeakSet()
_paused: list[SqlJournal] = []


def _before_fork() -> None:
    _paused.extend([journal for journal in list(_journals) if journal.pause()])


def _after_fork() -> None:
    while _paused:
        _paused.pop().resume()


def _after_fork_in_child() -> None:
    _paused.clear()
    for journal in list(_journals):
        journal.forsake()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
