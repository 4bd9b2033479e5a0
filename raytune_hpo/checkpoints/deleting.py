"""Deleting checkpoints beside other work: nobody waits for a disk or a network to forget."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

from raytune_hpo.checkpoints.record import Checkpoint
from raytune_hpo.checkpoints.store import CheckpointStore

_log = logging.getLogger("raytune_hpo")


class Deleter:
    """Deletes the checkpoints of a study in a thread of its own. Called with one, it does so soon."""

    def __init__(self, store: CheckpointStore) -> None:
        self._store = store
        self._thread: ThreadPoolExecutor | None = None

    def __call__(self, checkpoint: Checkpoint) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="raytune_hpo-deleter")
        self._thread.submit(self._delete, checkpoint)

    def close(self) -> None:
        """Wait until all that was asked for is done."""
        if self._thread is not None:
            self._thread.shutdown()

    def _delete(self, checkpoint: Checkpoint) -> None:
        try:
            self._store.delete(checkpoint.record)
        except Exception as error:  # of any file system; what stays is swept when the study is opened next
            _log.warning("a checkpoint of trial %d could not be deleted: %s", checkpoint.number, error)
