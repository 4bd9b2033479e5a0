"""Figures of matplotlib: hyperopt's own."""

from __future__ import annotations

from hyperopt.plotting import (
    main_plot_1D_attachment,
    main_plot_histogram,
    main_plot_history,
    main_plot_vars,
)

__all__ = [
    "main_plot_1D_attachment",
    "main_plot_histogram",
    "main_plot_history",
    "main_plot_vars",
]
