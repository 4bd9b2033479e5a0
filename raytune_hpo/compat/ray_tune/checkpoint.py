"""Checkpoints in the form that scripts for Ray Tune expect: a folder or, before Ray 2.7, a dict."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import cloudpickle

from raytune_hpo.compat.ray_tune.error import NotCarried

METADATA = ".metadata.json"
DICT = "dict_checkpoint.pkl"  # the file of a checkpoint that was made of a dict


def local_file_system() -> Any:
    """The local file system of pyarrow."""
    from pyarrow.fs import LocalFileSystem

    return LocalFileSystem()


class Checkpoint:
    """A folder from which a trial can be resumed.

    Args:
        path: of the folder.

    Raises:
        NotCarried: the path is a URL, or the file system is not this machine's.
    """

    def __init__(self, path: str | PathLike[str], filesystem: Any = None) -> None:
        if "://" in str(path) or not (filesystem is None or type(filesystem).__name__ == "LocalFileSystem"):
            raise NotCarried(
                f"a Checkpoint is a folder of this machine here, got {path}; download it, or keep checkpoints there with "
                f"hpo.Tuner(checkpoints='s3://...')"
            )
        self.path = os.fspath(path)
        self._temporary: tempfile.TemporaryDirectory[str] | None = None  # removed with this object

    @property
    def filesystem(self) -> Any:
        """The file system of the folder, which is this machine's."""
        return local_file_system()

    @classmethod
    def from_directory(cls, path: str | PathLike[str]) -> Checkpoint:
        """The checkpoint in a folder."""
        return cls(path)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Checkpoint:
        """A checkpoint that contains a dict, as before Ray 2.7."""
        made = cls.temporary()
        (Path(made.path) / DICT).write_bytes(cloudpickle.dumps(dict(data)))
        return made

    @classmethod
    def temporary(cls) -> Checkpoint:
        """A checkpoint in an empty folder, which exists as long as this object."""
        folder = tempfile.TemporaryDirectory(prefix="checkpoint_", ignore_cleanup_errors=True)
        made = cls(folder.name)
        made._temporary = folder
        return made

    def to_dict(self) -> dict[str, Any]:
        """The dict from which the checkpoint was made.

        Raises:
            ValueError: it was made from a folder.
        """
        file = Path(self.path) / DICT
        if not file.is_file():
            raise ValueError(
                f"to_dict needs a checkpoint made by from_dict, {self.path} is a folder; use as_directory()"
            )
        data: dict[str, Any] = cloudpickle.loads(file.read_bytes())
        return data

    def to_directory(self, path: str | PathLike[str] | None = None) -> str:
        """Copy the files into a folder, by default a temporary one, and return its path."""
        target = tempfile.mkdtemp(prefix="checkpoint_") if path is None else os.fspath(path)
        shutil.copytree(self.path, target, dirs_exist_ok=True)
        return target

    @contextlib.contextmanager
    def as_directory(self) -> Iterator[str]:
        """A folder with the checkpoint's files, for reading."""
        yield self.path

    def get_metadata(self) -> dict[str, Any]:
        """The metadata stored by ``set_metadata``."""
        file = Path(self.path) / METADATA
        if not file.is_file():
            return {}
        data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return data

    def set_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Store JSON values with the checkpoint, replacing its metadata."""
        (Path(self.path) / METADATA).write_text(json.dumps(dict(metadata)), encoding="utf-8")

    def update_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Add JSON values to the checkpoint's metadata."""
        self.set_metadata({**self.get_metadata(), **metadata})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Checkpoint) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        return f"Checkpoint(filesystem=local, path={self.path})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Checkpoint, (self.path,)
