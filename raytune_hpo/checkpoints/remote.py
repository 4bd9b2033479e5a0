"""Checkpoints in the file systems that fsspec knows: s3://, gs://, memory:// ..."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from raytune_hpo.checkpoints.folders import paths_below, removed
from raytune_hpo.errors import SpecError

_FOLDERS = ".raytune_hpo-folders.json"  # beside the files: the names of all folders, since a file system may have none


def upload(folder: Path, url: str) -> None:
    """Copy a folder to a URL. The rest of an interrupted copy is not a checkpoint, as no fact refers to it.

    Raises:
        OSError: it cannot be written.
    """
    delete(url)
    system, root = _opened(url)
    below = list(paths_below(folder))
    names = [path.relative_to(folder).as_posix() for path in below]
    system.makedirs(root, exist_ok=True)
    system.pipe_file(
        f"{root}/{_FOLDERS}", json.dumps([n for n, path in zip(names, below, strict=True) if path.is_dir()]).encode()
    )
    for name, path in zip(names, below, strict=True):
        if not path.is_dir():
            target = f"{root}/{name}"
            system.makedirs(target.rpartition("/")[0], exist_ok=True)
            system.put_file(str(path), target)


def download(url: str, folder: Path) -> None:
    """Copy what is at a URL into an empty folder.

    Raises:
        OSError: it cannot be read.
    """
    system, root = _opened(url)
    names = system.find(root)
    if not names:
        raise FileNotFoundError(f"there is nothing at {url}")
    for name in names:
        below = name[len(root) :].lstrip("/")
        if below == _FOLDERS:  # which earlier releases did not write
            for made in json.loads(system.cat_file(name)):
                (folder / made).mkdir(parents=True, exist_ok=True)
            continue
        target = folder / below
        target.parent.mkdir(parents=True, exist_ok=True)
        system.get_file(name, str(target))


def delete(url: str) -> None:
    """Delete what is at a URL, if anything: one by one, since deleting a folder would take a ``*`` in it for a pattern."""
    from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

    system, root = _opened(url)
    for name in system.find(root):
        system.rm_file(name)
    if isinstance(system, LocalFileSystem):
        removed(Path(root))  # folders, which most other systems do not have


def check(url: str) -> None:
    """Check that there is a file system for a URL.

    Raises:
        SpecError: there is none, or its package is not installed.
    """
    try:
        _opened(url)
    except (ImportError, ValueError) as error:
        raise SpecError(
            f"checkpoints is a folder or a URL that fsspec knows, such as s3://bucket/path, got {url!r}: {error}; for S3, "
            f"pip install 'raytune_hpo[remote]'"
        ) from error


def _opened(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs  # type: ignore[import-untyped]

    system, root = url_to_fs(url)
    return system, str(root)
