"""Ranks: how good trials were, on pairs of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raytune_hpo.analysis.tried import Parameter
from raytune_hpo.plots import style
from raytune_hpo.plots.view import View, why_nothing

_COLUMNS = 3


def rank(view: View, parameters: Sequence[str] | None = None) -> Any:
    """One panel per pair of the parameters, by default of the four that matter most; trials of better rank are darker."""
    shown = view.parameters(parameters, 4)
    pairs = list(combinations(shown, 2))
    if not pairs or not len(view.valued):
        return style.nothing(why_nothing(view) if len(shown) != 1 else "a figure of pairs needs two parameters that vary")
    cols = min(_COLUMNS, len(pairs))
    drawn = view.drawn(max(300, style.MOST // len(pairs)))
    drawn = drawn[np.argsort(-view.losses[drawn], kind="stable")]  # the best are drawn last, above the others
    ranks = np.full(len(view.losses), np.nan)
    order = np.argsort(view.losses[view.valued], kind="stable")
    ranks[view.valued[order]] = 100 * (np.arange(len(order)) + 1) / len(order)
    figure = style.panels([""] * len(pairs), height=360, cols=cols)
    for panel, pair in enumerate(pairs):
        _panel(figure, panel, cols, view, pair, drawn, ranks)
    left_out = style.some(len(drawn), len(view.valued))
    style.caption(figure, f"ranks in {view.goal.metric}: the share of trials that are at least as good{left_out}")
    bar = {"title": {"text": "best"}, "ticksuffix": " %", "thickness": 14, "outlinewidth": 0, "tickvals": [1, 25, 50, 75, 100]}
    scale = {"colorscale": style.SCALE, "reversescale": True, "cmin": 0, "cmax": 100, "colorbar": bar}
    return figure.update_layout(coloraxis=scale)


def _panel(
    figure: Any,
    panel: int,
    cols: int,
    view: View,
    pair: tuple[Parameter, Parameter],
    drawn: NDArray[np.intp],
    ranks: NDArray[np.float64],
) -> None:
    at, (x, y) = style.place(panel, cols), pair
    rows = drawn[x.active[drawn] & y.active[drawn]]
    marker = {"color": ranks[rows], "coloraxis": "coloraxis", "line": {"color": "#7a828e", "width": 0.4}}
    places = [style.spread(parameter, rows) for parameter in pair]
    trace = style.dots("trials", view.trials(rows), *places, [view.goal], marker=marker, showlegend=False)
    figure.add_trace(trace, **at)
    figure.update_xaxes(**style.parameter_axis(x), **at)
    figure.update_yaxes(**style.parameter_axis(y), **at)
