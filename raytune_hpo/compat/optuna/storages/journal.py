"""Journal storages, under Optuna's names. What is written is a SQLite file of ours."""

from __future__ import annotations

from typing import Any

from raytune_hpo.compat.optuna.exceptions import NotCarried
from raytune_hpo.compat.optuna.storages.places import BaseStorage

__all__ = [
    "JournalFileBackend",
    "JournalFileOpenLock",
    "JournalFileSymlinkLock",
    "JournalRedisBackend",
    "JournalStorage",
]


class JournalFileBackend:
    """A file that studies are kept in.

    Args:
        lock_obj: not needed; SQLite and ``raytune_hpo`` have locks of their own.
    """

    def __init__(self, file_path: str, lock_obj: Any = None) -> None:
        self.file_path = file_path


class JournalFileSymlinkLock:
    """A lock of Optuna's; taken, and not needed."""

    def __init__(self, filepath: str, grace_period: int | None = 30) -> None:
        self.filepath = filepath


class JournalFileOpenLock(JournalFileSymlinkLock):
    """A lock of Optuna's; taken, and not needed."""


class JournalRedisBackend:
    """Not carried: there is no journal in Redis."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotCarried("JournalRedisBackend is not carried; use a PostgreSQL or SQLite storage")


class JournalStorage(BaseStorage):
    """Studies in a file."""

    def __init__(self, log_storage: JournalFileBackend) -> None:
        super().__init__(f"sqlite:///{log_storage.file_path}")
