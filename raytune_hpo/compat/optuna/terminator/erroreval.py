"""Errors of measurement, below which improving is no use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.study import Study

_SCORES = "terminator:cv_scores"


def report_cross_validation_scores(trial: Any, scores: Sequence[float]) -> None:
    """Note the scores of a trial's folds.

    Raises:
        ValueError: there are fewer than two.
    """
    if len(scores) < 2:
        raise ValueError(f"an error is estimated from at least two folds, got {len(scores)}")
    trial.set_system_attr(_SCORES, [float(score) for score in scores])


class BaseErrorEvaluator:
    """Estimates the error of the best value."""

    def evaluate(self, study: Study) -> float:
        """The error, in the value's units."""
        return 0.0


class CrossValidationErrorEvaluator(BaseErrorEvaluator):
    """The standard error of the best trial's folds, whose training sets overlap.

    Nadeau, Bengio: Inference for the Generalization Error. Machine Learning 52, 2003.
    """

    def evaluate(self, study: Study) -> float:
        """The error of the best trial.

        Raises:
            ValueError: its folds were not noted.
        """
        return error_of(study.best_trial)


class StaticErrorEvaluator(BaseErrorEvaluator):
    """An error that is known."""

    def __init__(self, constant: float) -> None:
        self._constant = constant

    def evaluate(self, study: Study) -> float:
        return self._constant


def error_of(trial: Any) -> float:
    """The error of one trial.

    Raises:
        ValueError: its folds were not noted.
    """
    scores = trial.system_attrs.get(_SCORES)
    if scores is None:
        raise ValueError(
            f"trial {trial.number} has no scores of folds; in the objective, call report_cross_validation_scores(trial, ...)"
        )
    k = len(scores)
    return float(np.sqrt((1 / k + 1 / (k - 1)) * np.var(scores)))
