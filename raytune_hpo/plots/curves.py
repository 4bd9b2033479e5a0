"""The figure of learning curves: the values that trials reported, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.analysis.best import ranked
from raytune_hpo.analysis.learning_curves import Curve, learning_curves, reporting
from raytune_hpo.analysis.series import axis_range, goal_named
from raytune_hpo.display.status import STATUSES, VERDICTS, by_layer, drawn_status
from raytune_hpo.facts import Verdict
from raytune_hpo.goals import Goal
from raytune_hpo.numerics.thinning import evenly_chosen
from raytune_hpo.plots import style

if TYPE_CHECKING:
    from raytune_hpo.results import Results

_MAX_CURVES = 300
_MAX_REPORTS = 200  # of one curve
_BEST = 30  # of many curves, the best ones are always drawn


def curves_plot(results: Results, metric: str | None = None) -> Any:
    """All learning curves of one metric; the best in colour, pruned and failed ones muted and ending in a mark.

    Pauses are marked as well.

    Of more than 300 curves, the 30 best and an even selection of the others are drawn.

    Raises:
        SpecError: the study has no such metric.
    """
    goal = goal_named(metric, results.spec, results.trials)
    found = [results[row] for row in reporting(results.arrays, goal.metric)]
    if not found:
        return style.nothing("no trial has reported on its way")
    kept = found
    if len(found) > _MAX_CURVES:
        best = {trial.number for trial in ranked(results.arrays, _BEST)}
        others = evenly_chosen([trial for trial in found if trial.number not in best], _MAX_CURVES - _BEST)
        kept = [*others, *[trial for trial in found if trial.number in best]]
    drawn = [curve.thinned(_MAX_REPORTS) for curve in learning_curves(kept, goal.metric)]
    some = "" if len(drawn) == len(found) else f" ({len(drawn)} of {len(found)} trials)"
    values = np.concatenate([curve.values for curve in drawn])
    shown = axis_range(values, goal)
    far = "" if shown is None else style.note_on_outside(int(shown.leaves_out(values).sum()))
    figure = style.panels([f"{goal.metric} by step{some}{far}"], height=420)
    for trace in _traces(results, drawn, goal):
        figure.add_trace(trace)
    figure.update_yaxes(**style.metric_axis(goal, shown))
    last = max(float(curve.steps[-1]) for curve in drawn)
    figure.update_xaxes(title="step", **style.count_axis(last))
    return figure


def _traces(results: Results, drawn: Sequence[Curve], goal: Goal) -> list[Any]:
    """A few traces, each of many curves with gaps between them, since one trace per curve makes a browser slow."""
    best = results.best_trial.number if results.best_trials else None
    top = [curve for curve in drawn if curve.trial.number == best]
    rest = [curve for curve in drawn if curve not in top]
    by_status: dict[str, list[Curve]] = {status: [] for status in by_layer()}
    for status in STATUSES:
        by_status[drawn_status(status)] += [curve for curve in rest if curve.trial.status == status]
    rows = [(STATUSES[status], group) for status, group in by_status.items() if group]
    traces = [_lines(row.word, group, goal, row.line) for row, group in rows]
    for row, group in rows:
        if row.ends_early:
            ends = [(curve, (curve.steps[-1], curve.values[-1])) for curve in group]
            traces.append(_marks(row.word, ends, goal, {**row.mark, "size": 6}))
    if pauses := [(curve, at) for curve in drawn for at in curve.pauses]:
        paused = VERDICTS[Verdict.PAUSE]
        traces.append(_marks(paused.word, pauses, goal, {**paused.mark, "size": 5}))
    return [*traces, _lines("best", top, goal, {"color": style.ORANGE, "width": 3})] if top else traces


def _lines(name: str, group: Sequence[Curve], goal: Goal, line: Mapping[str, Any]) -> Any:
    has_points = all(len(curve.steps) == 1 for curve in group)
    return style.plotly().Scatter(
        x=_joined([curve.steps for curve in group]),
        y=_joined([curve.values for curve in group]),
        text=[style.hover(c.trial, [goal], brief=True) for c in group for _ in range(len(c.steps) + 1)],
        mode="markers" if has_points else "lines",  # a line of one point would not be seen
        name=name,
        legendgroup=name,
        line=dict(line),
        connectgaps=False,
        hovertemplate="%{text}<br>step %{x}: %{y:.6g}<extra></extra>",
    )


def _marks(
    name: str, points: Sequence[tuple[Curve, tuple[float, float]]], goal: Goal, marker: Mapping[str, Any]
) -> Any:
    """Marks on curves, which belong to their name in the legend."""
    return style.plotly().Scatter(
        x=[step for _, (step, _) in points],
        y=[value for _, (_, value) in points],
        text=[style.hover(curve.trial, [goal]) for curve, _ in points],
        mode="markers",
        name=name,
        legendgroup=name,
        showlegend=False,
        marker=dict(marker),
        hovertemplate="%{text}<extra></extra>",
    )


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The arrays one after the other, each followed by a gap."""
    return np.concatenate([np.append(array, np.nan) for array in arrays])
