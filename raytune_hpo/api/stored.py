"""Finding a study again: from its storage, or while it runs on a cluster."""

from __future__ import annotations

from typing import Any

from raytune_hpo import cluster
from raytune_hpo.api.run import Run
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.journal import open_storage
from raytune_hpo.results import Results


def load(name: str, storage: Any = None) -> Results:
    """The results of a stored study, finished or not, running or not.

    From outside a cluster (Ray Client), a storage that is a file is the one on the cluster's head node.

    Args:
        storage: as for Tuner.

    Raises:
        StudyNotFound: naming the nearest ones.
    """
    store = stored(storage)
    try:
        return Results.from_ledger(Ledger.fold(store.read(name)), storage=storage)
    finally:
        store.close()


def stored(storage: Any) -> Any:
    """The storage to read from: the words as for Tuner, understood where the studies are."""
    return cluster.remote_storage(storage) if cluster.is_remote() else open_storage(storage)


def attach(name: str) -> Run:
    """A study that runs on the cluster, from any process that can reach it.

    Raises:
        StudyNotFound: no such study runs there.
    """
    return Run(cluster.attach(name))
