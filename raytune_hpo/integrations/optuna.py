"""Optuna: export of studies, for instance for optuna-dashboard, and import of Optuna's studies to continue them here."""

from __future__ import annotations

from raytune_hpo.integrations.optuna_export import to_optuna
from raytune_hpo.integrations.optuna_import import from_optuna

__all__ = ["from_optuna", "to_optuna"]
