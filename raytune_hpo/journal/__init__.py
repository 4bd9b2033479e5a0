"""Storages of studies and their journals: in memory, in a SQLite file, in PostgreSQL, or any registered storage.

``open_storage`` makes a Storage from a URL or path; its ``journal`` is the right to write one study, and its ``read`` lets
anyone follow it. SQLAlchemy is imported when a database is opened, not before. Storages of plug-ins derive from
``BaseStorage``; the functions below are the checks and messages that all storages share.
"""

from __future__ import annotations

from raytune_hpo.journal.digests import Integrity
from raytune_hpo.journal.memory import MemoryStorage
from raytune_hpo.journal.opening import open_storage
from raytune_hpo.journal.storage import (
    BaseStorage,
    Storage,
    StoredStudies,
    StudyRow,
    check_name,
    closed,
    conflict,
    integrity_of,
    missing,
    taken,
)

__all__ = [
    "BaseStorage",
    "Integrity",
    "MemoryStorage",
    "Storage",
    "StoredStudies",
    "StudyRow",
    "check_name",
    "closed",
    "conflict",
    "integrity_of",
    "missing",
    "open_storage",
    "taken",
]
