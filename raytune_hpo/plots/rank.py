"""The ranks figure: how good trials were, on pairs of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from raytune_hpo.analysis.series import Floats, Positions
from raytune_hpo.analysis.tried import TriedParameter
from raytune_hpo.display.status import INFEASIBLE
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
    drawn = drawn[np.argsort(-view.ranks[drawn], kind="stable")]  # the best are drawn last, above the others
    order, shares = np.argsort(view.ranks[view.valued], kind="stable"), np.full(len(view.ranks), np.nan)
    shares[view.valued[order]] = 100 * np.arange(len(order)) / len(order)
    titles = [style.short_name(y.name, 32) for _, y in pairs]  # above its panel, where it overlaps nothing
    figure = style.panels(titles, height=360, cols=cols, between=style.WIDE, beside=0.4)
    for panel, pair in enumerate(pairs):
        _panel(figure, panel, cols, view, pair, drawn, shares, len(drawn) * len(pairs))
    left_out = style.note_on_trials(len(drawn), len(view.valued))
    last = "; those that break a constraint come last" if view.infeasible[drawn].any() else ""
    style.caption(figure, f"ranks in {view.goal.metric}: the share of trials that are better{last}{left_out}")
    ticks = {"tickvals": [1, 25, 50, 75, 99], "ticktext": ["best", "25%", "50%", "75%", "worst"]}
    scale = {"colorscale": style.SCALE, "reversescale": True, "cmin": 0, "cmax": 100}
    scale["colorbar"] = {"title": {"text": "rank"}, "thickness": 14, "outlinewidth": 0, **ticks}
    return style.name_once(figure.update_layout(coloraxis=scale))


def _panel(
    figure: Any,
    panel: int,
    cols: int,
    view: View,
    pair: tuple[TriedParameter, TriedParameter],
    drawn: Positions,
    shares: Floats,
    among: int,
) -> None:
    at, (x, y) = style.place(panel, cols), pair
    rows = drawn[x.active[drawn] & y.active[drawn]]
    infeasible, others = rows[view.infeasible[rows]], rows[~view.infeasible[rows]]
    by_rank = {"color": shares[others], "coloraxis": "coloraxis", "line": {"color": "#7a828e", "width": 0.4}}
    for name, own, marker in ((INFEASIBLE.word, infeasible, INFEASIBLE.mark), ("", others, by_rank)):
        if len(own):
            xs, ys = style.jittered(x, own), style.jittered(y, own, is_upright=True)
            trace = style.dots(name, view.at(own), xs, ys, [view.goal], among=among, marker=marker)
            figure.add_trace(trace if name else trace.update(showlegend=False, legendgroup=None), **at)
    figure.update_xaxes(**style.parameter_axis(x, cols), **at)
    figure.update_yaxes(**style.parameter_axis(y, cols, title=False, is_upright=True), **at)
