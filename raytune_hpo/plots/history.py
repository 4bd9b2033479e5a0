"""The history: every trial's value by its number, in the colour of its arm if it has one, and the best so far."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.analysis.best import best_so_far
from raytune_hpo.analysis.values import evenly, losses_of_values, standing_for_all, values_of
from raytune_hpo.display.text import cut, last_line
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.plots import style
from raytune_hpo.trial import Trial

if TYPE_CHECKING:
    from raytune_hpo.results import Results

_MOST_AT_FOOT = 200


def history(results: Results) -> Any:
    """One panel per metric: completed trials, pruned and running ones at their last report, failed ones at the foot."""
    figure = style.panels([f"{goal.metric} by trial" for goal in results.goals])
    for panel, goal in enumerate(results.goals):
        _panel(figure, panel, results, goal)
    figure.update_xaxes(title="trial", row=len(results.goals), col=1)
    figure.update_xaxes(**style.count_axis(len(results)))
    return style.name_once(figure)


def _panel(figure: Any, panel: int, results: Results, goal: Goal) -> None:
    completed = [t for t in results if t.status is Status.COMPLETED]
    pruned = [t for t in results if t.status is Status.PRUNED and goal.metric in t.metrics]
    valued = [*completed, *pruned]
    values = values_of(valued, goal)
    axis = style.value_axis(values, goal)
    figure.update_yaxes(**axis, row=panel + 1, col=1)
    drawn = standing_for_all(losses_of_values(values, goal), style.MOST // len(results.goals))
    kept = [valued[i] for i in drawn.tolist()]
    hidden = style.num_outside(values, axis)
    far = f" ({hidden:,} far worse ones lie outside: double-click to see them)" if hidden else ""
    style.retitle(figure, panel, f"{goal.metric} by trial{style.some(len(kept), len(values))}{far}")
    running = [t for t in results if not t.status.is_finished and goal.metric in t.metrics]
    _add(figure, panel, results, goal, [trial for trial in kept if trial.status is Status.PRUNED], len(kept))
    ended_well = [trial for trial in kept if trial.status is Status.COMPLETED]
    _add(figure, panel, results, goal, [trial for trial in ended_well if trial.arm is None], len(kept))
    _add_arms(figure, panel, results, goal, [trial for trial in ended_well if trial.arm is not None], len(kept))
    if completed:
        figure.add_trace(_best_line(results, completed, goal), row=panel + 1, col=1)
    _add(figure, panel, results, goal, running[-_MOST_AT_FOOT:])
    _add_failed(figure, panel, [t for t in results if t.status is Status.FAILED])


def _add(figure: Any, panel: int, results: Results, goal: Goal, trials: Sequence[Trial], among: int = 0) -> None:
    """Add trials of one status."""
    if trials:
        status = trials[0].status if trials[0].status.is_finished else Status.RUNNING
        trace = style.dots(
            status.value,
            trials,
            [trial.number for trial in trials],
            [trial.metrics[goal.metric] for trial in trials],
            results.goals,
            marker=_mark(status, results),
            among=among,
        )
        figure.add_trace(trace, row=panel + 1, col=1)


def _mark(status: Status, results: Results) -> Mapping[str, Any]:
    """The mark of a status; beside arms, completed trials that nobody suggested are not in the colour of one."""
    own_point = {"color": style.ORANGE, "symbol": "circle-open"} if status is Status.COMPLETED and results.arms else {}
    return {**style.MARKS[status], **own_point}


def _add_arms(figure: Any, panel: int, results: Results, goal: Goal, trials: Sequence[Trial], among: int) -> None:
    """Add completed trials by the arms that suggested them."""
    for arm, mark in style.arm_marks(results.arms).items():
        own = [trial for trial in trials if trial.arm == arm]
        if own:
            x, y = [trial.number for trial in own], [trial.metrics[goal.metric] for trial in own]
            trace = style.dots(style.arm_name(arm), own, x, y, results.goals, marker=mark, among=among)
            figure.add_trace(trace, row=panel + 1, col=1)


def _best_line(results: Results, completed: Sequence[Trial], goal: Goal) -> Any:
    """The best value among the trials up to each number, drawn to the last trial; corners only."""
    values = losses_of_values(best_so_far(losses_of_values(values_of(completed, goal), goal)), goal)
    corners: list[int] = np.flatnonzero(np.append(True, np.diff(values) != 0)).tolist()
    last = max(len(results) - 1, completed[-1].number)
    return style.plotly().Scatter(
        x=[*[completed[i].number for i in corners], last],
        y=[*values[corners], values[-1]],
        mode="lines",
        name="best so far",
        legendgroup="best",
        line={"color": style.ORANGE, "width": 2.5, "shape": "hv"},
        hovertemplate="best up to trial %{x}: %{y:.6g}<extra></extra>",
    )


def _add_failed(figure: Any, panel: int, failed: Sequence[Trial]) -> None:
    """Failed trials have no value: they stand at the foot of the panel."""
    if not failed:
        return
    kept = [failed[i] for i in evenly(len(failed), _MOST_AT_FOOT).tolist()]
    style.foot(
        figure,
        panel,
        1,
        style.plotly().Scatter(
            x=[trial.number for trial in kept],
            y=[0.025] * len(kept),
            mode="markers",
            name="failed",
            legendgroup="failed",
            marker={**style.MARKS[Status.FAILED], "size": 7},
            hovertemplate="%{text}<extra></extra>",
            text=[f"<b>trial {t.number}</b> failed<br>{html.escape(cut(last_line(t.error), 160))}" for t in kept],
        ),
    )
