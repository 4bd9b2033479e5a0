"""The Pareto front: metrics against each other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.errors import SpecError
from raytune_hpo.goals import Goal
from raytune_hpo.plots import style
from raytune_hpo.trial import Status, Trial

if TYPE_CHECKING:
    from raytune_hpo.results import Results

_MAX_PANELS = 6


def pareto(results: Results) -> Any:
    """Completed trials in two metrics, those of the front in colour; one panel for each pair of metrics.

    Raises:
        SpecError: the study has one metric.
    """
    if len(results.goals) < 2:
        raise SpecError(f"a Pareto front needs several metrics, study {results.name!r} has {results.goals[0].metric!r}")
    pairs = list(combinations(results.goals, 2))[:_MAX_PANELS]
    figure = style.panels([f"{y.metric} ({y.mode}) against {x.metric} ({x.mode})" for x, y in pairs], height=420)
    front = {trial.number for trial in results.best_trials}
    completed = [trial for trial in results if trial.status is Status.COMPLETED]
    best = [trial for trial in completed if trial.number in front]
    others = [trial for trial in completed if trial.number not in front]
    for row, (x, y) in enumerate(pairs, start=1):
        muted = {"color": style.PALE_BLUE, "size": 7}
        bright = {"color": style.ORANGE, "size": 9, "line": {"color": "#7a5200", "width": 1}}
        figure.add_trace(_dots("completed", others, results.goals, (x, y), muted, row), row=row, col=1)
        if len(results.goals) == 2 and best:
            figure.add_trace(_stairs(best, (x, y)), row=row, col=1)
        figure.add_trace(_dots("front", best, results.goals, (x, y), bright, row), row=row, col=1)
        figure.update_xaxes(**style.value_axis(_values(completed, x), x), row=row, col=1)
        figure.update_yaxes(**style.value_axis(_values(completed, y), y), row=row, col=1)
    return figure


def _dots(
    name: str, trials: Sequence[Trial], goals: Sequence[Goal], pair: tuple[Goal, Goal], marker: dict[str, Any], row: int
) -> Any:
    many = len(trials) > style.MANY
    go = style.plotly()
    return (go.Scattergl if many else go.Scatter)(
        x=_values(trials, pair[0]),
        y=_values(trials, pair[1]),
        mode="markers",
        name=name,
        legendgroup=name,
        showlegend=row == 1,
        marker=marker,
        hovertemplate="%{text}<extra></extra>",
        text=[style.hover(trial, goals, brief=many) for trial in trials],
    )


def _stairs(best: Sequence[Trial], pair: tuple[Goal, Goal]) -> Any:
    """The edge of what the front dominates."""
    x, y = _values(best, pair[0]), _values(best, pair[1])
    order = np.argsort(x)
    return style.plotly().Scatter(
        x=x[order],
        y=y[order],
        mode="lines",
        showlegend=False,
        hoverinfo="skip",
        # The corner lies on the worse side: a point between two of the front is as bad as both allow.
        line={"color": style.ORANGE, "width": 1.5, "shape": "hv" if pair[0].mode == "min" else "vh"},
    )


def _values(trials: Sequence[Trial], goal: Goal) -> np.ndarray:
    return np.array([trial.metrics[goal.metric] for trial in trials], dtype=np.float64)
