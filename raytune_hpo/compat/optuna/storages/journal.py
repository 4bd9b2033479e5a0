"""Journal storages, under Optuna's names. They write SQLite files in this package's format."""

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
    """A file in which studies are kept.

    Args:
        lock_obj: without effect; SQLite and ``raytune_hpo`` have their own locks.
    """

    def __init__(self, file_path: str, lock_obj: Any = None) -> None:
        self.file_path = file_path


class JournalFileSymlinkLock:
    """A lock of Optuna; accepted, without effect."""

    def __init__(self, filepath: str, grace_period: int | None = 30) -> None:
        self.filepath = filepath


class JournalFileOpenLock(JournalFileSymlinkLock):
    """A lock of Optuna; accepted, without effect."""


class JournalRedisBackend:
    """Not supported: there is no journal in Redis."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotCarried("JournalRedisBackend is not supported here; use a PostgreSQL or SQLite storage")


class JournalStorage(BaseStorage):
    """Studies in a file.

    Raises:
        TypeError: log_storage is no backend.
    """

    def __init__(self, log_storage: JournalFileBackend) -> None:
        if not isinstance(log_storage, JournalFileBackend):
            raise TypeError(f"JournalStorage takes a JournalFileBackend(file_path), got {log_storage!r}")
        super().__init__(f"sqlite:///{log_storage.file_path}")
