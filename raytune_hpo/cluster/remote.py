"""Remote storages: stored studies, read through Ray on the machine that has them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import ray

from raytune_hpo.cluster.connecting import connect, connection
from raytune_hpo.cluster.environment import optimizer_needs, storage_words
from raytune_hpo.cluster.shells import READER, answer_of, hire, on_head, packed
from raytune_hpo.codec import Row, decode, to_row
from raytune_hpo.errors import ClusterError
from raytune_hpo.facts import Fact
from raytune_hpo.journal import Integrity, StudyRow, integrity_of, open_storage

ROWS_PER_CALL = 5_000


class StorageReader:
    """Reads a storage on its own machine. Runs in a Shell."""

    def __init__(self, storage: Any) -> None:
        self._storage = open_storage(storage)

    def studies(self) -> list[StudyRow]:
        return self._storage.studies()

    def read(self, name: str, start: int, limit: int) -> list[Row]:
        return list(islice(self._storage.rows(name, start), limit))

    def trial_facts(self, name: str, number: int) -> list[Row]:
        return [to_row(fact) for fact in self._storage.trial_facts(name, number)]

    def integrity(self, name: str) -> Integrity:
        return integrity_of(self._storage, name)

    def delete(self, name: str) -> None:
        self._storage.delete(name)


class RemoteStorage:
    """The reading methods of a Storage, through Ray.

    Raises:
        ClusterError: this process has left the cluster; all errors of the storage.
    """

    def __init__(self, reader: Any) -> None:
        self._reader, self._connection = reader, connection()

    def studies(self) -> list[StudyRow]:
        rows: list[StudyRow] = self._call("studies")
        return rows

    def read(self, name: str, start: int = 0) -> Iterator[Fact]:
        first = self._call("read", name, start, ROWS_PER_CALL)  # at once, so that a missing study raises at once
        return self._rest(name, start, first)

    def _rest(self, name: str, start: int, rows: list[Row]) -> Iterator[Fact]:
        while rows:
            yield from (decode(*row) for row in rows)
            start += len(rows)
            rows = self._call("read", name, start, ROWS_PER_CALL) if len(rows) == ROWS_PER_CALL else []

    def trial_facts(self, name: str, number: int) -> list[Fact]:
        return [decode(*row) for row in self._call("trial_facts", name, number)]

    def integrity(self, name: str) -> Integrity:
        found: Integrity = self._call("integrity", name)
        return found

    def delete(self, name: str) -> None:
        self._call("delete", name)

    def close(self) -> None:
        if self._connection == connection():  # else it has ended with the connection
            ray.kill(self._reader)

    def _call(self, method: str, *args: Any) -> Any:
        if self._connection != connection():  # Ray would start another cluster, and ask that
            raise ClusterError("this process has left the cluster whose storage it was reading; open the storage again")
        return answer_of(self._reader.call.remote(method, *args))


def open_remote(storage: Any) -> RemoteStorage:
    """Open a storage where the optimizer would write it: on the cluster's head node."""
    connect()
    storage = storage_words(storage)
    reader = hire(
        READER,
        f"{__name__}:StorageReader",
        packed(storage),
        needs=optimizer_needs(storage, None),
        **on_head(),
    )
    return RemoteStorage(reader)
