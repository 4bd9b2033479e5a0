"""Pruners, under Optuna's names: each judges a trial when a script asks ``should_prune``."""

from __future__ import annotations

from raytune_hpo.compat.optuna.pruners.alone import PatientPruner, ThresholdPruner
from raytune_hpo.compat.optuna.pruners.base import BasePruner, NopPruner
from raytune_hpo.compat.optuna.pruners.comparing import MedianPruner, PercentilePruner, WilcoxonPruner
from raytune_hpo.compat.optuna.pruners.halving import HyperbandPruner, SuccessiveHalvingPruner

__all__ = [
    "BasePruner",
    "HyperbandPruner",
    "MedianPruner",
    "NopPruner",
    "PatientPruner",
    "PercentilePruner",
    "SuccessiveHalvingPruner",
    "ThresholdPruner",
    "WilcoxonPruner",
]
