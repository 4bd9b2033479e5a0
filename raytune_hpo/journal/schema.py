"""The database schema: tables, statements on them, and the schema's version.

raytune_studies   a row for each study
raytune_writers   a row for each time the right to write one was taken
raytune_facts     a row for each fact: position, what it is, which writer's which batch it came in, and its JSON body
raytune_digests   a row for each batch of facts: the position of its first one, and its digest
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    bindparam,
    func,
    insert,
    inspect,
    select,
)
from sqlalchemy.exc import InternalError, ProgrammingError

from raytune_hpo.errors import JournalCorrupt, JournalError
from raytune_hpo.journal import views
from raytune_hpo.journal.database import cause

_log = logging.getLogger("raytune_hpo")

SCHEMA_VERSION = 3  # 3: views that look up one trial by the index
WITHOUT_DIGESTS = 1

metadata = MetaData()
schema = Table("raytune_schema", metadata, Column("version", Integer, nullable=False))
studies = Table(
    "raytune_studies",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
    sqlite_autoincrement=True,  # never reuses the id of a deleted study, whose lock may still be held
)
writers = Table(
    "raytune_writers",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_id", ForeignKey(studies.c.id), nullable=False),
    Column("owner", Text, nullable=False),
    Column("since", Double, nullable=False),
    sqlite_autoincrement=True,
)
facts = Table(
    "raytune_facts",
    metadata,
    Column("study_id", ForeignKey(studies.c.id), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("version", SmallInteger, nullable=False),
    Column("number", BigInteger),
    Column("writer", Integer, nullable=False),
    Column("batch", Integer, nullable=False),
    # Text in PostgreSQL too: JSONB would reorder keys, turn 1e22 into an integer and refuse "\u0000".
    Column("body", Text, nullable=False),
    Index("raytune_facts_by_number", "study_id", "number"),
    sqlite_with_rowid=False,
)
digests = Table(
    "raytune_digests",
    metadata,
    Column("study_id", ForeignKey(studies.c.id), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("digest", Text, nullable=False),
    sqlite_with_rowid=False,
)

# Statements that are run often are built once.
LENGTH = select(func.coalesce(func.max(facts.c.seq) + 1, 0)).where(facts.c.study_id == bindparam("study"))
# In one statement, since between two another batch may come.
BATCHES = (
    select(
        digests.c.seq,
        digests.c.digest,
        select(func.coalesce(func.max(facts.c.seq) + 1, 0))
        .where(facts.c.study_id == bindparam("study"))
        .scalar_subquery(),
    )
    .where(digests.c.study_id == bindparam("study"))
    .order_by(digests.c.seq)
)
BATCH_AT = select(facts.c.writer, facts.c.batch).where(
    facts.c.study_id == bindparam("study"), facts.c.seq == bindparam("position")
)
_ROWS = select(facts.c.seq, facts.c.kind, facts.c.version, facts.c.body, facts.c.number).order_by(facts.c.seq)
PAGE = _ROWS.where(facts.c.study_id == bindparam("study"), facts.c.seq.between(bindparam("first"), bindparam("last")))
OF_TRIAL = _ROWS.where(facts.c.study_id == bindparam("study"), facts.c.number == bindparam("number"))
SAVED = _ROWS.where(facts.c.study_id == bindparam("study"), facts.c.kind == "Saved")
STUDY_ID = select(studies.c.id).where(studies.c.name == bindparam("study_name"))
NAMES = select(studies.c.name).order_by(studies.c.id)
STUDIES = select(
    studies.c.name,
    studies.c.created_at,
    # One step down the primary key for each study, where counting would read every fact.
    select(func.coalesce(func.max(facts.c.seq) + 1, 0)).where(facts.c.study_id == studies.c.id).scalar_subquery(),
).order_by(studies.c.id)


def end(connection: Connection, study_id: int) -> tuple[int, int, str]:
    """The study's length, and its last digest: the position of its batch and itself, -1 and empty if there is none.

    By the driver's own API, as ``append``.
    """
    marker = _marker(connection)
    length, sealed, digest = connection.exec_driver_sql(
        f"SELECT (SELECT max(seq) + 1 FROM {facts.name} WHERE study_id = {marker}), "
        f"(SELECT max(seq) FROM {digests.name} WHERE study_id = {marker}), "
        f"(SELECT digest FROM {digests.name} WHERE study_id = {marker} ORDER BY seq DESC LIMIT 1)",
        (study_id, study_id, study_id),
    ).one()
    return length or 0, -1 if sealed is None else sealed, digest or ""


def append(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert whole rows into ``facts``, in the order of its columns.

    By the driver's own API: SQLAlchemy's processing of each row's parameters costs more than the database's work.
    """
    _insert(connection, facts, list(rows))


