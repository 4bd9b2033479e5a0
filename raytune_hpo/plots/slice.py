"""Slices: the metric against each parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raytune_hpo.analysis.tried import Parameter
from raytune_hpo.analysis.values import Floats
from raytune_hpo.facts import Status
from raytune_hpo.plots import style
from raytune_hpo.plots.view import View, split, why_nothing

MAX_PANELS = 12
_COLUMNS = 3


def slice_plot(view: View, parameters: Sequence[str] | None = None) -> Any:
    """One panel per parameter with the trials in which it is active, later ones darker; failed ones at the foot."""
    shown = view.parameters(parameters, MAX_PANELS)
    if not shown or not len(view.valued):
        return style.nothing(why_nothing(view))
    cols = min(_COLUMNS, len(shown))
    drawn = view.drawn(max(300, style.MOST // len(shown)))
    figure = style.panels([style.short_name(parameter.name, 36) for parameter in shown], height=310, cols=cols)
    for panel, parameter in enumerate(shown):
        _panel(figure, panel, cols, view, parameter, drawn)
        axis = style.value_axis(view.values, view.goal)
        figure.update_yaxes(**axis if panel % cols == 0 else {**axis, "title": None}, **style.place(panel, cols))
    left_out = style.some(len(drawn), len(view.valued)) + style.some_parameters(len(shown), len(view.tried.parameters))
    style.caption(figure, f"{view.goal.metric} against each parameter; later trials are darker{left_out}")
    scale = {"colorscale": style.SCALE, "showscale": False, "cmin": 0, "cmax": max(len(view.results) - 1, 1)}
    return style.name_once(figure.update_layout(coloraxis=scale))


def _panel(figure: Any, panel: int, cols: int, view: View, parameter: Parameter, drawn: NDArray[np.intp]) -> None:
    at = style.place(panel, cols)
    for status, rows in split(view, drawn[parameter.active[drawn]]):
        by_number = {"color": rows, "coloraxis": "coloraxis", "line": {"color": "white", "width": 0.5}}
        marker = by_number if status is Status.COMPLETED else style.MARKS[status]
        figure.add_trace(_dots(status.value, view, parameter, rows, view.values[rows], marker), **at)
    best = view.best
    if best is not None and parameter.active[best]:
        row = np.array([best])
        figure.add_trace(_dots("best", view, parameter, row, view.values[row], style.BEST_MARK), **at)
    failed = view.failed[parameter.active[view.failed]]
    if len(failed):
        height, marker = np.full(len(failed), 0.03), {**style.MARKS[Status.FAILED], "size": 6}
        style.foot(figure, panel, cols, _dots(Status.FAILED.value, view, parameter, failed, height, marker))
    figure.update_xaxes(**style.parameter_axis(parameter, title=False), **at)


def _dots(name: str, view: View, parameter: Parameter, rows: NDArray[np.intp], y: Floats, marker: Any) -> Any:
    return style.dots(name, view.trials(rows), style.spread(parameter, rows), y, [view.goal], marker=marker)
