"""The evaluator by expected minimum model regret, which is not carried."""

from __future__ import annotations

from typing import Any, NoReturn

from raytune_hpo.compat.optuna.exceptions import NotCarried
from raytune_hpo.compat.optuna.terminator.improvement.evaluator import BaseImprovementEvaluator


class EMMREvaluator(BaseImprovementEvaluator):
    """Not carried."""

    def __new__(cls, *args: Any, **options: Any) -> NoReturn:
        raise NotCarried("EMMREvaluator is not carried; use RegretBoundEvaluator or BestValueStagnationEvaluator")
