"""The parallel coordinates of metrics: every completed trial is a line through its metrics."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.analysis.series import MetricSeries, usual_range
from raytune_hpo.goals import Goal
from raytune_hpo.numerics.thinning import evenly_chosen
from raytune_hpo.plots import style
from raytune_hpo.plots.ticks import linear_ticks, log_ticks
from raytune_hpo.trial import Trial

if TYPE_CHECKING:
    from raytune_hpo.results import Results

_MOST = 300  # lines besides those of the front
_MAX_AXES = 10
_NAME = 26  # characters
# Of a line: infeasible, completed, on the front.
_COLOURS = [[0.0, style.PALE_RED], [0.5, "#b9c9da"], [1.0, style.ORANGE]]


def metric_coordinates_plot(results: Results) -> Any:
    """One line per completed trial, one axis per goal and per bounded metric, the better end up."""
    goals = list({goal.metric: goal for goal in [*results.spec.constraints, *results.goals]}.values())[::-1][:_MAX_AXES]
    completed = [trial for trial in results if trial.losses is not None]
    if len(completed) < 2 or len(goals) < 2:
        return style.nothing("lines through metrics need two completed trials and two metrics")
    front = {trial.number for trial in results.best_trials}
    others = evenly_chosen([trial for trial in completed if trial.number not in front], _MOST)
    drawn = [*sorted(others, key=lambda trial: trial.is_feasible), *[t for t in completed if t.number in front]]
    kinds = [1.0 if t.number in front else 0.5 if t.is_feasible else 0.0 for t in drawn]
    note = "" if len(others) + len(front) == len(completed) else f"; the front and {len(others)} others are drawn"
    words = "the front is orange" + ("; what breaks a constraint is red" if results.spec.constraints else "")
    figure = style.panels([f"{words}{note}"], height=400, specs=[[{"type": "domain"}]])
    figure.add_trace(
        style.plotly().Parcoords(
            line={"color": kinds, "colorscale": _COLOURS, "cmin": 0, "cmax": 1},
            dimensions=[_dimension(goal, drawn) for goal in goals],
            labelfont={"size": 14},
            tickfont={"size": 12, "color": "#22262e"},
        )
    )
    figure.update_layout(margin={"l": 90, "r": 90, "t": 100, "b": 30})
    figure.update_annotations(x=-0.08, y=1.0, yref="paper", yshift=64)
    return figure


def _dimension(goal: Goal, trials: list[Trial]) -> dict[str, Any]:
    """The axis of one metric, its better end up, in decades if the values span some.

    Otherwise outliers on the worse side are drawn at the lower end.
    """
    series = MetricSeries(goal, trials)
    losses = np.nan_to_num(series.losses)
    # A trial without a value of a bounded metric stands at 0, which has no logarithm.
    is_log = series.is_log and len(series.valued) == len(trials)
    values = np.log10(series.values) if is_log else goal.value(np.minimum(losses, usual_range(losses)[1]))
    low, high = float(values.min()), float(values.max())
    ticks = (log_ticks if is_log else linear_ticks)(low, high)
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    ends = [high, low] if goal.lower_is_better else [low, high]
    label = html.escape(style.short_name(str(goal), _NAME))
    return {"label": label, "values": values, "range": ends, "tickvals": ticks.places, "ticktext": ticks.labels}
