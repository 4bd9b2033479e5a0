"""``optuna.integration.sklearn``."""

from raytune_hpo.compat.optuna.integration.search_cv import OptunaSearchCV

__all__ = ["OptunaSearchCV"]