def seal(connection: Connection, study_id: int, first: int, digest: str) -> None:
    """Enter the digest of the batch that begins at a position."""
    _insert(connection, digests, (study_id, first, digest))


def _insert(connection: Connection, table: Table, rows: Any) -> None:
    markers = ", ".join([_marker(connection)] * len(table.columns))
    connection.exec_driver_sql(f"INSERT INTO {table.name} VALUES ({markers})", rows)


def _marker(connection: Connection) -> str:
    return "?" if connection.dialect.paramstyle == "qmark" else "%s"


def prepare(connection: Connection, where: str) -> None:
    """Create the tables and views, unless they are there, and add to those of an earlier version what they lack.

    Runs inside a transaction that excludes other writers. Views keep the columns that they have, in their places: others
    may be built on them. They are made anew where this release defines them otherwise.

    Raises:
        JournalError: the database is of a newer release, or belongs to another application.
    """
    version = version_of(connection, where)
    if version is not None:
        if version < SCHEMA_VERSION:
            if version == WITHOUT_DIGESTS:
                digests.create(connection)
            connection.execute(insert(schema).values(version=SCHEMA_VERSION))
        _renew_views(connection, where)
        return
    names = set(inspect(connection).get_table_names()) | set(inspect(connection).get_view_names())
    if foreign := names & {*metadata.tables, *views.VIEW_NAMES}:
        raise JournalError(
            f"{where} belongs to another application: {', '.join(sorted(foreign))} is there, and not ours; "
            f"use another file, database or schema"
        )
    metadata.create_all(connection, checkfirst=False)
    _run(connection, views.statements(connection.dialect.name))
    connection.execute(insert(schema).values(version=SCHEMA_VERSION))


def _renew_views(connection: Connection, where: str) -> None:
    """Put this release's views in the place of others. Where that cannot be done, these stay: a study does without them."""
    dialect = connection.dialect.name
    noted = connection.exec_driver_sql(views.noted(dialect)).scalar()
    if noted is not None and views.digest_of(dialect) in noted:
        return
    taken = inspect(connection).get_table_names()
    for anew in (False, True):  # PostgreSQL replaces no view by one in which a column has another type
        try:
            with connection.begin_nested():
                _run(connection, views.statements(dialect, taken, anew=anew))
        except (ProgrammingError, InternalError) as error:
            what = " ".join(str(cause(error)).split())
        else:
            return
    _log.warning(
        "the views of %s stay those of an earlier version, this one cannot replace them: %s; drop what is built on them, or "
        "let their owner resume a study, and they are made anew",
        where,
        what,
    )


def _run(connection: Connection, statements: Sequence[str]) -> None:
    for statement in statements:
        connection.exec_driver_sql(statement)


def version_of(connection: Connection, where: str) -> int | None:
    """The version of our tables, one that this release knows; None if there are none.

    Raises:
        JournalError: they are of a newer release.
        JournalCorrupt: the version is missing, or is not a number.
    """
    if not inspect(connection).has_table(schema.name):
        return None
    version = connection.execute(select(func.max(schema.c.version))).scalar()
    if not isinstance(version, int):
        raise JournalCorrupt(f"{where} has our tables but no schema version; restore it from a copy")
    if version > SCHEMA_VERSION:
        raise JournalError(
            f"{where} has schema version {version}, this release of raytune_hpo knows {SCHEMA_VERSION}; upgrade raytune_hpo"
        )
    return version
