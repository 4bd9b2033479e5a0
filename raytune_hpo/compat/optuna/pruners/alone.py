"""Pruners that judge a trial without comparing it with others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from raytune_hpo.compat.optuna.directions import StudyDirection
from raytune_hpo.compat.optuna.pruners.base import BasePruner, is_due
from raytune_hpo.compat.optuna.trial.frozen import FrozenTrial

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.study import Study


class ThresholdPruner(BasePruner):
    """Prunes a trial whose newest value is out of bounds, or NaN."""

    def __init__(
        self,
        lower: float | None = None,
        upper: float | None = None,
        n_warmup_steps: int = 0,
        interval_steps: int = 1,
    ) -> None:
        if lower is None and upper is None:
            raise TypeError("give lower, upper, or both")
        self._lower = -math.inf if lower is None else float(lower)
        self._upper = math.inf if upper is None else float(upper)
        if self._lower > self._upper:
            raise ValueError(f"lower must not exceed upper, got {lower} and {upper}")
        if n_warmup_steps < 0 or interval_steps < 1:
            raise ValueError(
                f"n_warmup_steps is at least 0 and interval_steps at least 1, got {n_warmup_steps} and {interval_steps}"
            )
        self._n_warmup_steps, self._interval_steps = n_warmup_steps, interval_steps

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None or not is_due(trial, step, self._n_warmup_steps, self._interval_steps):
            return False
        return not self._lower <= trial.intermediate_values[step] <= self._upper


class PatientPruner(BasePruner):
    """Lets another pruner decide once a trial has not improved for a while; without one, prunes then.

    Args:
        patience: how many steps without a better value are tolerated.
        min_delta: the least difference by which a value is better.
    """

    def __init__(self, wrapped_pruner: BasePruner | None, patience: int, min_delta: float = 0.0) -> None:
        if patience < 0 or min_delta < 0:
            raise ValueError(f"patience and min_delta are at least 0, got {patience} and {min_delta}")
        self._wrapped, self._patience, self._min_delta = wrapped_pruner, patience, min_delta

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        reported = trial.intermediate_values
        if len(reported) <= self._patience + 1:
            return False
        sign = -1.0 if study.direction is StudyDirection.MAXIMIZE else 1.0
        losses = [sign * reported[step] for step in sorted(reported)]
        before, after = losses[: -self._patience - 1], losses[-self._patience - 1 :]
        if not np.fmin.reduce(before) + self._min_delta < np.fmin.reduce(after):  # NaN does not count
            return False
        return self._wrapped is None or self._wrapped.prune(study, trial)
