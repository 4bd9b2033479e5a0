"""The Pareto front: metrics against each other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.analysis.values import evenly, values_of
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.plots import style
from raytune_hpo.trial import Trial

if TYPE_CHECKING:
    from raytune_hpo.results import Results

_MAX_PANELS = 6
_FRONT = {"color": style.ORANGE, "size": 9, "line": {"color": "#7a5200", "width": 1}}


def pareto(results: Results) -> Any:
    """Completed trials in two metrics, those of the front in colour; one panel for each pair of metrics.

    Raises:
        SpecError: the study has one metric.
    """
    if len(results.goals) < 2:
        raise SpecError(f"a Pareto front needs several metrics, study {results.name!r} has {results.goals[0].metric!r}")
    completed = [trial for trial in results if trial.status is Status.COMPLETED]
    if not completed:
        return style.nothing("no trial has completed yet")
    pairs = list(combinations(results.goals, 2))[:_MAX_PANELS]
    front = {trial.number for trial in results.best_trials}
    best, others = ([t for t in completed if (t.number in front) is is_best] for is_best in (True, False))
    drawn = [others[i] for i in evenly(len(others), style.MOST // len(pairs)).tolist()]
    cols = 2 if len(pairs) > 1 else 1
    figure = style.panels([_title(x, y) for x, y in pairs], height=420, cols=cols, between=style.WIDE)
    for panel, pair in enumerate(pairs):
        _panel(figure, panel, cols, results, pair, best, drawn)
    if len(drawn) < len(others):
        style.caption(figure, f"the whole front of {len(best):,} trials, and {len(drawn):,} of {len(others):,} others")
    return style.name_once(figure)


def _title(x: Goal, y: Goal) -> str:
    return f"{style.short_name(y.metric, 24)} ({y.mode}) against {style.short_name(x.metric, 24)} ({x.mode})"


def _panel(
    figure: Any,
    panel: int,
    cols: int,
    results: Results,
    pair: tuple[Goal, Goal],
    best: Sequence[Trial],
    others: Sequence[Trial],
) -> None:
    at, (x, y) = style.place(panel, cols), pair
    muted = {"color": style.PALE_BLUE}
    for name, trials, marker in (("completed", others, muted), ("front", best, _FRONT)):
        if trials:
            xs, ys = values_of(trials, x), values_of(trials, y)
            figure.add_trace(style.dots(name, trials, xs, ys, results.goals, marker=marker), **at)
    if len(results.goals) == 2:
        figure.add_trace(_stairs(best, pair), **at)
    figure.update_xaxes(**style.value_axis(values_of([*others, *best], x), x), **at)
    figure.update_yaxes(**style.value_axis(values_of([*others, *best], y), y), **at)


def _stairs(best: Sequence[Trial], pair: tuple[Goal, Goal]) -> Any:
    """The edge of what the front dominates."""
    x, y = values_of(best, pair[0]), values_of(best, pair[1])
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
