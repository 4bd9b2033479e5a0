"""The figure of the empirical distribution: the share of trials that are at least this good."""

from __future__ import annotations

from typing import Any

import numpy as np

from raytune_hpo.analysis.distribution import halves
from raytune_hpo.analysis.series import axis_range
from raytune_hpo.plots import style
from raytune_hpo.plots.view import View
from raytune_hpo.results.summary import why_no_best

_LINES = {
    "all trials": {"color": style.BLUE, "width": 3},
    "first half": {"color": style.GREY, "width": 2, "dash": "dot"},
    "second half": {"color": style.ORANGE, "width": 2, "dash": "dash"},
}


def distribution_plot(view: View) -> Any:
    """The distributions of all feasible trials and of each half of the study; the gap between the halves shows learning."""
    losses = np.where(view.feasible, view.losses, np.nan)
    if not np.isfinite(losses).any():
        no_value = f"no trial has a value of {style.short_name(view.goal.metric, 40)} yet"
        return style.nothing(no_value if view.results.best_trials else why_no_best(view.results))
    feasible = view.values[view.feasible]
    shown = axis_range(feasible, view.goal)
    far = "" if shown is None else style.note_on_outside(int(shown.leaves_out(feasible).sum()))
    which = "feasible" if view.results.spec.constraints else "completed"
    figure = style.panels([f"share of {which} trials that are at least this good in {view.goal.metric}{far}"])
    for name, found in halves(losses):
        values = view.goal.value(found.values)
        trace = style.plotly().Scatter(
            # From nothing at the best value on, so that a single value is a step too.
            x=[values[0], *values],
            y=[0.0, *found.shares],
            mode="lines",
            name=f"{name} ({found.num:,})",
            line={**_LINES[name], "shape": "hv"},
            hovertemplate="%{y:.1%} are at least as good as %{x:.6g}<extra></extra>",
        )
        figure.add_trace(trace)
    figure.update_xaxes(**style.metric_axis(view.goal, shown))
    figure.update_yaxes(title="share of trials", range=[0, 1.02], tickformat=".0%")
    return figure
