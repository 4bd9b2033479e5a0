"""Access to existing studies: load one from its storage, or attach to one that runs on a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from raytune_hpo import cluster
from raytune_hpo.api.run import Run
from raytune_hpo.cluster.head_here import head_here
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.journal import StoredStudies, open_storage
from raytune_hpo.journal.opening import STORAGE_VARIABLE
from raytune_hpo.results import Results


def load(name: str, storage: Any = None) -> Results:
    """The results of a stored study, whether or not it has ended.

    From outside a cluster (Ray Client), a storage that is a file is the one on the cluster's head node.

    Args:
        storage: as for Tuner.

    Raises:
        StudyNotFound: no study has that name; the message gives the nearest ones.
    """
    with opened(storage) as studies:
        return Results.from_ledger(Ledger.fold(studies.read(name)), storage=storage)


@contextmanager
def opened(
    storage: Any = None, address: str | None = None, *, connect: Callable[[str], None] | None = None
) -> Iterator[StoredStudies]:
    """Stored studies, to read or delete them. ``storage`` is as for Tuner, on the machine where the studies are.

    Args:
        address: of a cluster whose head node has the studies; if that is this machine and this user's, they are read
            without Ray. None: this machine, or the head node of the cluster to which this process is connected from
            outside.
        connect: connects to the cluster, in place of ``cluster.connect``.
    """
    studies: StoredStudies
    if (here := _storage_here(storage, address)) is not None:
        studies = open_storage(here)
    else:
        if address is not None:
            (connect or cluster.connect)(address)
        is_elsewhere = address is not None or cluster.is_remote()
        studies = cluster.remote_storage(storage) if is_elsewhere else open_storage(storage)
    try:
        yield studies
    finally:
        studies.close()


def _storage_here(storage: Any, address: str | None) -> Any:
    """The storage of a cluster by its name on this machine, if this is the head node; None if Ray is needed."""
    if address is None:
        return None
    named = storage if storage is not None else os.environ.get(STORAGE_VARIABLE) or None
    if named is not None and address.startswith("ray://"):  # relative to a folder of the head node
        return None
    head = head_here(address)
    default = None if head is None else head.storage
    return default if named is None or default is None else named


def attach(name: str) -> Run:
    """Attach to a study that runs on the cluster, from any process that can reach it.

    Raises:
        StudyNotFound: no such study runs there.
    """
    return Run(cluster.attach(name))
