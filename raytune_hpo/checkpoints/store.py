"""Stores of checkpoints: a folder, or a URL of a file system that fsspec supports, for the checkpoints of one study."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytune_hpo.checkpoints.fetching import BYTES, DIGEST, NODE, URL, is_elsewhere, is_local, nodes
from raytune_hpo.checkpoints.folders import measured, removed, swept, written
from raytune_hpo.checkpoints.temporary import temporary_folder
from raytune_hpo.errors import SpecError

Write = Callable[[Path], object]


@dataclass(frozen=True)
class CheckpointStore:
    """Keeps the checkpoints of one study.

    Args:
        url: the folder for them, which is created when it is needed.
        node: the id of the cluster's node on whose disk it is; None: it is the same from everywhere.
    """

    url: str
    node: str | None = None

    def save(self, number: int, attempt: int, step: int, write: Write) -> dict[str, Any]:
        """Write a checkpoint, which is complete and durable on return, and return its record.

        Args:
            write: called with an empty folder.

        Raises:
            OSError: it cannot be written.
        """
        name = folder_name(number, attempt, step)
        if not is_local(self.url):
            return self._upload(name, write)
        size, digest = written(Path(self.url), name, write)
        record = {URL: str(Path(self.url, name)), BYTES: size, DIGEST: digest}
        return record if self.node is None else {**record, NODE: self.node}

    def check(self) -> None:
        """Create the folder, so that one that cannot be written is refused before anything is trained. A URL is not tried.

        Raises:
            SpecError: it cannot be created.
        """
        if not is_local(self.url):
            return
        try:
            Path(self.url).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SpecError(
                f"checkpoints is a folder that can be written, got {self.url!r}: {error.strerror or error}"
            ) from error

    def delete(self, record: Mapping[str, Any]) -> None:
        """Delete a checkpoint, if it is there."""
        if URL not in record:
            return
        if is_local(record[URL]):
            removed(Path(record[URL]))
            if is_elsewhere(record) and record[NODE] != self.node:
                nodes[0].delete(record)
        else:
            from raytune_hpo.checkpoints.remote import delete

            delete(record[URL])

    def sweep_unknown(self, known: Iterable[Mapping[str, Any]]) -> None:
        """Delete everything that is not one of the checkpoints with these records."""
        self._sweep("", known)

    def sweep_of(self, number: int, known: Iterable[Mapping[str, Any]]) -> None:
        """Delete what earlier attempts of a trial have left, except the checkpoints with these records."""
        self._sweep(f"{number}-", known)

    def _sweep(self, prefix: str, known: Iterable[Mapping[str, Any]]) -> None:
        if is_local(self.url):
            names = {Path(record[URL]).name for record in known if URL in record}
            swept(Path(self.url), prefix, names.__contains__)

    def _upload(self, name: str, write: Write) -> dict[str, Any]:
        from raytune_hpo.checkpoints.remote import upload

        with tempfile.TemporaryDirectory(dir=temporary_folder()) as folder:
            write(Path(folder))
            size, digest = measured(Path(folder))
            url = f"{self.url.rstrip('/')}/{name}"
            upload(Path(folder), url)
        return {URL: url, BYTES: size, DIGEST: digest}


def folder_name(number: int, attempt: int, step: int) -> str:
    """The name of a checkpoint's folder, computed from the fields of its fact."""
    return f"{number}-{attempt}-{step}"


@dataclass(frozen=True)
class BriefStore(CheckpointStore):
    """A store of checkpoints that live no longer than this process: in memory if there is such a file system, and without
    syncing.
    """

    def save(self, number: int, attempt: int, step: int, write: Write) -> dict[str, Any]:
        place = f"{self.url}/{folder_name(number, attempt, step)}"
        try:
            os.mkdir(place)
        except FileNotFoundError:  # it is the first one
            os.makedirs(place)
        write(Path(place))
        return {URL: place}

    def delete(self, record: Mapping[str, Any]) -> None:
        folder = record[URL]
        try:
            for name in os.listdir(folder):
                os.unlink(f"{folder}/{name}")
            os.rmdir(folder)
        except OSError:  # it has folders in it, which take longer
            shutil.rmtree(folder, ignore_errors=True)

    def sweep_of(self, number: int, known: Iterable[Mapping[str, Any]]) -> None:
        """Do nothing: an attempt in this process cannot leave unrecorded checkpoints."""


def copy_of(folder: Any) -> Write:
    """A ``write`` function that copies an existing folder.

    Raises:
        OSError: there is no such folder.
    """
    source = Path(folder)
    if not source.is_dir():
        raise NotADirectoryError(f"a checkpoint is a folder, got {folder!r}")
    return lambda place: shutil.copytree(source, place, dirs_exist_ok=True)
