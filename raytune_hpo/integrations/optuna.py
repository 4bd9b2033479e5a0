"""Optuna: studies taken there, to be looked at in optuna-dashboard, and brought here, to go on with."""

from __future__ import annotations

from raytune_hpo.integrations.optuna_export import to_optuna
from raytune_hpo.integrations.optuna_import import from_optuna

__all__ = ["from_optuna", "to_optuna"]
