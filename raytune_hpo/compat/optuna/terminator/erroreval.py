"""Evaluators of the measurement error, below which improvements are not worth a search."""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from raytune_hpo.compat.optuna.directions import StudyDirection
from raytune_hpo.compat.optuna.terminator.improvement.evaluator import BaseImprovementEvaluator, completed
from raytune_hpo.compat.optuna.trial.frozen import FrozenTrial

_SCORES = "terminator:cv_scores"


def report_cross_validation_scores(trial: Any, scores: Sequence[float]) -> None:
    """Note the scores of a trial's folds.

    Raises:
        ValueError: there are fewer than two folds.
    """
    if len(scores) < 2:
        raise ValueError(f"an error is estimated from at least two folds, got {len(scores)}")
    trial.set_system_attr(_SCORES, [float(score) for score in scores])


class BaseErrorEvaluator(ABC):
    """The base of estimates of the best value's error; a script may have its own."""

    @abstractmethod
    def evaluate(self, trials: list[FrozenTrial], study_direction: StudyDirection) -> float:
        """The error, in the value's units."""


class CrossValidationErrorEvaluator(BaseErrorEvaluator):
    """The standard error of the best trial's folds, whose training sets overlap.

    Nadeau, Bengio: Inference for the Generalization Error. Machine Learning 52, 2003.
    """

    def evaluate(self, trials: list[FrozenTrial], study_direction: StudyDirection) -> float:
        """The error of the best trial.

        Raises:
            ValueError: no trial has completed, or its folds were not noted.
        """
        known = completed(trials)
        if not known:
            raise ValueError("the error is that of the best trial, and none has completed yet")
        sign = -1.0 if study_direction is StudyDirection.MAXIMIZE else 1.0
        return _error_of(min(known, key=lambda trial: sign * (trial.value or 0.0)))


class StaticErrorEvaluator(BaseErrorEvaluator):
    """A known, constant error."""

    def __init__(self, constant: float) -> None:
        self._constant = constant

    def evaluate(self, trials: list[FrozenTrial], study_direction: StudyDirection) -> float:
        return self._constant


class MedianErrorEvaluator(BaseErrorEvaluator):
    """A share of the median of the improvements that were still possible after each of the first trials.

    Args:
        paired_improvement_evaluator: estimates the possible improvement.
        warm_up_trials: how many completed trials are skipped first.
        n_initial_trials: how many are then used; until they exist, the error is the smallest number.
        threshold_ratio: the share.
    """

    def __init__(
        self,
        paired_improvement_evaluator: BaseImprovementEvaluator,
        warm_up_trials: int = 10,
        n_initial_trials: int = 20,
        threshold_ratio: float = 0.01,
    ) -> None:
        if warm_up_trials < 0 or n_initial_trials <= 0 or not 0 < threshold_ratio < math.inf:
            raise ValueError(
                "warm_up_trials is at least 0, n_initial_trials at least 1, threshold_ratio above 0 and finite, got "
                f"{warm_up_trials}, {n_initial_trials} and {threshold_ratio}"
            )
        self._paired, self._ratio = paired_improvement_evaluator, threshold_ratio
        self._first, self._last = warm_up_trials + 1, warm_up_trials + n_initial_trials
        self._error: float | None = None

    def evaluate(self, trials: list[FrozenTrial], study_direction: StudyDirection) -> float:
        if self._error is None:
            known = sorted(completed(trials))
            if len(known) < self._last:
                return -sys.float_info.max  # the improvement is never below it
            found = [self._paired.evaluate(known[:n], study_direction) for n in range(self._first, self._last + 1)]
            self._error = min(float(np.median(found)) * self._ratio, sys.float_info.max)
        return self._error


def _error_of(trial: Any) -> float:
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
