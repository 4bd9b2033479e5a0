"""Storage in a database, over SQLAlchemy Core. What differs between databases is in database.py."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

from sqlalchemy import Connection, Table, delete, insert

from raytune_hpo.checkpoints.deleting import delete_all
from raytune_hpo.codec import Row, decode
from raytune_hpo.errors import JournalCorrupt, StudyNotFound
from raytune_hpo.facts import Fact
from raytune_hpo.journal import schema
from raytune_hpo.journal.database import Database
from raytune_hpo.journal.digests import Integrity, verify
from raytune_hpo.journal.sqljournal import SqlJournal
from raytune_hpo.journal.storage import PATIENCE_S, BaseStorage, StudyRow, check_is_text, check_name, missing, taken

_PAGE = 4_000  # facts that are in memory at once while a study is read


class SqlStorage(BaseStorage):
    """Studies in one database.

    Args:
        patience_s: how long an append waits for a database that is gone, slow or full.
    """

    needs: ClassVar[Mapping[str, str]] = {"sqlalchemy": "SQLAlchemy"}

    def __init__(self, database: Database, *, patience_s: float = PATIENCE_S) -> None:
        self.url = database.url
        self._database = database
        self._patience_s = patience_s
        self._version: int | None = None  # of our tables, once they were seen: they never go away again

    def journal(self, name: str, *, create: bool, owner: str) -> SqlJournal:
        if create:
            check_name(name)
        else:
            self._locate(name)  # before a file is created
        with self._database.speaking_our_words():
            connection = self._database.write()
            try:
                return self._journal(connection, name, owner)
            except BaseException:
                connection.close()
                raise

    def read(self, name: str, start: int = 0) -> Iterator[Fact]:
        return (_fact(name, position, *row) for position, row in enumerate(self.rows(name, start), start))

    def rows(self, name: str, start: int = 0) -> Iterator[Row]:
        study_id, length = self._locate(name)  # at once, so that a missing study raises at once
        return ((kind, version, body) for _, kind, version, body, _ in self._rows(name, study_id, start, length))

    def trial_facts(self, name: str, number: int) -> list[Fact]:
        study_id, _ = self._locate(name)
        with self._reading() as connection:
            if connection is None:
                raise self._vanished(name)
            rows = connection.execute(schema.OF_TRIAL, {"study": study_id, "number": number}).all()
        return [_fact(name, *row[:4]) for row in rows]

    def integrity(self, name: str) -> Integrity:
        study_id, length = self._locate(name)
        with self._reading() as connection:
            if connection is None:
                raise self._vanished(name)
            with connection.begin():
                is_kept = schema.version_of(connection, self.url) != schema.WITHOUT_DIGESTS
                found = connection.execute(schema.BATCHES, {"study": study_id}).all() if is_kept else []
        batches = [(first, digest) for first, digest, _ in found]
        if found:
            length = found[0][2]
        start = batches[0][0] if batches else length
        facts = ((kind, v, number, body) for _, kind, v, body, number in self._rows(name, study_id, start, length))
        return verify(batches, facts, length)

    def studies(self) -> list[StudyRow]:
        with self._reading() as connection:
            rows = connection.execute(schema.STUDIES).all() if connection else []
        return [StudyRow(name=name, created_at=created_at, num_facts=length) for name, created_at, length in rows]

    def prepare(self) -> None:
        with self._database.speaking_our_words(), self._database.write() as connection, connection.begin():
            self._database.serialize(connection)
            schema.prepare(connection, self.url)

    def delete(self, name: str) -> None:
        study_id, _ = self._locate(name)
        with self._database.speaking_our_words(), self._database.write() as connection:
            right = self._database.right(study_id, name, "someone who deletes it")
            if not right.claim(connection):
                raise taken(name, right.holder(), to_delete=True)
            try:
                with connection.begin():
                    self._database.serialize(connection)
                    schema.prepare(connection, self.url)  # or an earlier version's would lack a table
                    saved = connection.execute(schema.SAVED, {"study": study_id}).all()
                    connection.execute(delete(schema.digests).where(schema.digests.c.study_id == study_id))
                    connection.execute(delete(schema.facts).where(schema.facts.c.study_id == study_id))
                    connection.execute(delete(schema.writers).where(schema.writers.c.study_id == study_id))
                    connection.execute(delete(schema.studies).where(schema.studies.c.id == study_id))
                # Only now, or a study that could not be deleted would lack them.
                delete_all(_readable(name, saved), self.url, name)
            finally:
                right.release()

    def _journal(self, connection: Connection, name: str, owner: str) -> SqlJournal:
        """Create the tables and the study if they are missing, take the right to write, and list the writer."""
        with connection.begin():
            self._database.serialize(connection)
            schema.prepare(connection, self.url)
            study_id: int | None = connection.execute(schema.STUDY_ID, {"study_name": name}).scalar()
            if study_id is None:
                study_id = _enter(connection, schema.studies, name=name, created_at=time.time())
        right = self._database.right(study_id, name, owner)
        if not right.claim(connection):
            raise taken(name, right.holder())
        try:
            with connection.begin():  # its rows are marked with its number in the list of writers
                if connection.execute(schema.STUDY_ID, {"study_name": name}).scalar() != study_id:
                    raise self._vanished(name)
                writer = _enter(connection, schema.writers, study_id=study_id, owner=owner, since=time.time())
            self._database.settle(connection)
        except BaseException:
            right.release()
            raise
        return SqlJournal(
            self,
            self._database,
            right,
            connection,
            name=name,
            study_id=study_id,
            writer=writer,
            patience_s=self._patience_s,
        )

    @contextmanager
    def _reading(self) -> Iterator[Connection | None]:
        """A connection for reading; None if there is no study of ours yet."""
        with self._database.speaking_our_words():
            connection = self._database.read()
            if connection is None:
                yield None
                return
            with connection:
                if self._version is None:
                    with connection.begin():
                        self._version = schema.version_of(connection, self.url)
                yield None if self._version is None else connection

    def _locate(self, name: str) -> tuple[int, int]:
        """The study's id and length.

        Raises:
            StudyNotFound: there is none; the message lists others.
            SpecError: the name is not text.
        """
        check_is_text(name)
        with self._reading() as connection:
            if connection is None:
                raise missing(name, self.url, [])
            study_id = connection.execute(schema.STUDY_ID, {"study_name": name}).scalar()
            if study_id is None:
                raise missing(name, self.url, list(connection.execute(schema.NAMES).scalars()))
            return int(study_id), int(connection.execute(schema.LENGTH, {"study": study_id}).scalar_one())

    def _rows(self, name: str, study_id: int, start: int, length: int) -> Iterator[Any]:
        """Rows of position, kind, version, body and number.

        They are read in pages, from a prefix that no longer changes: each page is a transaction, so a slow reader blocks no
        writer.
        """
        with self._reading() as connection:
            if connection is None:
                raise self._vanished(name)
            for first in range(start, length, _PAGE):
                last = min(first + _PAGE, length) - 1
                with connection.begin():
                    rows = connection.execute(schema.PAGE, {"study": study_id, "first": first, "last": last}).all()
                _check_gapless(name, [row[0] for row in rows], first, last)
                yield from rows

    def _vanished(self, name: str) -> StudyNotFound:
        return StudyNotFound(f"study {name!r} was deleted from {self.url} meanwhile")


def _check_gapless(name: str, positions: list[int], first: int, last: int) -> None:
    if positions == list(range(first, last + 1)):
        return
    gap = next(
        (want for want, got in zip(range(first, last + 1), positions, strict=False) if want != got),
        first + len(positions),
    )
    raise JournalCorrupt(
        f"study {name!r} must hold every fact from the first to the last, fact {gap} is not where it belongs; "
        f"restore the study from a copy"
    )


def _enter(connection: Connection, table: Table, **values: Any) -> int:
    """Insert a row and return its id."""
    key: Any = connection.execute(insert(table).values(values)).inserted_primary_key
    return int(key[0])


def _readable(name: str, rows: Iterable[Any]) -> Iterator[Fact]:
    """The facts in rows, without damaged ones, which must not prevent the deletion of a study."""
    for position, kind, version, body, _ in rows:
        with suppress(JournalCorrupt):
            yield _fact(name, position, kind, version, body)


def _fact(name: str, position: int, kind: str, version: int, body: str) -> Fact:
    try:
        return decode(kind, version, body)
    except (JournalCorrupt, TypeError) as error:  # in a damaged file a column may even have another type
        raise JournalCorrupt(f"fact {position} of study {name!r}: {error}") from error
