"""Learning curves: what trials reported, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.analysis.best import ranked
from raytune_hpo.analysis.curves import Curve, learning_curves
from raytune_hpo.analysis.values import goal_named
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.plots import style

if TYPE_CHECKING:
    from raytune_hpo.results import Results

MAX_CURVES = 300
MAX_POINTS = 200  # of one curve
_BEST = 30  # of many curves, so many of the best are always drawn


def curves(results: Results, metric: str | None = None) -> Any:
    """All learning curves of one metric; the best in colour, pruned and failed ones muted and ending in a mark.

    Of more than 300 curves the 30 best and an even choice of the others are drawn.

    Raises:
        SpecError: the study has no such metric.
    """
    goal = goal_named(metric, results.goals, results.trials)
    found = learning_curves(results.trials, goal.metric)
    drawn = [curve.thinned(MAX_POINTS) for curve in _chosen(results, found)]
    some = "" if len(drawn) == len(found) else f" ({len(drawn)} of {len(found)} trials)"
    figure = style.panels([f"{goal.metric} by step{some}" if found else "no trial has reported on its way"], height=420)
    for trace in _traces(results, drawn, goal):
        figure.add_trace(trace)
    values = np.concatenate([curve.values for curve in drawn]) if drawn else np.empty(0)
    figure.update_yaxes(**style.value_axis(values, goal))
    last = max((float(curve.steps[-1]) for curve in drawn), default=0.0)
    figure.update_xaxes(title="step", **style.count_axis(last))
    return figure


def _chosen(results: Results, found: Sequence[Curve]) -> list[Curve]:
    if len(found) <= MAX_CURVES:
        return list(found)
    best = {trial.number for trial in ranked(results.trials)[:_BEST]}
    others = [curve for curve in found if curve.trial.number not in best]
    kept = np.linspace(0, len(others) - 1, MAX_CURVES - _BEST).round().astype(int)
    return [*[others[i] for i in kept], *[curve for curve in found if curve.trial.number in best]]


def _traces(results: Results, drawn: Sequence[Curve], goal: Goal) -> list[Any]:
    """Few traces, each of many curves with gaps between them: a trace per curve makes a browser slow."""
    best = ranked(results.trials)[:1]
    top = [curve for curve in drawn if best and curve.trial.number == best[0].number]
    rest = [curve for curve in drawn if curve not in top]
    by_status = {status: [c for c in rest if c.trial.status is status] for status in Status}
    pruned, failed = by_status[Status.PRUNED], by_status[Status.FAILED]
    going_on = [*by_status[Status.RUNNING], *by_status[Status.WAITING]]
    traces = [
        _lines("pruned", pruned, goal, {"color": style.PALE_GREY, "width": 1}),
        _lines("failed", failed, goal, {"color": style.PALE_GREY, "width": 1, "dash": "dot"}),
        _lines("running", going_on, goal, {"color": style.GREEN, "width": 1.2}),
        _lines("completed", by_status[Status.COMPLETED], goal, {"color": style.PALE_BLUE, "width": 1.3}),
        _ends("pruned", pruned, goal, {"color": style.GREY, "symbol": "circle-open", "size": 6}),
        _ends("failed", failed, goal, {"color": style.RED, "symbol": "x", "size": 6}),
        _lines("best", top, goal, {"color": style.ORANGE, "width": 3}),
    ]
    return [trace for trace in traces if trace is not None]


def _lines(name: str, group: Sequence[Curve], goal: Goal, line: dict[str, Any]) -> Any:
    if not group:
        return None
    has_points = all(len(curve.steps) == 1 for curve in group)
    return style.plotly().Scatter(
        x=_joined([curve.steps for curve in group]),
        y=_joined([curve.values for curve in group]),
        text=[style.hover(c.trial, [goal], brief=True) for c in group for _ in range(len(c.steps) + 1)],
        mode="markers" if has_points else "lines",  # a line of one point would not be seen
        name=name,
        legendgroup=name,
        line=line,
        connectgaps=False,
        hovertemplate="%{text}<br>step %{x}: %{y:.6g}<extra></extra>",
    )


def _ends(name: str, group: Sequence[Curve], goal: Goal, marker: dict[str, Any]) -> Any:
    if not group:
        return None
    return style.plotly().Scatter(
        x=[curve.steps[-1] for curve in group],
        y=[curve.values[-1] for curve in group],
        text=[style.hover(curve.trial, [goal]) for curve in group],
        mode="markers",
        name=name,
        legendgroup=name,
        showlegend=False,
        marker=marker,
        hovertemplate="%{text}<extra></extra>",
    )


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The arrays one after the other, each followed by a gap."""
    return np.concatenate([np.append(array, np.nan) for array in arrays])
