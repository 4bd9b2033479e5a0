"""The figure of a portfolio's arms: the number of trials that each suggested, and its improvements of the best value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.analysis.series import MetricSeries
from raytune_hpo.plots import style

if TYPE_CHECKING:
    from raytune_hpo.results import Results


def arms_plot(results: Results) -> Any:
    """A rising line for each arm, with a star at each of its trials that was the best so far."""
    marks = style.arm_marks(results.arms)
    if not marks:
        return style.nothing("no sampler with arms suggested these trials")
    goal = results.goals[0]
    figure = style.panels([f"trials suggested by each arm; stars were the best {goal.metric} so far"])
    count_at: dict[int, int] = {}  # how many trials the arm of each trial had suggested, that trial included
    for arm, mark in marks.items():
        numbers = np.array([trial.number for trial in results if trial.arm == arm])
        counts = range(1, len(numbers) + 1)
        count_at.update(zip(numbers.tolist(), counts, strict=True))
        line = style.plotly().Scatter(
            x=[numbers[0], *numbers, len(results) - 1],
            y=[0, *counts, len(numbers)],
            mode="lines",
            name=style.arm_name(arm),
            legendgroup=arm,
            line={"color": mark["color"], "width": 2.5, "shape": "hv"},
            hovertemplate=f"{style.arm_name(arm)}: %{{y}} up to trial %{{x}}<extra></extra>",
        )
        figure.add_trace(line)
    better = [results[i] for i in MetricSeries(goal, results.arrays).improvements if results[i].arm is not None]
    if better:
        x, y = [trial.number for trial in better], [count_at[trial.number] for trial in better]
        marker = {**style.BEST_MARK, "size": 11}
        figure.add_trace(style.dots("best so far", better, x, y, results.goals, marker=marker))
    figure.update_xaxes(title="trial", **style.count_axis(len(results)))
    figure.update_yaxes(title="suggested", rangemode="tozero", **style.count_axis(max(results.arms.values())))
    return style.name_once(figure)
