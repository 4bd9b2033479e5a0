"""The history: every trial's value by its number, and the best so far."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.analysis.best import best_so_far
from raytune_hpo.goals import Goal
from raytune_hpo.plots import style
from raytune_hpo.texts import cut, last_line
from raytune_hpo.trial import Status, Trial

if TYPE_CHECKING:
    from raytune_hpo.results import Results


def history(results: Results) -> Any:
    """One panel per metric: completed trials, pruned ones at their last report, failed ones along the bottom."""
    figure = style.panels([f"{goal.metric} by trial" for goal in results.goals])
    for row, goal in enumerate(results.goals, start=1):
        _panel(figure, row, results, goal)
    figure.update_xaxes(title="trial", row=len(results.goals), col=1)
    return figure


def _panel(figure: Any, row: int, results: Results, goal: Goal) -> None:
    completed = [t for t in results if t.status is Status.COMPLETED]
    pruned = [t for t in results if t.status is Status.PRUNED and goal.metric in t.metrics]
    failed = [t for t in results if t.status is Status.FAILED]
    values = _values([*completed, *pruned], goal)
    axis = style.value_axis(values, goal)
    figure.update_yaxes(**axis, row=row, col=1)
    if hidden := style.num_outside(values, axis):
        title = f"{goal.metric} by trial ({hidden} far worse ones lie outside: double-click to see them)"
        figure.layout.annotations[row - 1].text = html.escape(title)
    dots: dict[str, dict[str, Any]] = {
        "pruned": {"color": style.GREY, "symbol": "circle-open", "size": 7},
        "completed": {"color": style.BLUE, "symbol": "circle", "size": 7, "opacity": 0.75},
    }
    for name, trials in (("pruned", pruned), ("completed", completed)):
        if trials:
            figure.add_trace(_dots(name, trials, results.goals, goal, dots[name], row), row=row, col=1)
    if completed:
        figure.add_trace(_best_line(results, completed, goal, row), row=row, col=1)
    if failed:
        _add_failed(figure, row, failed)


def _dots(name: str, trials: Sequence[Trial], goals: Sequence[Goal], goal: Goal, marker: Any, row: int) -> Any:
    many = len(trials) > style.MANY
    go = style.plotly()
    return (go.Scattergl if many else go.Scatter)(
        x=[t.number for t in trials],
        y=_values(trials, goal),
        mode="markers",
        name=name,
        legendgroup=name,
        showlegend=row == 1,
        marker={**marker, "size": 4} if many else marker,
        hovertemplate="%{text}<extra></extra>",
        text=[style.hover(t, goals, brief=many) for t in trials],
    )


def _best_line(results: Results, completed: Sequence[Trial], goal: Goal, row: int) -> Any:
    """The best value among the trials up to each number, drawn to the last trial; corners only."""
    sign = -1.0 if goal.mode == "max" else 1.0
    values = sign * best_so_far(sign * _values(completed, goal))
    corners: list[int] = np.flatnonzero(np.append(True, np.diff(values) != 0)).tolist()
    last = max(len(results) - 1, completed[-1].number)
    return style.plotly().Scatter(
        x=[*[completed[i].number for i in corners], last],
        y=[*values[corners], values[-1]],
        mode="lines",
        name="best so far",
        legendgroup="best",
        showlegend=row == 1,
        line={"color": style.ORANGE, "width": 2.5, "shape": "hv"},
        hovertemplate="best up to trial %{x}: %{y:.6g}<extra></extra>",
    )


def _add_failed(figure: Any, row: int, failed: Sequence[Trial]) -> None:
    """Failed trials have no value: they stand at the foot of the panel, on an axis of their own."""
    name = f"y{100 + row}"
    own = {"overlaying": f"y{row}" if row > 1 else "y", "range": [0, 1], "visible": False, "fixedrange": True}
    figure.update_layout({f"yaxis{100 + row}": own})
    figure.add_trace(
        style.plotly().Scatter(
            x=[t.number for t in failed],
            y=[0.025] * len(failed),
            xaxis=f"x{row}" if row > 1 else "x",
            yaxis=name,
            mode="markers",
            name="failed",
            legendgroup="failed",
            showlegend=row == 1,
            marker={"color": style.RED, "symbol": "x", "size": 7},
            hovertemplate="%{text}<extra></extra>",
            text=[f"<b>trial {t.number}</b> failed<br>{html.escape(cut(last_line(t.error), 160))}" for t in failed],
        )
    )


def _values(trials: Sequence[Trial], goal: Goal) -> np.ndarray:
    return np.array([trial.metrics[goal.metric] for trial in trials], dtype=np.float64)
