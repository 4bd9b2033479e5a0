"""``optuna.integration.xgboost``."""

from raytune_hpo.compat.optuna.integration.pruning import XGBoostPruningCallback

__all__ = ["XGBoostPruningCallback"]
