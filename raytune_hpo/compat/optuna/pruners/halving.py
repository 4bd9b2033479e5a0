"""Pruners by successive halving.

Li, Jamieson, Rostamizadeh et al.: A System for Massively Parallel Hyperparameter Tuning. MLSys 2020.
Li, Jamieson, DeSalvo et al.: Hyperband. JMLR 18, 2018.
"""

from __future__ import annotations

import binascii
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from raytune_hpo.compat.optuna.directions import StudyDirection
from raytune_hpo.compat.optuna.pruners.base import BasePruner
from raytune_hpo.compat.optuna.trial._state import TrialState
from raytune_hpo.compat.optuna.trial.frozen import FrozenTrial
from raytune_hpo.schedulers.hyperband import bracket_size

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.study import Study

_RUNG = "completed_rung_"
_COMPLETE = (TrialState.COMPLETE,)


class SuccessiveHalvingPruner(BasePruner):
    """Prunes a trial at a rung unless it is among the best share of those that have reached it.

    Args:
        min_resource: the step of the lowest rung; "auto": a hundredth of the steps of a completed trial.
        reduction_factor: the ratio of the steps of neighbouring rungs; one of this number of trials passes a rung.
        min_early_stopping_rate: how many rungs are left out at the bottom.
        bootstrap_count: how many trials, all of them pruned, a rung collects before it lets any pass.
    """

    def __init__(
        self,
        min_resource: str | int = "auto",
        reduction_factor: int = 4,
        min_early_stopping_rate: int = 0,
        bootstrap_count: int = 0,
    ) -> None:
        if min_resource != "auto" and (isinstance(min_resource, str) or min_resource < 1):
            raise ValueError(f'min_resource is "auto" or at least 1, got {min_resource!r}')
        if reduction_factor < 2 or min_early_stopping_rate < 0 or bootstrap_count < 0:
            raise ValueError(
                f"reduction_factor is at least 2, min_early_stopping_rate and bootstrap_count at least 0, got "
                f"{reduction_factor}, {min_early_stopping_rate} and {bootstrap_count}"
            )
        if bootstrap_count > 0 and min_resource == "auto":
            raise ValueError("bootstrap_count needs a number for min_resource")
        self._min_resource = None if min_resource == "auto" else int(min_resource)
        self._factor, self._rate, self._bootstrap_count = reduction_factor, min_early_stopping_rate, bootstrap_count

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        return self.prune_among(study, trial, study.get_trials(deepcopy=False))

    def prune_among(self, study: Study, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> bool:
        """As ``prune``, compared only with some trials of the study."""
        step = trial.last_step
        if step is None:
            return False
        if self._min_resource is None:
            self._min_resource = _least_step(trials)
            if self._min_resource is None:
                return False
        value = trial.intermediate_values[step]
        rung = sum(key.startswith(_RUNG) for key in trial.system_attrs)
        while step >= self._min_resource * self._factor ** (self._rate + rung):
            if math.isnan(value):
                return True
            key = f"{_RUNG}{rung}"
            study._note(trial.number, "system", key, value)
            others = [other.system_attrs[key] for other in trials if key in other.system_attrs]
            if not self._passes(value, [*others, value], study.direction):
                return True
            rung += 1
        return False

    def _passes(self, value: float, at_rung: list[float], direction: StudyDirection) -> bool:
        if len(at_rung) <= self._bootstrap_count:
            return False
        at_rung.sort(reverse=direction is StudyDirection.MAXIMIZE)
        bound = at_rung[max(1, len(at_rung) // self._factor) - 1]
        return value >= bound if direction is StudyDirection.MAXIMIZE else value <= bound


class HyperbandPruner(BasePruner):
    """Successive halving in several brackets, which begin at different rungs.

    Args:
        min_resource: the step of the lowest rung.
        max_resource: the last step; "auto": that of the first trial that completes, before which nothing is pruned.
        reduction_factor, bootstrap_count: see SuccessiveHalvingPruner.
    """

    def __init__(
        self,
        min_resource: int = 1,
        max_resource: str | int = "auto",
        reduction_factor: int = 3,
        bootstrap_count: int = 0,
    ) -> None:
        if max_resource != "auto" and (isinstance(max_resource, str) or max_resource < min_resource):
            raise ValueError(f'max_resource is "auto" or at least min_resource, got {max_resource!r}')
        if bootstrap_count > 0 and max_resource == "auto":
            raise ValueError("bootstrap_count needs a number for max_resource")
        self._min_resource, self._factor, self._bootstrap_count = min_resource, reduction_factor, bootstrap_count
        self._max_resource = None if max_resource == "auto" else int(max_resource)
        self._brackets: list[SuccessiveHalvingPruner] = []
        self._shares: list[int] = []

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        trials = study.get_trials(deepcopy=False)
        if not self._brackets and not self._begin(trials):
            return False
        bracket = self._bracket(study, trial.number)
        among = [other for other in trials if self._bracket(study, other.number) == bracket]
        return self._brackets[bracket].prune_among(study, trial, among)

    def _begin(self, trials: Sequence[FrozenTrial]) -> bool:
        """Create the brackets once the last step of trials is known; return whether they exist."""
        if self._max_resource is None:
            last = [t.last_step for t in trials if t.state is TrialState.COMPLETE and t.last_step is not None]
            if not last:
                return False
            self._max_resource = max(last) + 1
        span = max(1.0, self._max_resource / self._min_resource)
        num = math.floor(math.log(span) / math.log(self._factor) + 1e-9) + 1
        self._brackets = [
            SuccessiveHalvingPruner(self._min_resource, self._factor, rate, self._bootstrap_count)
            for rate in range(num)
        ]
        self._shares = [bracket_size(rate, num, self._factor) for rate in range(num)]
        return True

    def _bracket(self, study: Study, number: int) -> int:
        """The bracket of a trial: by a hash of the study's name and the trial's number, in proportion to the shares."""
        place = binascii.crc32(f"{study.study_name}_{number}".encode()) % sum(self._shares)
        for bracket, share in enumerate(self._shares):
            place -= share
            if place < 0:
                return bracket
        raise AssertionError("the shares add up to more than any remainder")


def _least_step(trials: Sequence[FrozenTrial]) -> int | None:
    last = [t.last_step for t in trials if t.state is TrialState.COMPLETE and t.last_step is not None]
    return max(max(last) // 100, 1) if last else None
