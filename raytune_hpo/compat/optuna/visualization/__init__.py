"""Figures of studies, under Optuna's names; each returns a plotly figure."""

from __future__ import annotations

import importlib
from typing import Any

from raytune_hpo.compat.optuna.visualization.figures import (
    is_available,
    plot_contour,
    plot_edf,
    plot_hypervolume_history,
    plot_intermediate_values,
    plot_optimization_history,
    plot_parallel_coordinate,
    plot_param_importances,
    plot_pareto_front,
    plot_rank,
    plot_slice,
    plot_terminator_improvement,
    plot_timeline,
)

__all__ = [
    "is_available",
    "plot_contour",
    "plot_edf",
    "plot_hypervolume_history",
    "plot_intermediate_values",
    "plot_optimization_history",
    "plot_parallel_coordinate",
    "plot_param_importances",
    "plot_pareto_front",
    "plot_rank",
    "plot_slice",
    "plot_terminator_improvement",
    "plot_timeline",
]


def __getattr__(name: str) -> Any:
    if name == "matplotlib":
        return importlib.import_module(f"{__name__}.matplotlib")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
