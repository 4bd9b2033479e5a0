"""Artifacts: files that belong to a trial or a study, under Optuna's names."""

from __future__ import annotations

import json
import mimetypes
import shutil
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from raytune_hpo.compat.optuna.exceptions import NotCarried, OptunaError
from raytune_hpo.compat.optuna.trial.frozen import FrozenTrial

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.study import Study
    from raytune_hpo.compat.optuna.trial.live import Trial

__all__ = [
    "ArtifactMeta",
    "ArtifactNotFound",
    "Boto3ArtifactStore",
    "FileSystemArtifactStore",
    "GCSArtifactStore",
    "download_artifact",
    "get_all_artifact_meta",
    "upload_artifact",
]

_PREFIX = "artifacts:"


class ArtifactNotFound(OptunaError, KeyError):
    """The store has no artifact of that name."""


class ArtifactStore(Protocol):
    """Where artifacts are kept: a script may bring its own."""

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """The artifact, to be read."""
        ...

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Keep an artifact."""
        ...

    def remove(self, artifact_id: str) -> None:
        """Forget an artifact."""
        ...


@dataclass(frozen=True)
class ArtifactMeta:
    """What is known of an artifact."""

    artifact_id: str
    filename: str
    mimetype: str
    encoding: str | None = None


class FileSystemArtifactStore:
    """Artifacts in a folder."""

    def __init__(self, base_path: str | Path) -> None:
        self._base_path = Path(base_path)

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """The artifact, to be read.

        Raises:
            ArtifactNotFound: there is none of that name.
        """
        path = self._path(artifact_id)
        if not path.is_file():
            raise ArtifactNotFound(f"{self._base_path} holds no artifact {artifact_id!r}")
        return path.open("rb")

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Keep an artifact."""
        with self._path(artifact_id).open("wb") as file:
            shutil.copyfileobj(content_body, file)

    def remove(self, artifact_id: str) -> None:
        """Forget an artifact."""
        self._path(artifact_id).unlink(missing_ok=True)

    def _path(self, artifact_id: str) -> Path:
        path = self._base_path / artifact_id
        if path.resolve().parent != self._base_path.resolve():
            raise ArtifactNotFound(f"the name of an artifact has no folders in it, got {artifact_id!r}")
        return path


class Boto3ArtifactStore:
    """Not carried."""

    def __init__(self, *args: Any, **options: Any) -> None:
        raise NotCarried(f"{type(self).__name__} is not carried; write a class with open_reader, write and remove")


class GCSArtifactStore(Boto3ArtifactStore):
    """Not carried."""


def upload_artifact(
    *,
    artifact_store: ArtifactStore,
    file_path: str,
    study_or_trial: Trial | Study,
    storage: Any = None,
    mimetype: str | None = None,
    encoding: str | None = None,
) -> str:
    """Copy a file into a store, and note it with a trial or a study; the name that it has there.

    Raises:
        NotCarried: the trial is a frozen one, which does not know its study.
    """
    if isinstance(study_or_trial, FrozenTrial):
        raise NotCarried(
            "an artifact is uploaded for a study or a trial that runs, got a FrozenTrial; use study.trials there"
        )
    guessed, guessed_encoding = mimetypes.guess_type(file_path)
    name = str(uuid.uuid4())
    meta = ArtifactMeta(
        artifact_id=name,
        filename=Path(file_path).name,
        mimetype=mimetype or guessed or "application/octet-stream",
        encoding=encoding or guessed_encoding,
    )
    with open(file_path, "rb") as file:
        artifact_store.write(name, file)
    study_or_trial.set_system_attr(_PREFIX + name, json.dumps(asdict(meta)))
    return name


def get_all_artifact_meta(study_or_trial: Trial | FrozenTrial | Study, *, storage: Any = None) -> list[ArtifactMeta]:
    """The artifacts of a trial or a study."""
    notes = study_or_trial.system_attrs
    return [ArtifactMeta(**json.loads(value)) for key, value in notes.items() if key.startswith(_PREFIX)]


def download_artifact(*, artifact_store: ArtifactStore, file_path: str, artifact_id: str) -> None:
    """Copy an artifact into a file."""
    with artifact_store.open_reader(artifact_id) as reader, open(file_path, "wb") as file:
        shutil.copyfileobj(reader, file)
