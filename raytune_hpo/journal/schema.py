"""The tables, the statements on them, and their version.

raytune_studies   a row for each study
raytune_writers   a row for each time someone took the right to write one
raytune_facts     a row for each fact: position, what it is, which writer's which batch it came in, and its JSON body
"""

from __future__ import annotations

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

from raytune_hpo.errors import JournalCorrupt, JournalError
from raytune_hpo.journal import views

SCHEMA_VERSION = 1

metadata = MetaData()
schema = Table("raytune_schema", metadata, Column("version", Integer, nullable=False))
studies = Table(
    "raytune_studies",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
    sqlite_autoincrement=True,  # never the id of a study that was deleted: someone may still hold its lock
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

# Statements that are run often are built once.
LENGTH = select(func.coalesce(func.max(facts.c.seq) + 1, 0)).where(facts.c.study_id == bindparam("study"))
BATCH_AT = select(facts.c.writer, facts.c.batch).where(
    facts.c.study_id == bindparam("study"), facts.c.seq == bindparam("position")
)
_ROWS = select(facts.c.seq, facts.c.kind, facts.c.version, facts.c.body).order_by(facts.c.seq)
PAGE = _ROWS.where(facts.c.study_id == bindparam("study"), facts.c.seq.between(bindparam("first"), bindparam("last")))
OF_TRIAL = _ROWS.where(facts.c.study_id == bindparam("study"), facts.c.number == bindparam("number"))
STUDY_ID = select(studies.c.id).where(studies.c.name == bindparam("study_name"))
NAMES = select(studies.c.name).order_by(studies.c.id)
STUDIES = select(
    studies.c.name,
    studies.c.created_at,
    # One step down the primary key for each study, where counting would read every fact.
    select(func.coalesce(func.max(facts.c.seq) + 1, 0)).where(facts.c.study_id == studies.c.id).scalar_subquery(),
).order_by(studies.c.id)


def append(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert whole rows into ``facts``, in the order of its columns.

    In the driver's own words: what SQLAlchemy does to the parameters of each row costs more than the database's work.
    """
    marker = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    markers = ", ".join([marker] * len(facts.columns))
    connection.exec_driver_sql(f"INSERT INTO {facts.name} VALUES ({markers})", list(rows))


def prepare(connection: Connection, where: str) -> None:
    """Create the tables and views, unless they are there. Runs inside a transaction that excludes other writers.

    Raises:
        JournalError: the database is of a newer release, or belongs to another application.
    """
    if is_ours(connection, where):
        return
    names = set(inspect(connection).get_table_names()) | set(inspect(connection).get_view_names())
    if foreign := names & {*metadata.tables, *views.VIEW_NAMES}:
        raise JournalError(
            f"{where} belongs to another application: {', '.join(sorted(foreign))} is there, and not ours; "
            f"use another file, database or schema"
        )
    metadata.create_all(connection, checkfirst=False)
    for statement in views.statements(connection.dialect.name):
        connection.exec_driver_sql(statement)
    connection.execute(insert(schema).values(version=SCHEMA_VERSION))


def is_ours(connection: Connection, where: str) -> bool:
    """Whether our tables are there, in a version that this release knows; False if there are none.

    Raises:
        JournalError: they are of a newer release.
        JournalCorrupt: the version is missing, or is not a number.
    """
    if not inspect(connection).has_table(schema.name):
        return False
    version = connection.execute(select(func.max(schema.c.version))).scalar()
    if not isinstance(version, int):
        raise JournalCorrupt(f"{where} has our tables but no schema version; restore it from a copy")
    if version > SCHEMA_VERSION:
        raise JournalError(
            f"{where} has schema version {version}, this release of raytune_hpo knows {SCHEMA_VERSION}; upgrade raytune_hpo"
        )
    return True
