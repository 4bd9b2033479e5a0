"""Fetching of checkpoints to a local folder: from this disk, from another node's, or from a file system of fsspec."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from raytune_hpo.checkpoints.folders import measured
from raytune_hpo.checkpoints.temporary import temporary_folder

BYTES, DIGEST, NODE, URL = "bytes", "digest", "node", "url"  # of a record


class Nodes(Protocol):
    """Access to the disks of a cluster's nodes."""

    def bring(self, record: Mapping[str, Any], folder: Path) -> None:
        """Copy a checkpoint from the node on which it lies into an empty folder here.

        Raises:
            OSError: it cannot be copied.
        """
        ...

    def delete(self, record: Mapping[str, Any]) -> None:
        """Delete a checkpoint on its node."""
        ...


_ANOTHER = "what is there now is not what was saved"
nodes: list[Nodes] = []  # at most one: set when this process joins a cluster
_here: dict[str, Path] = {}  # folders that this process has fetched, by digest


def fetched(record: Mapping[str, Any]) -> Path:
    """A local folder with the contents of a checkpoint, fetched if necessary.

    Raises:
        OSError: it cannot be fetched.
        ValueError: its contents differ from what was saved.
    """
    url = record.get(URL)
    if url is None:
        raise ValueError("it was never copied here: the worker that ran the trial keeps it")
    place = Path(url)
    if DIGEST not in record and place.is_dir():
        return place
    if is_local(url) and place.is_dir():
        if _is_whole(place, record):
            return place
        if not is_elsewhere(record):
            raise ValueError(_ANOTHER)
    digest = str(record.get(DIGEST))
    if digest not in _here or not _here[digest].is_dir():
        folder = Path(tempfile.mkdtemp(dir=temporary_folder()))
        _bring(record, folder)
        if not _is_whole(folder, record):
            raise ValueError(_ANOTHER)
        _here[digest] = folder
    return _here[digest]


def is_local(url: str) -> bool:
    """Whether it is a path on a disk rather than a URL."""
    return "://" not in url


def is_elsewhere(record: Mapping[str, Any]) -> bool:
    """Whether it may be on the disk of another node that can be reached."""
    return record.get(NODE) is not None and bool(nodes)


def _bring(record: Mapping[str, Any], folder: Path) -> None:
    url = str(record[URL])
    if not is_local(url):
        from raytune_hpo.checkpoints.remote import download

        download(url, folder)
    elif is_elsewhere(record):
        nodes[0].bring(record, folder)
    else:
        node = record.get(NODE)
        raise FileNotFoundError(f"there is no such folder here{'' if node is None else f', it is on node {node}'}")


def _is_whole(folder: Path, record: Mapping[str, Any]) -> bool:
    return measured(folder)[1] == record.get(DIGEST)
