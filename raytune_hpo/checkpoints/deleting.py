"""Deletion of checkpoints in the background, so that nothing waits for a disk or a network."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from raytune_hpo.checkpoints.fetching import URL
from raytune_hpo.checkpoints.places import is_own_place
from raytune_hpo.checkpoints.record import Checkpoint
from raytune_hpo.checkpoints.store import CheckpointStore, folder_name
from raytune_hpo.facts import Fact, Saved

_log = logging.getLogger("raytune_hpo")


class Deleter:
    """Deletes checkpoints of a study in a background thread. A call queues one."""

    def __init__(self, store: CheckpointStore) -> None:
        self._store = store
        self._thread: ThreadPoolExecutor | None = None

    def __call__(self, checkpoint: Checkpoint) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="raytune_hpo-deleter")
        self._thread.submit(self._delete, checkpoint)

    def close(self) -> None:
        """Wait until all queued checkpoints are deleted."""
        if self._thread is not None:
            self._thread.shutdown()

    def _delete(self, checkpoint: Checkpoint) -> None:
        try:
            self._store.delete(checkpoint.record)
        except Exception as error:  # of any file system; what stays is swept when the study is opened next
            _log.warning("a checkpoint of trial %d could not be deleted: %s", checkpoint.number, error)


def delete_all(facts: Iterable[Fact], storage: str, study: str) -> None:
    """Delete all checkpoints of a study that was deleted, and its own folder.

    What cannot be deleted stays, with a warning, since no record refers to it any more.

    Args:
        facts: the study's facts, at least those about checkpoints.
        storage: the URL of the study's storage.
    """
    urls = [str(fact.checkpoint[URL]) for fact in facts if isinstance(fact, Saved) and _is_ours(fact)]
    own = [place for place in dict.fromkeys(map(_folder, urls)) if is_own_place(place, storage, study)]
    for url in [*own, *(url for url in urls if _folder(url) not in own)]:
        try:
            CheckpointStore(url).delete({URL: url})
        except Exception as error:  # of any file system
            _log.warning("checkpoints of study %r could not be deleted from %s: %s", study, url, error)


def _is_ours(fact: Saved) -> bool:
    """Whether a checkpoint is where a store puts it: a journal that was tampered with must not delete anything else."""
    name = str(fact.checkpoint.get(URL, "")).rpartition("/")[2]
    return name == folder_name(fact.number, fact.attempt, fact.step)


def _folder(url: str) -> str:
    return url.rpartition("/")[0]
