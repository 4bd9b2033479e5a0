"""Intersections of search spaces: the parameters that all trials have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from raytune_hpo.compat.optuna.distributions import BaseDistribution
from raytune_hpo.compat.optuna.trial._state import TrialState
from raytune_hpo.compat.optuna.trial.frozen import FrozenTrial

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.study import Study

__all__ = ["IntersectionSearchSpace", "intersection_search_space"]


def intersection_search_space(
    trials: Sequence[FrozenTrial], include_pruned: bool = False
) -> dict[str, BaseDistribution]:
    """The parameters that all completed trials have, with the same distribution, by name."""
    states = (TrialState.COMPLETE, TrialState.PRUNED) if include_pruned else (TrialState.COMPLETE,)
    common: dict[str, BaseDistribution] | None = None
    for trial in trials:
        if trial.state not in states:
            continue
        found = trial.distributions
        common = dict(found) if common is None else {k: kept for k, kept in common.items() if found.get(k) == kept}
    return dict(sorted((common or {}).items()))


class IntersectionSearchSpace:
    """The intersection search space of a study."""

    def __init__(self, include_pruned: bool = False) -> None:
        self._include_pruned = include_pruned

    def calculate(self, study: Study) -> dict[str, BaseDistribution]:
        """The parameters that all completed trials have."""
        return intersection_search_space(study.get_trials(deepcopy=False), include_pruned=self._include_pruned)
