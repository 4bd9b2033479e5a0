"""Checkpoints as scripts for Ray Tune handle them: a folder, or before Ray 2.7 a dict."""

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
    """This machine's files, as pyarrow knows them."""
    from pyarrow.fs import LocalFileSystem

    return LocalFileSystem()


class Checkpoint:
    """A folder that holds what a trial needs to go on.

    Args:
        path: of the folder.

    Raises:
        NotCarried: a URL, or another file system than this machine's.
    """

    def __init__(self, path: str | PathLike[str], filesystem: Any = None) -> None:
        if "://" in str(path) or not (filesystem is None or type(filesystem).__name__ == "LocalFileSystem"):
            raise NotCarried(
                f"a Checkpoint is a folder of this machine here, got {path}; download it, or keep checkpoints there with "
                f"hpo.Tuner(checkpoints='s3://...')"
            )
        self.path = os.fspath(path)
        self._temporary: tempfile.TemporaryDirectory[str] | None = None  # goes with this object

    @property
    def filesystem(self) -> Any:
        """The file system that the folder is in, which is this machine's."""
        return local_file_system()

    @classmethod
    def from_directory(cls, path: str | PathLike[str]) -> Checkpoint:
        """The checkpoint in a folder."""
        return cls(path)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Checkpoint:
        """A checkpoint that holds a dict, as before Ray 2.7."""
        made = cls.temporary()
        (Path(made.path) / DICT).write_bytes(cloudpickle.dumps(dict(data)))
        return made

    @classmethod
    def temporary(cls) -> Checkpoint:
        """A checkpoint in an empty folder, which is there as long as this object."""
        folder = tempfile.TemporaryDirectory(prefix="checkpoint_", ignore_cleanup_errors=True)
        made = cls(folder.name)
        made._temporary = folder
        return made

    def to_dict(self) -> dict[str, Any]:
        """The dict that it was made of.

        Raises:
            ValueError: it was made of a folder.
        """
        file = Path(self.path) / DICT
        if not file.is_file():
            raise ValueError(
                f"to_dict needs a checkpoint made by from_dict, {self.path} is a folder; use as_directory()"
            )
        data: dict[str, Any] = cloudpickle.loads(file.read_bytes())
        return data

    def to_directory(self, path: str | PathLike[str] | None = None) -> str:
        """Copy its files into a folder, by default a temporary one; the folder's path."""
        target = tempfile.mkdtemp(prefix="checkpoint_") if path is None else os.fspath(path)
        shutil.copytree(self.path, target, dirs_exist_ok=True)
        return target

    @contextlib.contextmanager
    def as_directory(self) -> Iterator[str]:
        """A folder with its files, to be read."""
        yield self.path

    def get_metadata(self) -> dict[str, Any]:
        """What ``set_metadata`` has kept with it."""
        file = Path(self.path) / METADATA
        if not file.is_file():
            return {}
        data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return data

    def set_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Keep JSON values with it, in place of what was kept before."""
        (Path(self.path) / METADATA).write_text(json.dumps(dict(metadata)), encoding="utf-8")

    def update_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Keep further JSON values with it."""
        self.set_metadata({**self.get_metadata(), **metadata})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Checkpoint) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        return f"Checkpoint(filesystem=local, path={self.path})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Checkpoint, (self.path,)
