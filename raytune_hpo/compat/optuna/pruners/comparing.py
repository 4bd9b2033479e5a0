"""Pruners that compare a trial with others at the same step.

Golovin et al.: Google Vizier. KDD 2017 (medians). Demšar: Statistical Comparisons of Classifiers over Multiple Data Sets.
JMLR 7, 2006 (Wilcoxon's test of signed ranks).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from raytune_hpo.compat.optuna.directions import StudyDirection
from raytune_hpo.compat.optuna.pruners.base import BasePruner, is_due
from raytune_hpo.compat.optuna.trial._state import TrialState
from raytune_hpo.compat.optuna.trial.frozen import FrozenTrial

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.study import Study

_COMPLETE = (TrialState.COMPLETE,)


class PercentilePruner(BasePruner):
    """Prunes a trial whose best value so far is not among the best share of completed trials at its step.

    Args:
        percentile: the share that is kept, in percent.
        n_startup_trials: how many trials must have completed before any is pruned.
        n_warmup_steps: the step before which no trial is pruned.
        interval_steps: trials are judged at most once in this number of steps.
        n_min_trials: how many completed trials must have reported at the step.
    """

    def __init__(
        self,
        percentile: float,
        n_startup_trials: int = 5,
        n_warmup_steps: int = 0,
        interval_steps: int = 1,
        *,
        n_min_trials: int = 1,
    ) -> None:
        if not 0.0 <= percentile <= 100:
            raise ValueError(f"percentile lies between 0 and 100, got {percentile}")
        if n_startup_trials < 0 or n_warmup_steps < 0 or interval_steps < 1 or n_min_trials < 1:
            raise ValueError(
                f"n_startup_trials and n_warmup_steps are at least 0, interval_steps and n_min_trials at least 1, got "
                f"{n_startup_trials}, {n_warmup_steps}, {interval_steps} and {n_min_trials}"
            )
        self._percentile, self._n_startup_trials = percentile, n_startup_trials
        self._n_warmup_steps, self._interval_steps, self._n_min_trials = n_warmup_steps, interval_steps, n_min_trials

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        completed = study.get_trials(deepcopy=False, states=_COMPLETE)
        step = trial.last_step
        if step is None or not completed or len(completed) < self._n_startup_trials:
            return False
        if not is_due(trial, step, self._n_warmup_steps, self._interval_steps):
            return False
        maximizes = study.direction is StudyDirection.MAXIMIZE
        own = [value for value in trial.intermediate_values.values() if not math.isnan(value)]
        if not own:
            return True
        found = [other.intermediate_values.get(step, math.nan) for other in completed]
        others = [value for value in found if not math.isnan(value)]
        if len(others) < self._n_min_trials:
            return False
        bound = float(np.percentile(others, 100 - self._percentile if maximizes else self._percentile))
        return max(own) < bound if maximizes else min(own) > bound


class MedianPruner(PercentilePruner):
    """Prunes a trial whose best value so far is worse than the median of completed trials at its step."""

    def __init__(
        self, n_startup_trials: int = 5, n_warmup_steps: int = 0, interval_steps: int = 1, *, n_min_trials: int = 1
    ) -> None:
        super().__init__(50.0, n_startup_trials, n_warmup_steps, interval_steps, n_min_trials=n_min_trials)


class WilcoxonPruner(BasePruner):
    """Prunes a trial that is worse than the best one on the steps that both have reported; steps are instances.

    Args:
        p_threshold: the significance level of Wilcoxon's one-sided test of signed ranks.
        n_startup_steps: how many steps must have been reported before anything is tested.
    """

    def __init__(self, *, p_threshold: float = 0.1, n_startup_steps: int = 2) -> None:
        if not 0.0 <= p_threshold <= 1.0 or n_startup_steps < 0:
            raise ValueError(
                f"p_threshold lies in [0, 1] and n_startup_steps is at least 0, got {p_threshold} and {n_startup_steps}"
            )
        self._p_threshold, self._n_startup_steps = p_threshold, n_startup_steps

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        own = {step: value for step, value in trial.intermediate_values.items() if math.isfinite(value)}
        try:
            best = study.best_trial
        except ValueError:  # no trial has completed
            return False
        theirs = {step: value for step, value in best.intermediate_values.items() if math.isfinite(value)}
        shared = [step for step in own if step in theirs]
        if len(shared) < max(2, self._n_startup_steps):
            return False
        sign = -1.0 if study.direction is StudyDirection.MAXIMIZE else 1.0
        worse_by = np.array([sign * (own[step] - theirs[step]) for step in shared])
        if np.mean(list(own.values())) * sign <= np.mean(list(theirs.values())) * sign:
            return False  # ahead on average over all its steps
        from scipy.stats import wilcoxon

        p = wilcoxon(worse_by, alternative="greater", zero_method="zsplit").pvalue
        return bool(p < self._p_threshold)
