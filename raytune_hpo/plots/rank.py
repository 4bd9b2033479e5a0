"""The ranks figure: how good trials were, on pairs of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from raytune_hpo.plots import style
from raytune_hpo.plots.view import View, why_nothing

_COLUMNS = 3


def rank_plot(view: View, parameters: Sequence[str] | None = None) -> Any:
    """One panel per pair of parameters, by default of the six most important pairs; better trials stand out."""
    pairs = view.pairs(parameters, 6)
    if not pairs or not len(view.valued):
        return style.nothing(why_nothing(view))
    cols = min(_COLUMNS, len(pairs))
    drawn = view.sample(style.most_of_a_panel(len(pairs)))
    drawn = drawn[np.argsort(-view.losses[drawn], kind="stable")]  # the best are drawn last, above the others
    ranks = np.full(len(view.losses), np.nan)
    order = np.argsort(view.losses[view.valued], kind="stable")
    ranks[view.valued[order]] = 100 * np.arange(len(order)) / len(order)
    titles = [style.short_name(y.name, 32) for _, y in pairs]  # above its panel, where it overlaps nothing
    figure = style.panels(titles, height=360, cols=cols, between=style.WIDE, beside=0.4)
    for panel, (x, y) in enumerate(pairs):
        at, rows = style.place(panel, cols), drawn[x.active[drawn] & y.active[drawn]]
        marker = {"color": ranks[rows], "coloraxis": "coloraxis", "line": {"color": "#7a828e", "width": 0.4}}
        xs, ys = style.jittered(x, rows), style.jittered(y, rows, is_upright=True)
        trace = style.dots("trials", view.at(rows), xs, ys, [view.goal], among=len(drawn) * len(pairs), marker=marker)
        figure.add_trace(trace.update(showlegend=False, legendgroup=None), **at)
        figure.update_xaxes(**style.parameter_axis(x, cols), **at)
        figure.update_yaxes(**style.parameter_axis(y, cols, title=False, is_upright=True), **at)
    left_out = style.note_on_trials(len(drawn), len(view.valued))
    style.caption(figure, f"ranks in {view.goal.metric}: the share of trials that are better{left_out}")
    ticks = {"tickvals": [1, 25, 50, 75, 99], "ticktext": ["best", "25%", "50%", "75%", "worst"]}
    scale = {"colorscale": style.SCALE, "reversescale": True, "cmin": 0, "cmax": 100}
    scale["colorbar"] = {"title": {"text": "rank"}, "thickness": 14, "outlinewidth": 0, **ticks}
    return figure.update_layout(coloraxis=scale)
