"""Terminators, which find when a study has nothing more to gain."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from raytune_hpo.compat.optuna.terminator.erroreval import (
    BaseErrorEvaluator,
    CrossValidationErrorEvaluator,
    StaticErrorEvaluator,
)
from raytune_hpo.compat.optuna.terminator.improvement import (
    BaseImprovementEvaluator,
    BestValueStagnationEvaluator,
    RegretBoundEvaluator,
)
from raytune_hpo.compat.optuna.trial._state import TrialState

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.study import Study


class BaseTerminator(ABC):
    """The base of terminators; a script may have its own."""

    @abstractmethod
    def should_terminate(self, study: Study) -> bool:
        """Whether the study has nothing more to gain."""


class Terminator(BaseTerminator):
    """Ends a study when the improvement that is still possible is smaller than the error of measurement.

    Args:
        improvement_evaluator: None: a RegretBoundEvaluator.
        error_evaluator: None: the error of the best trial's folds or, with a BestValueStagnationEvaluator, 0.
        min_n_trials: how many trials must have completed before that is evaluated.
    """

    def __init__(
        self,
        improvement_evaluator: BaseImprovementEvaluator | None = None,
        error_evaluator: BaseErrorEvaluator | None = None,
        min_n_trials: int = 20,
    ) -> None:
        if min_n_trials < 1:
            raise ValueError(f"min_n_trials is at least 1, got {min_n_trials}")
        self._improvement = RegretBoundEvaluator() if improvement_evaluator is None else improvement_evaluator
        counts = isinstance(self._improvement, BestValueStagnationEvaluator)
        default = StaticErrorEvaluator(0.0) if counts else CrossValidationErrorEvaluator()
        self._error: BaseErrorEvaluator = default if error_evaluator is None else error_evaluator
        self._min_n_trials = min_n_trials

    def should_terminate(self, study: Study) -> bool:
        """Whether the study has nothing more to gain."""
        trials = study.get_trials(deepcopy=False)
        if sum(trial.state is TrialState.COMPLETE for trial in trials) < self._min_n_trials:
            return False
        improvement = self._improvement.evaluate(trials, study.direction)
        return bool(improvement < self._error.evaluate(trials, study.direction))
