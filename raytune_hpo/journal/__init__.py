"""Where studies are remembered: in memory, in a SQLite file, or in PostgreSQL.

``open_storage`` turns what a user typed into a Storage; its ``journal`` is the right to write one study, and its ``read``
lets anyone follow. SQLAlchemy is imported when a database is opened, not before.
"""

from __future__ import annotations

from raytune_hpo.journal.memory import MemoryStorage
from raytune_hpo.journal.opening import open_storage
from raytune_hpo.journal.storage import Storage, StudyRow

__all__ = ["MemoryStorage", "Storage", "StudyRow", "open_storage"]
