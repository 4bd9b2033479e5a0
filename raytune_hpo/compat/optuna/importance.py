"""Importances of parameters, under Optuna's names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from raytune_hpo.analysis.fronts import FRONT
from raytune_hpo.compat.optuna.exceptions import NotCarried, not_ours
from raytune_hpo.compat.optuna.samplers.base import not_carried
from raytune_hpo.compat.optuna.seen import Target, params_of, seen, seen_goals

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.study import Study

__all__ = [
    "BaseImportanceEvaluator",
    "FanovaImportanceEvaluator",
    "MeanDecreaseImpurityImportanceEvaluator",
    "PedAnovaImportanceEvaluator",
    "get_param_importances",
]


class BaseImportanceEvaluator(ABC):
    """The base of evaluators of parameter importance. A script's own evaluator overrides ``evaluate``."""

    @abstractmethod
    def evaluate(
        self, study: Study, params: Sequence[str] | None = None, *, target: Target | None = None
    ) -> dict[str, float]:
        """The importance of each parameter, the most important ones first; see ``get_param_importances``."""


class FanovaImportanceEvaluator(BaseImportanceEvaluator):
    """Importance as the share of the variance that a parameter explains by itself (fANOVA)."""

    def __init__(self, *, n_trees: int = 64, max_depth: int = 64, seed: int | None = None) -> None:
        self.n_trees, self.max_depth, self.seed = n_trees, max_depth, seed

    def evaluate(
        self, study: Study, params: Sequence[str] | None = None, *, target: Target | None = None
    ) -> dict[str, float]:
        return _of_params(study, params, seen(study, target).importances(method="fanova"))


class PedAnovaImportanceEvaluator(BaseImportanceEvaluator):
    """Importance by how far the best trials' values differ from those of all trials (PED-ANOVA).

    Without a target, the best trials of a study with several goals are those of the first Pareto fronts.

    Args:
        target_quantile: the share of trials that counts as the best.
        region_quantile: the share of trials that is used, the best ones.
        baseline_quantile: a former name of ``target_quantile``.
    """

    def __init__(
        self,
        *,
        target_quantile: float = 0.1,
        region_quantile: float = 1.0,
        evaluate_on_local: bool = True,
        baseline_quantile: float | None = None,
    ) -> None:
        self._quantile = target_quantile if baseline_quantile is None else baseline_quantile
        self._region = region_quantile
        not_carried(
            "PedAnovaImportanceEvaluator", {"evaluate_on_local": evaluate_on_local}, {"evaluate_on_local": True}
        )

    def evaluate(
        self, study: Study, params: Sequence[str] | None = None, *, target: Target | None = None
    ) -> dict[str, float]:
        of_front = target is None and study._is_multi_objective()
        results = seen_goals(study) if of_front else seen(study, target)
        metric = FRONT if of_front else None
        shares = results.importances(metric, method="ped_anova", quantile=self._quantile, region=self._region)
        return _of_params(study, params, shares)


class MeanDecreaseImpurityImportanceEvaluator(BaseImportanceEvaluator):
    """Not supported."""

    def __new__(cls, **options: Any) -> NoReturn:
        raise NotCarried("MeanDecreaseImpurityImportanceEvaluator is not supported here; use FanovaImportanceEvaluator")


def get_param_importances(
    study: Study,
    *,
    evaluator: BaseImportanceEvaluator | None = None,
    params: Sequence[str] | None = None,
    target: Target | None = None,
    normalize: bool = True,
) -> dict[str, float]:
    """The importance of each parameter, the most important ones first; 0 for those that do not vary.

    Args:
        evaluator: None: PED-ANOVA.
        params: the parameters; None: all.
        target: a function of a trial whose result is analysed instead of the value; small ones are good.
        normalize: whether the importances are scaled to add up to 1.

    Raises:
        ValueError: a study with several goals is evaluated by fANOVA without a target, or a parameter is not known.
        OptunaError: the evaluator is not one of this layer.
    """
    evaluator = PedAnovaImportanceEvaluator() if evaluator is None else evaluator
    if not isinstance(evaluator, BaseImportanceEvaluator):
        raise not_ours("an evaluator derives from importance.BaseImportanceEvaluator", evaluator)
    shares = evaluator.evaluate(study, params, target=target)
    total = sum(shares.values())
    if not normalize:
        return shares
    return {name: share / total if total > 0 else 1 / len(shares) for name, share in shares.items()}


def _of_params(study: Study, params: Sequence[str] | None, shares: dict[str, float]) -> dict[str, float]:
    """The shares of the named parameters, or of all; those for which there is none have 0.

    Raises:
        ValueError: no trial has one of the parameters.
    """
    known = params_of(study)
    if params is not None and (missing := [name for name in params if name not in known]):
        raise ValueError(f"no completed trial has {', '.join(missing)}; known: {', '.join(known) or 'none'}")
    wanted = known if params is None else list(dict.fromkeys(params))
    return dict(sorted(((name, shares.get(name, 0.0)) for name in wanted), key=lambda share: -share[1]))
