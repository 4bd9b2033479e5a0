"""The parallel-coordinates figure: every trial is a line through its parameters to its value."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from raytune_hpo.analysis.series import Floats, Positions, usual_range
from raytune_hpo.analysis.tried import TriedParameter
from raytune_hpo.display.text import cut_apart
from raytune_hpo.plots import style
from raytune_hpo.plots.ticks import Ticks, linear_ticks, log_ticks
from raytune_hpo.plots.view import View, why_nothing

_MAX_AXES = 10
_MOST = 400  # lines: more hide each other, and the labels
_MAX_LABELS = 16
_NAME = 26  # characters
_ASLANT = 30  # degrees
_RISE, _RUN = 4.2, 7.2  # pixels by which each character of a name rises, and goes on to the right
_BESIDE = 90  # pixels to either side
_CHARACTERS = 110  # of labels beside each other
_INACTIVE = 0.12  # how far below an axis the lines of trials without that parameter go, as a part of its length


def parallel_coordinates_plot(view: View, parameters: Sequence[str] | None = None) -> Any:
    """One line per trial, better ones stand out, and those that break a constraint are red.

    Axes can be dragged, and ranges on them select lines.
    """
    shown = view.parameters(parameters, _MAX_AXES)
    if parameters is None:  # what belongs together stands together
        shown.sort(key=view.tried.parameters.index)
    rows = view.sample(_MOST)
    if not shown or not len(rows):
        return style.nothing(why_nothing(view))
    rows = rows[np.argsort(-view.ranks[rows], kind="stable")]  # the best are drawn last, above the others
    num_infeasible = int(view.infeasible[rows].sum())
    left_out = style.note_on_trials(len(rows), len(view.valued))
    left_out += style.note_on_parameters(len(shown), len(view.tried.parameters))
    names = [style.short_name(parameter.name, _NAME) for parameter in shown]
    names.append(style.short_name(f"{view.goal.metric} ({view.goal.mode})", _NAME))
    top = round(60 + _RISE * max(map(len, names)))  # names stand aslant above their axes
    right = round(max(_BESIDE, 20 + _RUN * len(names[-1])))
    title = f"better trials stand out{'; what breaks a constraint is red' if num_infeasible else ''}{left_out}"
    figure = style.panels([title], height=340 + top, specs=[[{"type": "domain"}]])
    width = min(14, max(6, _CHARACTERS // len(shown)))  # of labels, which stand between two axes
    axes = [*[_dimension(parameter, rows, width) for parameter in shown], _metric(view, rows)]
    figure.add_trace(
        style.plotly().Parcoords(
            line=_colours(len(rows), num_infeasible),
            dimensions=[{"label": html.escape(name), **axis} for name, axis in zip(names, axes, strict=True)],
            labelangle=-_ASLANT,
            labelside="top",
            labelfont={"size": 14},
            tickfont={"size": 12, "color": "#22262e"},
            unselected={"line": {"color": "#c9ced6", "opacity": 0.15}},
        )
    )
    figure.update_layout(margin={"l": _BESIDE, "r": right, "t": top, "b": 30})
    figure.update_annotations(x=-0.08, y=1.0, yref="paper", yshift=top - 36)
    return figure


def _colours(num: int, num_infeasible: int) -> dict[str, Any]:
    """The colours of lines in the order in which they are drawn: first those that break a constraint, the best last.

    They are those of ranks: in colours of values, one bad trial makes all others look the same.
    """
    places = {"color": np.arange(num) + 1, "cmin": 0, "cmax": num}
    if not num_infeasible:
        return {**places, "colorscale": style.SCALE}
    if num_infeasible == num:
        return {**places, "colorscale": [[0.0, style.PALE_RED], [1.0, style.PALE_RED]]}
    # Between two lines, so that none has a mixed colour.
    begin = (num_infeasible + 0.5) / num
    scale = [[begin + (1 - begin) * place, colour] for place, colour in style.SCALE]
    return {**places, "colorscale": [[0.0, style.PALE_RED], [begin, style.PALE_RED], *scale]}


def _dimension(parameter: TriedParameter, rows: Positions, width: int) -> dict[str, Any]:
    """The axis of a parameter: in decades if logarithmic, by position for options, with room below for inactive trials."""
    values = np.log10(parameter.numbers[rows]) if parameter.is_log else parameter.numbers[rows]
    known = values[~np.isnan(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    if parameter.labels:
        low, high = 0.0, len(parameter.labels) - 1.0
    ticks = Ticks([], [])
    if parameter.labels:
        ticks = _options(parameter.labels, width)
    elif len(known):
        ticks = (log_ticks if parameter.is_log else linear_ticks)(low, high)
    places, labels = ticks
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    if len(known) < len(values):
        bottom = low - _INACTIVE * (high - low)
        values = np.where(np.isnan(values), bottom, values)
        low, places, labels = bottom, [bottom, *places], ["not active", *labels]
    # Not escaped: plotly reads these labels, unlike all others, as plain text.
    return {"values": values, "range": [low, high], "tickvals": places, "ticktext": labels}


def _options(labels: Sequence[str], width: int) -> Ticks:
    """Ticks at the places of options, or at some of many."""
    places = range(0, len(labels), -(-len(labels) // _MAX_LABELS))
    return Ticks([float(place) for place in places], cut_apart([labels[place] for place in places], width))


def _metric(view: View, rows: Positions) -> dict[str, Any]:
    """The last axis: the metric, in decades if other figures have them, else with outliers on the worse side at its end."""
    values: Floats = (
        np.log10(view.values[rows]) if view.is_log else view.goal.value(_without_outliers(view.losses[rows]))
    )
    low, high = float(values.min()), float(values.max())
    places, labels = (log_ticks if view.is_log else linear_ticks)(low, high)
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    return {"values": values, "range": [low, high], "tickvals": places, "ticktext": labels}


def _without_outliers(losses: Floats) -> Floats:
    return np.minimum(losses, usual_range(losses)[1])
