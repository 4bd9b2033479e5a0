"""Fetching a checkpoint to where it can be read: from this disk, through a file system that fsspec knows, or a carrier."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from raytune_hpo.checkpoints.folders import measured
from raytune_hpo.checkpoints.record import DIGEST, NODE, URL

# Bring a folder from another node's disk into an empty one here; whoever knows the nodes puts itself in.
Carrier = Callable[[Mapping[str, Any], Path], None]
carriers: list[Carrier] = []

_here: dict[str, Path] = {}  # what was fetched by this process, by digest
_home: list[tempfile.TemporaryDirectory[str]] = []  # of what was fetched; it goes with the process


def fetched(record: Mapping[str, Any]) -> Path:
    """A local folder with what the record stands for.

    Raises:
        OSError: it cannot be had.
        ValueError: it is not what was saved.
    """
    url = record.get(URL)
    if url is None:
        raise ValueError("whoever ran the trial has kept it")
    if is_local(url) and Path(url).is_dir():
        return _checked(Path(url), record)
    digest = str(record.get(DIGEST))
    if digest not in _here or not _here[digest].is_dir():
        folder = Path(tempfile.mkdtemp(dir=_folder()))
        _bring(record, folder)
        _here[digest] = _checked(folder, record)
    return _here[digest]


def is_local(url: str) -> bool:
    """Whether it is the path of a folder on a disk, not the URL of something else."""
    return "://" not in url


def _bring(record: Mapping[str, Any], folder: Path) -> None:
    url = str(record[URL])
    if not is_local(url):
        from raytune_hpo.checkpoints.remote import download

        download(url, folder)
        return
    for carrier in carriers:
        if record.get(NODE) is not None:
            carrier(record, folder)
            return
    raise FileNotFoundError(f"there is no such folder here{_on_node(record)}")


def _on_node(record: Mapping[str, Any]) -> str:
    node = record.get(NODE)
    return "" if node is None else f", it is on the disk of node {node}"


def _checked(folder: Path, record: Mapping[str, Any]) -> Path:
    if measured(folder)[1] != record.get(DIGEST):
        raise ValueError("what is there now is not what was saved")
    return folder


def _folder() -> str:
    if not _home:
        _home.append(tempfile.TemporaryDirectory(prefix="raytune_hpo-checkpoints-"))
    return _home[0].name
