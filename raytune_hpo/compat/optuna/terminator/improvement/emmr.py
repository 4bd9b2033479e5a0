"""The evaluator by the expected minimum model regret, which is not supported."""

from __future__ import annotations

from typing import Any, NoReturn

from raytune_hpo.compat.optuna.exceptions import NotCarried
from raytune_hpo.compat.optuna.terminator.improvement.evaluator import BaseImprovementEvaluator


class EMMREvaluator(BaseImprovementEvaluator):
    """Not supported; RegretBoundEvaluator takes its place, also in a MedianErrorEvaluator."""

    def __new__(cls, *args: Any, **options: Any) -> NoReturn:
        raise NotCarried(
            "EMMREvaluator is not supported here; give Terminator and MedianErrorEvaluator a RegretBoundEvaluator() instead"
        )
