"""Contours: what to expect where two parameters are known, whatever the others are."""

from __future__ import annotations

import html
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from raytune_hpo.analysis.response import Surface, surface
from raytune_hpo.analysis.tried import Parameter
from raytune_hpo.analysis.values import Floats, losses_of_values
from raytune_hpo.plots import style
from raytune_hpo.plots.view import View, split, why_nothing
from raytune_hpo.rng import derive
from raytune_hpo.trial import Status

_MOST = 300  # trials in a panel
_COLUMNS = 3


def contour(view: View, parameters: Sequence[str] | None = None) -> Any:
    """One panel per pair of the parameters, by default of the three that matter most; by a forest, darker is better."""
    shown = view.parameters(parameters, 3)
    pairs = list(combinations(shown, 2))
    if not pairs or not len(view.valued):
        return style.nothing(why_nothing(view) if len(shown) != 1 else "a contour needs two parameters that vary")
    rng = derive(view.results.spec.seed, "plots/contour")
    numbers = [view.tried.parameters.index(parameter) for parameter in shown]
    surfaces = [surface(view.tried.parameters, pair, view.losses, rng) for pair in combinations(numbers, 2)]
    cols = min(_COLUMNS, len(pairs))
    figure = style.panels([_title(found) for found in surfaces], height=420, cols=cols)
    for panel, ((x, y), found) in enumerate(zip(pairs, surfaces, strict=True)):
        _panel(figure, panel, cols, view, (x, y), found)
    bar = {"title": {"text": html.escape(style.short_name(view.goal.metric, 18))}, "thickness": 14, "outlinewidth": 0}
    scale = {"colorscale": style.SCALE, "reversescale": view.goal.mode == "min", "colorbar": bar}
    style.caption(figure, f"expected {view.goal.metric} given two parameters, over all others; darker is better")
    return style.name_once(figure.update_layout(coloraxis=scale))


def _title(found: Surface | None) -> str:
    return "too few trials have both" if found is None else f"from {found.num_trials:,} trials"


def _panel(
    figure: Any, panel: int, cols: int, view: View, pair: tuple[Parameter, Parameter], found: Surface | None
) -> None:
    at, (x, y) = style.place(panel, cols), pair
    if found is not None:
        figure.add_trace(_field(view, pair, found), **at)
        rows = view.drawn(_MOST)
        for status, own in split(view, rows[x.active[rows] & y.active[rows]]):
            open_ = status is not Status.COMPLETED
            marker = {"size": 4, "color": "rgba(0,0,0,0)" if open_ else "white", "line": {"color": "#555", "width": 0.7}}
            trace = style.dots(status.value, view.trials(own), x.numbers[own], y.numbers[own], [view.goal], marker=marker)
            figure.add_trace(trace.update(showlegend=False, legendgroup=None), **at)
    best = view.best
    if best is not None and x.active[best] and y.active[best]:
        row = np.array([best])
        trace = style.dots("best", view.trials(row), x.numbers[row], y.numbers[row], [view.goal], marker=style.BEST_MARK)
        figure.add_trace(trace, **at)
    figure.update_xaxes(**style.parameter_axis(x), **at)
    figure.update_yaxes(**style.parameter_axis(y), **at)


def _field(view: View, pair: tuple[Parameter, Parameter], found: Surface) -> Any:
    """Coloured cells; lines of equal value where both parameters are numbers."""
    go = style.plotly()
    x, y = (_places(parameter, unit) for parameter, unit in zip(pair, (found.xs, found.ys), strict=True))
    z = losses_of_values(found.losses, view.goal)
    more = {"x": x, "y": y, "z": z.astype(np.float32), "coloraxis": "coloraxis", "name": "expected"}
    hover = f"expected {html.escape(view.goal.metric)} %{{z:.4g}}<extra></extra>"
    if min(len(x), len(y)) > 1 and not any(parameter.labels for parameter in pair):
        lines = {"line": {"color": "white", "width": 0.6}, "contours": {"coloring": "heatmap"}, "ncontours": 12}
        return go.Contour(**more, **lines, hovertemplate=hover)
    return go.Heatmap(**more, hovertemplate=hover)


def _places(parameter: Parameter, unit: Floats) -> Floats:
    return np.asarray(parameter.domain.codes(unit), dtype=np.float64)
