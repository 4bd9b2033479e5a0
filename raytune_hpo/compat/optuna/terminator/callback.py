"""Ends of studies that have nothing more to gain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raytune_hpo.compat.optuna.terminator.erroreval import BaseErrorEvaluator, CrossValidationErrorEvaluator
from raytune_hpo.compat.optuna.terminator.improvement import RegretBoundEvaluator
from raytune_hpo.compat.optuna.trial._state import TrialState

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.study import Study


class Terminator:
    """Says when the improvement that may still be found is smaller than the error with which values are measured.

    Args:
        min_n_trials: how many trials complete before that is asked.
    """

    def __init__(
        self,
        improvement_evaluator: Any = None,
        error_evaluator: BaseErrorEvaluator | None = None,
        min_n_trials: int = 20,
    ) -> None:
        if min_n_trials < 1:
            raise ValueError(f"min_n_trials is at least 1, got {min_n_trials}")
        self._improvement = RegretBoundEvaluator() if improvement_evaluator is None else improvement_evaluator
        self._error = CrossValidationErrorEvaluator() if error_evaluator is None else error_evaluator
        self._min_n_trials = min_n_trials

    def should_terminate(self, study: Study) -> bool:
        """Whether the study has nothing more to gain."""
        if len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) < self._min_n_trials:
            return False
        return bool(self._improvement.evaluate(study) < self._error.evaluate(study))


class TerminatorCallback:
    """Stops a study that has nothing more to gain."""

    def __init__(self, terminator: Terminator | None = None) -> None:
        self._terminator = Terminator() if terminator is None else terminator

    def __call__(self, study: Study, trial: Any) -> None:
        if self._terminator.should_terminate(study):
            study.stop()
