"""Exceptions of artifact stores, under Optuna's names."""

from __future__ import annotations

from raytune_hpo.compat.optuna.exceptions import OptunaError

__all__ = ["ArtifactNotFound"]


class ArtifactNotFound(OptunaError, KeyError):
    """The store has no artifact of that name."""
