"""The slices figure: the metric against each parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from raytune_hpo.analysis.series import Floats, Positions
from raytune_hpo.analysis.tried import TriedParameter
from raytune_hpo.display.status import STATUSES
from raytune_hpo.facts import Status
from raytune_hpo.numerics.thinning import evenly_spaced
from raytune_hpo.plots import style
from raytune_hpo.plots.view import View, rows_by_look, why_nothing

_MAX_PANELS = 12
_COLUMNS = 3
_MOST_FAILED = 60  # at the foot of a panel


def slice_plot(view: View, parameters: Sequence[str] | None = None) -> Any:
    """One panel per parameter with the trials in which it is active, later ones stand out; failed ones at the foot."""
    shown = view.parameters(parameters, _MAX_PANELS)
    if not shown or not len(view.valued):
        return style.nothing(why_nothing(view))
    cols = min(_COLUMNS, len(shown))
    drawn = view.sample(style.most_of_a_panel(len(shown)))
    figure = style.panels([style.short_name(parameter.name, 36) for parameter in shown], height=310, cols=cols)
    for panel, parameter in enumerate(shown):
        _panel(figure, panel, cols, view, parameter, drawn, len(drawn) * len(shown))
        axis = style.metric_axis(view.goal, view.axis)
        figure.update_yaxes(**axis if panel % cols == 0 else {**axis, "title": None}, **style.place(panel, cols))
    left_out = style.note_on_trials(len(drawn), len(view.valued))
    left_out += style.note_on_parameters(len(shown), len(view.tried.parameters))
    left_out += style.note_on_outside(view.num_outside)
    style.caption(figure, f"{view.goal.metric} against each parameter; later trials stand out{left_out}")
    scale = {"colorscale": style.SCALE, "showscale": False, "cmin": 0, "cmax": max(len(view.results) - 1, 1)}
    return style.name_once(figure.update_layout(coloraxis=scale))


def _panel(
    figure: Any, panel: int, cols: int, view: View, parameter: TriedParameter, drawn: Positions, among: int
) -> None:
    at = style.place(panel, cols)

    def dots(name: str, rows: Positions, y: Floats, marker: Any) -> Any:
        x = style.jittered(parameter, rows)
        return style.dots(name, view.at(rows), x, y, [view.goal], marker=marker, among=among)

    for row, rows in rows_by_look(view, drawn[parameter.active[drawn]]):
        by_number = {"color": rows, "coloraxis": "coloraxis", "line": {"color": "white", "width": 0.5}}
        marker = by_number if row is STATUSES[Status.COMPLETED] else row.mark
        figure.add_trace(dots(row.word, rows, view.values[rows], marker), **at)
    best = view.best
    if best is not None and parameter.active[best]:
        figure.add_trace(dots("best", np.array([best]), view.values[[best]], style.BEST_MARK), **at)
    failed = view.failed[parameter.active[view.failed]]
    failed = failed[evenly_spaced(len(failed), _MOST_FAILED)]
    if len(failed):
        height, row = np.full(len(failed), 0.03), STATUSES[Status.FAILED]
        style.foot(figure, panel, cols, dots(row.word, failed, height, {**row.mark, "size": 6}))
    figure.update_xaxes(**style.parameter_axis(parameter, cols, title=False), **at)
