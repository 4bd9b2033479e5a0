"""Importances of parameters, under Optuna's names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from raytune_hpo.compat.optuna.exceptions import NotCarried
from raytune_hpo.compat.optuna.seen import seen

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.study import Study
    from raytune_hpo.compat.optuna.trial.frozen import FrozenTrial

__all__ = [
    "BaseImportanceEvaluator",
    "FanovaImportanceEvaluator",
    "MeanDecreaseImpurityImportanceEvaluator",
    "PedAnovaImportanceEvaluator",
    "get_param_importances",
]


class BaseImportanceEvaluator:
    """The base of evaluators of parameter importance."""

    method: ClassVar[str] = "fanova"

    def evaluate(
        self,
        study: Study,
        params: list[str] | None = None,
        *,
        target: Callable[[FrozenTrial], float] | None = None,
    ) -> dict[str, float]:
        """The share of each parameter, the most important ones first."""
        return get_param_importances(study, evaluator=self, params=params, target=target, normalize=False)


class FanovaImportanceEvaluator(BaseImportanceEvaluator):
    """Importance as the share of the variance that a parameter explains by itself (fANOVA)."""

    def __init__(self, *, n_trees: int = 64, max_depth: int = 64, seed: int | None = None) -> None:
        self.n_trees, self.max_depth, self.seed = n_trees, max_depth, seed


class PedAnovaImportanceEvaluator(BaseImportanceEvaluator):
    """Importance by how far the best trials' values differ from those of all trials (PED-ANOVA)."""

    method = "ped_anova"

    def __init__(self, *, baseline_quantile: float = 0.1, evaluate_on_local: bool = True) -> None:
        self.baseline_quantile, self.evaluate_on_local = baseline_quantile, evaluate_on_local


class MeanDecreaseImpurityImportanceEvaluator(BaseImportanceEvaluator):
    """Not supported."""

    def __init__(self, **options: Any) -> None:
        raise NotCarried("MeanDecreaseImpurityImportanceEvaluator is not supported here; use FanovaImportanceEvaluator")


def get_param_importances(
    study: Study,
    *,
    evaluator: BaseImportanceEvaluator | None = None,
    params: Sequence[str] | None = None,
    target: Callable[[FrozenTrial], float] | None = None,
    normalize: bool = True,
) -> dict[str, float]:
    """The importance of each parameter, the most important ones first.

    Args:
        evaluator: None: the share of the variance, by fANOVA.
        params: the parameters; None: all that vary.
        target: a function of a trial whose result is analysed instead of the value.
        normalize: whether the importances are scaled to add up to 1.

    Raises:
        ValueError: the study has several goals and no target was given, or a parameter is not known.
    """
    shares = seen(study, target, "value").importances(method=(evaluator or BaseImportanceEvaluator()).method)
    if params is not None:
        missing = [name for name in params if name not in shares]
        if missing:
            raise ValueError(
                f"no importance is known of {', '.join(missing)}; of {', '.join(shares) or 'none'} there is one"
            )
        shares = {name: share for name, share in shares.items() if name in params}
    total = sum(shares.values())
    if normalize and total > 0:
        return {name: share / total for name, share in shares.items()}
    return shares
