"""Expressions as configurations: hyperopt's own."""

from __future__ import annotations

from hyperopt.pyll_utils import (
    expr_to_config,
    hp_choice,
    hp_lognormal,
    hp_loguniform,
    hp_normal,
    hp_pchoice,
    hp_qlognormal,
    hp_qloguniform,
    hp_qnormal,
    hp_quniform,
    hp_randint,
    hp_uniform,
    hp_uniformint,
    hyperopt_param,
)

__all__ = [
    "expr_to_config",
    "hp_choice",
    "hp_lognormal",
    "hp_loguniform",
    "hp_normal",
    "hp_pchoice",
    "hp_qlognormal",
    "hp_qloguniform",
    "hp_qnormal",
    "hp_quniform",
    "hp_randint",
    "hp_uniform",
    "hp_uniformint",
    "hyperopt_param",
]
