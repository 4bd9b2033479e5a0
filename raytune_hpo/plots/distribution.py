"""The empirical distribution: which share of trials is at least so good."""

from __future__ import annotations

from typing import Any

import numpy as np

from raytune_hpo.analysis.distribution import Distribution, halves
from raytune_hpo.analysis.values import losses_of_values
from raytune_hpo.facts import Status
from raytune_hpo.plots import style
from raytune_hpo.plots.view import View

_LINES = {
    "all trials": {"color": style.BLUE, "width": 3},
    "first half": {"color": style.GREY, "width": 2, "dash": "dot"},
    "second half": {"color": style.ORANGE, "width": 2, "dash": "dash"},
}


def distribution(view: View) -> Any:
    """The completed trials, and those of each half of the study: the further apart, the more was learnt."""
    is_completed = np.array([trial.status is Status.COMPLETED for trial in view.results], dtype=bool)
    losses = np.where(is_completed, view.losses, np.nan)
    if not np.isfinite(losses).any():
        return style.nothing("no trial has completed yet")
    figure = style.panels([f"share of completed trials that are at least so good in {view.goal.metric}"])
    for name, found in halves(losses):
        figure.add_trace(_line(view, name, found))
    figure.update_xaxes(**style.value_axis(view.values[is_completed], view.goal))
    figure.update_yaxes(title="share of trials", range=[0, 1.02], tickformat=".0%")
    return figure


def _line(view: View, name: str, found: Distribution) -> Any:
    values = losses_of_values(found.values, view.goal)
    return style.plotly().Scatter(
        # From nothing at the best value on, so that a single value is a step too.
        x=[values[0], *values],
        y=[0.0, *found.shares],
        mode="lines",
        name=f"{name} ({found.num:,})",
        line={**_LINES[name], "shape": "hv"},
        hovertemplate="%{y:.1%} are at least as good as %{x:.6g}<extra></extra>",
    )
