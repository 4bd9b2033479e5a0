"""Storages of studies under Optuna's names, and the studies that are open in this process."""

from __future__ import annotations

import atexit
import contextlib
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytune_hpo.codec import decode
from raytune_hpo.compat.optuna.directions import StudyDirection, direction_of_mode
from raytune_hpo.compat.optuna.exceptions import StorageInternalError
from raytune_hpo.compat.optuna.record import Record
from raytune_hpo.errors import HpoError, StudyNotFound
from raytune_hpo.facts import StudyCreated
from raytune_hpo.journal import MemoryStorage, Storage, open_storage

_IN_MEMORY = ("sqlite://", "sqlite:///:memory:")  # SQLAlchemy's URLs for databases in memory
_THEIRS = frozenset(("studies", "trials", "version_info"))  # tables that Optuna creates


@dataclass(frozen=True)
class FrozenStudy:
    """The description of a stored study: its name and the directions of its goals."""

    study_name: str
    directions: list[StudyDirection]

    @property
    def _study_id(self) -> str:
        return self.study_name

    @property
    def direction(self) -> StudyDirection:
        """The direction of the first goal."""
        return self.directions[0]


class BaseStorage:
    """The base of storages. The same object, or one of the same URL, may be given to several studies.

    Args:
        url: an SQLAlchemy URL; None: in memory, for as long as this object lives.

    Attributes:
        is_shared: whether its studies stay in this process when they are pickled, and other processes call them here.
    """

    is_shared = False

    def __init__(self, url: str | None = None) -> None:
        self.url = None if url in _IN_MEMORY else url
        self.studies = _OpenStudies(MemoryStorage()) if self.url is None else _opened(self.url)
        self.on_left: Callable[[Any, Any], object] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """The URL; for studies in memory, the rows of their journals."""
        storage = self.studies.storage
        rows = {each.name: list(map(tuple, storage.rows(each.name))) for each in storage.studies()}
        return {"url": self.url, "on_left": self.on_left, "rows": rows if self.url is None else {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        BaseStorage.__init__(self, state["url"])
        self.on_left = state["on_left"]
        for name, rows in state["rows"].items():
            journal = self.studies.storage.journal(name, create=True, owner="unpickled")
            journal.append([decode(kind, version, body) for kind, version, body in rows], expect=0)
            journal.close()

    def get_failed_trial_callback(self) -> Callable[[Any, Any], object] | None:
        """The function that is called with the study and each trial that a process left running when it ended."""
        return self.on_left

    def remove_session(self) -> None:
        """Does nothing: there are no sessions."""

    def study_names(self) -> list[str]:
        """The names of all studies in the storage."""
        return [row.name for row in self.studies.storage.studies()]

    def get_all_studies(self) -> list[FrozenStudy]:
        """The studies in the storage."""
        return [self._frozen(name) for name in self.study_names()]

    def get_study_id_from_name(self, study_name: str) -> str:
        """The id of a study, which is its name.

        Raises:
            KeyError: there is none of that name.
        """
        return self._frozen(study_name)._study_id

    def get_study_name_from_id(self, study_id: str) -> str:
        """The name of a study.

        Raises:
            KeyError: there is none of that id.
        """
        return self._frozen(study_id).study_name

    def get_study_directions(self, study_id: str) -> list[StudyDirection]:
        """The directions of a study's goals.

        Raises:
            KeyError: there is none of that id.
        """
        return self._frozen(study_id).directions

    def get_n_trials(self, study_id: str) -> int:
        """The number of a study's trials, enqueued ones included.

        Raises:
            KeyError: there is none of that id.
        """
        ledger = self.studies.record(study_id).ledger
        return len(ledger.trials) + len(ledger.enqueued)

    def _frozen(self, name: str) -> FrozenStudy:
        created = next(iter(self.studies.storage.read(name)))
        assert isinstance(created, StudyCreated), "a journal begins with it"
        return FrozenStudy(name, [direction_of_mode(goal["mode"]) for goal in created.spec["goals"]])


class InMemoryStorage(BaseStorage):
    """Studies in memory."""

    def __init__(self) -> None:
        super().__init__()


class RDBStorage(BaseStorage):
    """Studies in a database, SQLite or PostgreSQL, in this package's own tables.

    Args:
        heartbeat_interval, grace_period: without effect: trials that an ended process left running fail when their study
            is opened.
        failed_trial_callback, heartbeat_stale_trial_callback: called with these trials.
        engine_kwargs, skip_compatibility_check, skip_table_creation: for Optuna's own database; without effect.
    """

    def __init__(
        self,
        url: str,
        engine_kwargs: dict[str, Any] | None = None,
        skip_compatibility_check: bool = False,
        *,
        heartbeat_interval: int | None = None,
        grace_period: int | None = None,
        failed_trial_callback: Callable[[Any, Any], object] | None = None,
        heartbeat_stale_trial_callback: Callable[[Any, Any], object] | None = None,
        skip_table_creation: bool = False,
    ) -> None:
        super().__init__(url)
        self.on_left = heartbeat_stale_trial_callback or failed_trial_callback


class _OpenStudies:
    """The studies of one storage that are open in this process, which may open each for writing only once."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._records: dict[str, Record] = {}
        self._lock = threading.Lock()

    def has(self, name: str) -> bool:
        """Whether there is a study of that name."""
        try:
            return next(iter(self.storage.read(name)), None) is not None
        except StudyNotFound:
            return False

    def new(self, name: str, make: Callable[[Storage], Record]) -> Record:
        """The record of a new study."""
        with self._lock:
            record = make(self.storage)
            self._records[name] = record
            return record

    def record(self, name: str) -> Record:
        """The record of an existing study.

        Raises:
            StudyNotFound: there is no study of that name.
        """
        with self._lock:
            found = self._records.get(name)
            if found is None:
                found = self._records[name] = Record.stored(name, self.storage)
            return found

    def close(self) -> None:
        """Close the open studies."""
        with self._lock:
            for record in self._records.values():
                record.close()
            self._records.clear()

    def delete(self, name: str) -> None:
        """Delete a study."""
        with self._lock:
            found = self._records.pop(name, None)
            if found is not None:
                found.close()
            self.storage.delete(name)


_places: dict[str, _OpenStudies] = {}
_lock = threading.Lock()


def _opened(url: str) -> _OpenStudies:
    storage = open_storage(url)
    with _lock:
        if storage.url not in _places:
            _refuse_optunas(url)
            if not _places:
                atexit.register(_close_all)
            _places[storage.url] = _OpenStudies(storage)
        return _places[storage.url]


def _close_all() -> None:
    """Close all journals, before the interpreter's shutdown makes that impossible."""
    for place in _places.values():
        place.close()


def _refuse_optunas(url: str) -> None:
    """Refuse a database that Optuna wrote, whose tables must not be changed.

    Raises:
        StorageInternalError: the database is Optuna's.
    """
    path = Path(url.partition(":///")[2].partition("?")[0])
    if not url.startswith("sqlite") or not path.is_file() or path.stat().st_size == 0:
        return
    way_out = "raytune_hpo.integrations.optuna.from_optuna brings its studies here; name another file, this one stays"
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    except sqlite3.DatabaseError:
        raise StorageInternalError(
            f"{path} is no SQLite file, perhaps a journal that Optuna wrote; {way_out}"
        ) from None
    if {name for (name,) in rows} >= _THEIRS:
        raise StorageInternalError(f"{path} is a database that Optuna wrote; {way_out}")


def storage_of(storage: Any) -> BaseStorage:
    """The storage that a script names: by a URL, as a storage, or None for memory.

    Raises:
        HpoError: it is something else.
    """
    if storage is None:
        return InMemoryStorage()
    if isinstance(storage, str):
        return RDBStorage(storage)
    place = getattr(storage, "place", storage)  # a script may have taken it from a study
    if isinstance(place, BaseStorage):
        return place
    raise HpoError(
        f"a storage is a URL, or an object of raytune_hpo.compat.optuna.storages, got {storage!r}; "
        f"one of Optuna's own is not ours to write"
    )
