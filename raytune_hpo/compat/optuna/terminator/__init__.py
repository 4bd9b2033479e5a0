"""Ends of studies that have nothing more to gain, under Optuna's names."""

from __future__ import annotations

from raytune_hpo.compat.optuna.terminator.callback import Terminator, TerminatorCallback
from raytune_hpo.compat.optuna.terminator.erroreval import (
    BaseErrorEvaluator,
    CrossValidationErrorEvaluator,
    StaticErrorEvaluator,
    report_cross_validation_scores,
)
from raytune_hpo.compat.optuna.terminator.improvement import RegretBoundEvaluator

__all__ = [
    "BaseErrorEvaluator",
    "CrossValidationErrorEvaluator",
    "RegretBoundEvaluator",
    "StaticErrorEvaluator",
    "Terminator",
    "TerminatorCallback",
    "report_cross_validation_scores",
]
