"""The history figure: every trial's value by its number, in the colour of its arm if it has one, and the best so far."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.analysis.failures import reason_of_failure
from raytune_hpo.analysis.series import MetricSeries, Positions
from raytune_hpo.display.status import INFEASIBLE, STATUSES, drawn_status
from raytune_hpo.display.text import cut
from raytune_hpo.facts import Status
from raytune_hpo.numerics.thinning import best_and_others, evenly_chosen
from raytune_hpo.plots import style
from raytune_hpo.trial import Trial

if TYPE_CHECKING:
    from raytune_hpo.results import Results

_MOST_AT_FOOT = 200


def history_plot(results: Results) -> Any:
    """One panel per metric: completed trials; pruned, paused and running ones at their last report; failed ones below.

    Completed trials that break a constraint have a mark of their own, since they are never the best.
    """
    figure = style.panels([f"{goal.metric} by trial" for goal in results.goals])
    for panel, goal in enumerate(results.goals):
        _panel(figure, panel, results, MetricSeries(goal, results.arrays))
    figure.update_xaxes(title="trial", row=len(results.goals), col=1)
    figure.update_xaxes(**style.count_axis(len(results)))
    return style.name_once(figure)


def _panel(figure: Any, panel: int, results: Results, series: MetricSeries) -> None:
    metric, num_values = series.goal.metric, len(series.valued)
    figure.update_yaxes(**style.metric_axis(series.goal, series.axis), row=panel + 1, col=1)
    kept = _drawn(series, style.MOST // len(results.goals))
    far = style.note_on_outside(series.num_outside)
    style.retitle(figure, panel, f"{metric} by trial{style.note_on_trials(len(kept), num_values)}{far}")

    def add(name: str, trials: Sequence[Trial], marker: Mapping[str, Any], among: int = 0) -> None:
        if trials:
            x, y = [trial.number for trial in trials], [trial.metrics[metric] for trial in trials]
            trace = style.dots(name, trials, x, y, results.goals, marker=marker, among=among)
            figure.add_trace(trace, row=panel + 1, col=1)

    # Beside arms, completed trials that no arm suggested are not in the colour of one.
    without_arm = {"color": style.ORANGE, "symbol": "circle-open"} if results.arms else {}
    at_rest = [series.trials[i] for i in kept.tolist()]
    completed = [trial for trial in at_rest if trial.is_feasible]
    for status in (Status.PRUNED, Status.PAUSED):
        row = STATUSES[status]
        add(row.word, [trial for trial in at_rest if trial.status is status], row.mark, len(kept))
    broken = [trial for trial in at_rest if trial.status is Status.COMPLETED and not trial.is_feasible]
    add(INFEASIBLE.word, broken, INFEASIBLE.mark, len(kept))
    looks = {**STATUSES[Status.COMPLETED].mark, **without_arm}
    add(STATUSES[Status.COMPLETED].word, [trial for trial in completed if trial.arm is None], looks, len(kept))
    for arm, mark in style.arm_marks(results.arms).items():
        add(style.arm_name(arm), [trial for trial in completed if trial.arm == arm], mark, len(kept))
    if series.improvements:
        figure.add_trace(_best_line(series), row=panel + 1, col=1)
    under_way = [results[row] for row in results.arrays.which(Status.RUNNING, Status.WAITING).tolist()]
    under_way = [trial for trial in under_way if metric in trial.metrics]
    for drawn_as, row in STATUSES.items():
        add(row.word, [t for t in under_way[-_MOST_AT_FOOT:] if drawn_status(t.status) == drawn_as], row.mark)
    _add_failed(figure, panel, [results[row] for row in results.arrays.which(Status.FAILED).tolist()])


def _drawn(series: MetricSeries, most: int) -> Positions:
    """Positions of the trials to draw: completed ones before the others, the best and an even selection of the rest."""
    completed = series.completed[series.valued]
    ordered = np.concatenate([series.valued[completed], series.valued[~completed]])
    return ordered[best_and_others(series.ranks[ordered], most)]


def _best_line(series: MetricSeries) -> Any:
    """The best value among the trials up to each number, drawn to the last trial; corners only."""
    corners = series.improvements
    numbers, values = [series.trials[i].number for i in corners], series.values[corners]
    last = max(len(series.trials) - 1, series.trials[int(np.flatnonzero(series.completed)[-1])].number)
    return style.plotly().Scatter(
        x=[*numbers, last],
        y=[*values, values[-1]],
        mode="lines",
        name="best so far",
        legendgroup="best",
        line={"color": style.ORANGE, "width": 2.5, "shape": "hv"},
        hovertemplate="best up to trial %{x}: %{y:.6g}<extra></extra>",
    )


def _add_failed(figure: Any, panel: int, failed: Sequence[Trial]) -> None:
    """Draw failed trials, which have no value, at the foot of the panel."""
    if not failed:
        return
    kept, row = evenly_chosen(failed, _MOST_AT_FOOT), STATUSES[Status.FAILED]
    trace = style.plotly().Scatter(
        x=[trial.number for trial in kept],
        y=[0.025] * len(kept),
        mode="markers",
        name=row.word,
        legendgroup=row.word,
        marker={**row.mark, "size": 7},
        hovertemplate="%{text}<extra></extra>",
        text=[f"<b>trial {t.number}</b> failed<br>{html.escape(cut(reason_of_failure(t), 160))}" for t in kept],
    )
    style.foot(figure, panel, 1, trace)
