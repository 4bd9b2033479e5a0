"""Stagnation: whether a search has stopped finding better trials."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raytune_hpo.numerics.pareto import first_of_front
from raytune_hpo.trial import Trial

_LOOKED_AT = 5  # newest trials for each parameter
_SPARE = 4
_RANK = 5  # stagnation means that the fifth best of the earlier trials is as good as the best of the newest


def has_stagnated(finished: Sequence[Trial], num_parameters: int) -> bool:
    """Whether the newest 5 d trials have brought no progress; d is the number of parameters, conditional ones included.

    With one goal: the fifth best of the earlier trials is at least as good as the best of the newest. With several: none
    of the newest is on the front, other than as an equal of an earlier trial. Failed and infeasible trials count as worst. A
    study of fewer than 5 d + 5 trials never counts as stagnated. (SigOpt's rule)

    Args:
        finished: the finished trials, in the order in which they finished.
    """
    recent = _LOOKED_AT * num_parameters
    if len(finished) <= recent + _SPARE or not recent:
        return False
    m = max((len(trial.losses) for trial in finished if trial.losses is not None), default=1)
    worst = (np.inf,) * m
    losses = np.array([t.losses if t.losses is not None and t.is_feasible else worst for t in finished], np.float64)
    before, newest = losses[:-recent], losses[-recent:]
    if m == 1:
        best_of_before = np.sort(before[:, 0])
        return len(before) >= _RANK and bool(best_of_before[_RANK - 1] <= newest[:, 0].min())
    known = np.isfinite(losses).all(axis=1)
    front = np.zeros(len(losses), dtype=bool)
    front[known] = first_of_front(losses[known])
    return not front[-recent:].any()
