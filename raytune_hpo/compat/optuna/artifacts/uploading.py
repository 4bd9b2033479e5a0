"""Upload, download and metadata of artifacts."""

from __future__ import annotations

import json
import mimetypes
import shutil
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytune_hpo.compat.optuna.artifacts.stores import ArtifactStore
from raytune_hpo.compat.optuna.exceptions import NotCarried
from raytune_hpo.compat.optuna.trial.frozen import FrozenTrial

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.study import Study
    from raytune_hpo.compat.optuna.trial.live import Trial

_PREFIX = "artifacts:"


@dataclass(frozen=True)
class ArtifactMeta:
    """The metadata of an artifact."""

    artifact_id: str
    filename: str
    mimetype: str
    encoding: str | None = None


def upload_artifact(
    study_or_trial: Trial | Study,
    file_path: str,
    artifact_store: ArtifactStore,
    *,
    storage: Any = None,
    mimetype: str | None = None,
    encoding: str | None = None,
) -> str:
    """Copy a file into a store, note it with a trial or a study, and return its id in the store.

    Raises:
        NotCarried: the trial is a frozen one, which has no reference to its study.
    """
    if isinstance(study_or_trial, FrozenTrial):
        raise NotCarried(
            "an artifact is uploaded for a study or a trial that runs, got a FrozenTrial; upload it in the objective"
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
    """Copy an artifact into a new file.

    Raises:
        ArtifactNotFound: the store has no artifact of that name.
        FileExistsError: there is a file of that name; it stays as it is.
    """
    with artifact_store.open_reader(artifact_id) as reader, open(file_path, "xb") as file:
        shutil.copyfileobj(reader, file)
