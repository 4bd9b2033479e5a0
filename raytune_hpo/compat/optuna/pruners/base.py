"""The base of all pruners, and the rule for when one is due."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from raytune_hpo.compat.optuna.exceptions import not_ours
from raytune_hpo.compat.optuna.trial.frozen import FrozenTrial

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.study import Study


class BasePruner(ABC):
    """The base of pruners, which decide which trials end early. A script's own pruner overrides ``prune``."""

    @abstractmethod
    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether a running trial should end, given its reports so far."""


class NopPruner(BasePruner):
    """Prunes nothing."""

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        return False


def check_pruner(pruner: Any) -> None:
    """Check that a pruner can prune.

    Args:
        pruner: None: the default is meant.

    Raises:
        OptunaError: it is a name, a class, or another object without ``prune``.
    """
    if pruner is not None and (isinstance(pruner, type) or not callable(getattr(pruner, "prune", None))):
        raise not_ours("a pruner is an object of raytune_hpo.compat.optuna.pruners, or derives from BasePruner", pruner)


def is_due(trial: FrozenTrial, step: int, n_warmup_steps: int, interval_steps: int) -> bool:
    """Whether this is the first report in an interval after the warm-up."""
    if step < n_warmup_steps:
        return False
    begin = (step - n_warmup_steps) // interval_steps * interval_steps + n_warmup_steps
    return max((other for other in trial.intermediate_values if other != step), default=-1) < begin
