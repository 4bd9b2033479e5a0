"""Evaluators of the improvement that is still possible, under Optuna's names."""

from __future__ import annotations

from raytune_hpo.compat.optuna.terminator.improvement.emmr import EMMREvaluator
from raytune_hpo.compat.optuna.terminator.improvement.evaluator import (
    BaseImprovementEvaluator,
    BestValueStagnationEvaluator,
    RegretBoundEvaluator,
)

__all__ = ["BaseImprovementEvaluator", "BestValueStagnationEvaluator", "EMMREvaluator", "RegretBoundEvaluator"]
