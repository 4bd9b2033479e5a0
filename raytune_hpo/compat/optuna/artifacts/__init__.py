"""Artifacts: files that belong to a trial or a study, under Optuna's names."""

from __future__ import annotations

from raytune_hpo.compat.optuna.artifacts import exceptions
from raytune_hpo.compat.optuna.artifacts.exceptions import ArtifactNotFound
from raytune_hpo.compat.optuna.artifacts.stores import (
    Backoff,
    Boto3ArtifactStore,
    FileSystemArtifactStore,
    GCSArtifactStore,
)
from raytune_hpo.compat.optuna.artifacts.uploading import (
    ArtifactMeta,
    download_artifact,
    get_all_artifact_meta,
    upload_artifact,
)

__all__ = [
    "ArtifactMeta",
    "ArtifactNotFound",
    "Backoff",
    "Boto3ArtifactStore",
    "FileSystemArtifactStore",
    "GCSArtifactStore",
    "download_artifact",
    "exceptions",
    "get_all_artifact_meta",
    "upload_artifact",
]
