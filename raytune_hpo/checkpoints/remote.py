"""Checkpoints in the file systems that fsspec knows: s3://, gs://, memory:// ..."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raytune_hpo.errors import SpecError


def upload(folder: Path, url: str) -> None:
    """Copy a folder's files to a URL. The rest of an interrupted copy is not a checkpoint, as no fact refers to it.

    Raises:
        OSError: they cannot be written.
    """
    delete(url)
    system, root = _opened(url)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            target = f"{root}/{path.relative_to(folder).as_posix()}"
            system.makedirs(target.rpartition("/")[0], exist_ok=True)
            system.put_file(str(path), target)


def download(url: str, folder: Path) -> None:
    """Copy the files at a URL into an empty folder.

    Raises:
        OSError: they cannot be read.
    """
    system, root = _opened(url)
    names = system.find(root)
    if not names:
        raise FileNotFoundError(f"there is nothing at {url}")
    for name in names:
        target = folder / name[len(root) :].lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        system.get_file(name, str(target))


def delete(url: str) -> None:
    """Delete the files at a URL, if any: one by one, since deleting a folder would take a ``*`` in it for a pattern."""
    system, root = _opened(url)
    for name in system.find(root):
        system.rm_file(name)


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
