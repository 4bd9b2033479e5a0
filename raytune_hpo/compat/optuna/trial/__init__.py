"""Trials, under Optuna's names."""

from __future__ import annotations

from raytune_hpo.compat.optuna.trial._state import TrialState
from raytune_hpo.compat.optuna.trial.frozen import BaseTrial, FixedTrial, FrozenTrial, create_trial
from raytune_hpo.compat.optuna.trial.live import Trial

__all__ = ["BaseTrial", "FixedTrial", "FrozenTrial", "Trial", "TrialState", "create_trial"]
