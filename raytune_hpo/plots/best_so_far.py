"""The best value so far, against trials or against time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.analysis.best import best_by_number, best_over_time
from raytune_hpo.analysis.values import Floats, losses_of_values
from raytune_hpo.errors import SpecError
from raytune_hpo.plots import style

if TYPE_CHECKING:
    from raytune_hpo.results import Results


def best_so_far(results: Results, against: str = "trials") -> Any:
    """One panel per metric; each corner of the line is a trial that was better than all before it.

    Raises:
        SpecError: against something else.
    """
    if against not in ("trials", "time"):
        raise SpecError(f'the best so far is drawn against "trials" or "time", got against={against!r}')
    lines = [_line(results, index, against) for index in range(len(results.goals))]
    if not any(len(x) for x, _ in lines):
        return style.nothing("no trial has completed yet")
    longest = max(float(x[-1]) for x, _ in lines if len(x))
    unit, name = style.time_axis(longest) if against == "time" else (1.0, "trials")
    figure = style.panels([f"best {goal.metric} so far ({goal.mode})" for goal in results.goals], height=320)
    for row, ((x, losses), goal) in enumerate(zip(lines, results.goals, strict=True), start=1):
        values = losses_of_values(losses, goal)
        figure.add_trace(_steps(x / unit, values, name), row=row, col=1)
        figure.update_yaxes(**style.value_axis(values, goal), row=row, col=1)
    title = "trial" if against == "trials" else f"{name} since the first trial was handed out"
    figure.update_xaxes(title=title, row=len(results.goals), col=1)
    figure.update_xaxes(**style.count_axis(longest) if against == "trials" else {})
    return figure


def _line(results: Results, index: int, against: str) -> tuple[Floats, Floats]:
    """Where the best loss changed, and where it stands at the end; what it was there."""
    if against == "time":
        x, losses = best_over_time(results.trials, index)
    else:
        losses = best_by_number(results.trials, len(results.goals), index)
        known = np.isfinite(losses)
        x, losses = np.flatnonzero(known).astype(np.float64), losses[known]
    if not len(x):
        return x, losses
    corners = np.flatnonzero(np.diff(losses, prepend=np.inf) != 0)
    return np.append(x[corners], x[-1]), np.append(losses[corners], losses[-1])


def _steps(x: Floats, values: Floats, unit: str) -> Any:
    at = "trial %{x}" if unit == "trials" else f"%{{x:.4g}} {unit}"
    return style.plotly().Scatter(
        x=x,
        y=values,
        mode="lines+markers",
        showlegend=False,
        line={"color": style.ORANGE, "width": 2.5, "shape": "hv"},
        marker={"color": style.ORANGE, "size": np.append(np.full(len(x) - 1, 7), 0)},  # nothing happened at the end
        hovertemplate=f"{at}: %{{y:.6g}}<extra></extra>",
    )
