"""Artifact stores."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

from raytune_hpo.compat.optuna.artifacts.exceptions import ArtifactNotFound
from raytune_hpo.compat.optuna.exceptions import NotCarried

T = TypeVar("T")


class ArtifactStore(Protocol):
    """The interface of artifact stores; a script may have its own."""

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """The artifact, to be read."""
        ...

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Keep an artifact."""
        ...

    def remove(self, artifact_id: str) -> None:
        """Forget an artifact."""
        ...


class FileSystemArtifactStore:
    """Artifacts in a folder."""

    def __init__(self, base_path: str | Path) -> None:
        self._base_path = Path(base_path)

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """The artifact, to be read.

        Raises:
            ArtifactNotFound: there is none of that name.
        """
        return self._existing(artifact_id).open("rb")

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Keep an artifact."""
        with self._path(artifact_id).open("wb") as file:
            shutil.copyfileobj(content_body, file)

    def remove(self, artifact_id: str) -> None:
        """Forget an artifact.

        Raises:
            ArtifactNotFound: there is none of that name.
        """
        self._existing(artifact_id).unlink()

    def _existing(self, artifact_id: str) -> Path:
        path = self._path(artifact_id)
        if not path.is_file():
            raise ArtifactNotFound(f"{self._base_path} holds no artifact {artifact_id!r}")
        return path

    def _path(self, artifact_id: str) -> Path:
        path = self._base_path / artifact_id
        if path.resolve().parent != self._base_path.resolve():
            raise ArtifactNotFound(f"the name of an artifact has no folders in it, got {artifact_id!r}")
        return path


class Backoff:
    """A store that retries failed calls, with exponential backoff.

    Args:
        max_retries: how often a call is tried in all.
        multiplier: the factor by which each wait is longer than the one before.
        min_delay, max_delay: the first wait and the longest, in seconds.
    """

    def __init__(
        self,
        backend: ArtifactStore,
        *,
        max_retries: int = 10,
        multiplier: float = 2,
        min_delay: float = 0.1,
        max_delay: float = 30,
    ) -> None:
        self._backend = backend
        self._waits = [min(min_delay * multiplier**n, max_delay) for n in range(max_retries - 1)]

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """The artifact, to be read."""
        return self._asked(lambda: self._backend.open_reader(artifact_id))

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Keep an artifact."""
        begins_at = content_body.tell()

        def write() -> None:
            content_body.seek(begins_at)
            self._backend.write(artifact_id, content_body)

        self._asked(write)

    def remove(self, artifact_id: str) -> None:
        """Forget an artifact."""
        self._asked(lambda: self._backend.remove(artifact_id))

    def _asked(self, ask: Callable[[], T]) -> T:
        for wait in self._waits:
            try:
                return ask()
            except ArtifactNotFound:
                raise
            except Exception:
                time.sleep(wait)
        return ask()


class Boto3ArtifactStore:
    """Not supported."""

    def __init__(self, *args: Any, **options: Any) -> None:
        raise NotCarried(
            f"{type(self).__name__} is not supported here; write a class with open_reader, write and remove"
        )


class GCSArtifactStore(Boto3ArtifactStore):
    """Not supported."""
