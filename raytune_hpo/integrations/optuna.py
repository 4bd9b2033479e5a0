"""Optuna: studies exported for optuna-dashboard, and Optuna's studies imported to be continued here."""

from __future__ import annotations

from raytune_hpo.integrations.optuna_export import to_optuna
from raytune_hpo.integrations.optuna_import import from_optuna

__all__ = ["from_optuna", "to_optuna"]
