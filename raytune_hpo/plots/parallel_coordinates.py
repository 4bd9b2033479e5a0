"""The parallel-coordinates figure: every trial is a line through its parameters to its value."""

from __future__ import annotations

import html
from collections.abc import Sequence
from math import ceil, floor, log10
from typing import Any

import numpy as np

from raytune_hpo.analysis.series import Positions, usual_range
from raytune_hpo.analysis.tried import TriedParameter
from raytune_hpo.display.text import cut
from raytune_hpo.plots import style
from raytune_hpo.plots.view import View, why_nothing

_MAX_AXES = 10
_MOST = 400  # lines: more hide each other, and the labels
_TICKS = 5
_FEW_TICKS = 3
_MAX_LABELS = 16
_NAME = 26  # characters
_RISE = 4.2  # pixels by which each character of a name rises
_CHARACTERS = 110  # of labels beside each other
_INACTIVE = 0.12  # how far below an axis the lines of trials without that parameter go, as a part of its length


def parallel_coordinates_plot(view: View, parameters: Sequence[str] | None = None) -> Any:
    """One line per trial, better ones stand out; axes can be dragged, and ranges on them select lines."""
    shown = view.parameters(parameters, _MAX_AXES)
    if parameters is None:  # what belongs together stands together
        shown.sort(key=view.tried.parameters.index)
    rows = view.sample(_MOST)
    if not shown or not len(rows):
        return style.nothing(why_nothing(view))
    rows = rows[np.argsort(-view.losses[rows], kind="stable")]  # the best are drawn last, above the others
    left_out = style.note_on_trials(len(rows), len(view.valued))
    left_out += style.note_on_parameters(len(shown), len(view.tried.parameters))
    names = [style.short_name(parameter.name, _NAME) for parameter in shown]
    top = round(60 + _RISE * max(map(len, [*names, view.goal.metric[:_NAME]])))  # names stand aslant above their axes
    title = f"better trials stand out{left_out}"
    figure = style.panels([title], height=340 + top, specs=[[{"type": "domain"}]])
    width = min(14, max(6, _CHARACTERS // len(shown)))  # of labels, which stand between two axes
    # In colours of ranks: in those of values, one bad trial makes all others look the same.
    line = {"color": np.arange(len(rows)) + 1, "colorscale": style.SCALE, "cmin": 0, "cmax": len(rows)}
    figure.add_trace(
        style.plotly().Parcoords(
            line=line,
            dimensions=[*[_dimension(parameter, rows, width) for parameter in shown], _metric(view, rows)],
            labelangle=-30,
            labelside="top",
            labelfont={"size": 14},
            tickfont={"size": 12, "color": "#22262e"},
            unselected={"line": {"color": "#c9ced6", "opacity": 0.15}},
        )
    )
    figure.update_layout(margin={"l": 90, "r": 90, "t": top, "b": 30})
    figure.update_annotations(x=-0.08, y=1.0, yref="paper", yshift=top - 36)
    return figure


def _dimension(parameter: TriedParameter, rows: Positions, width: int) -> dict[str, Any]:
    """The axis of a parameter: in decades if logarithmic, by position for options, with room below for inactive trials."""
    values = np.log10(parameter.numbers[rows]) if parameter.is_log else parameter.numbers[rows]
    known = values[~np.isnan(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    if parameter.labels:
        low, high = 0.0, len(parameter.labels) - 1.0
    places, labels = _ticks(parameter, low, high, width) if parameter.labels or len(known) else ([], [])
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    if len(known) < len(values):
        bottom = low - _INACTIVE * (high - low)
        values = np.where(np.isnan(values), bottom, values)
        low, places, labels = bottom, [bottom, *places], ["not active", *labels]
    return {
        "label": html.escape(style.short_name(parameter.name, _NAME)),
        "values": values,
        "range": [low, high],
        "tickvals": places,
        "ticktext": [html.escape(label) for label in labels],
    }


def _ticks(parameter: TriedParameter, low: float, high: float, width: int) -> tuple[list[float], list[str]]:
    """The positions and labels of ticks on an axis from low to high, in decades if the parameter is logarithmic."""
    if parameter.labels:
        step = -(-len(parameter.labels) // _MAX_LABELS)
        places = range(0, len(parameter.labels), step)
        return [float(place) for place in places], [cut(parameter.labels[place], width) for place in places]
    if parameter.is_log and high - low > 1:
        found = np.arange(np.ceil(low), np.floor(high) + 1)
        found = found[:: -(-len(found) // 7)]
        if len(found) < _FEW_TICKS:  # between powers of ten, 2 and 5 times one
            between = [power + step for power in range(floor(low), ceil(high)) for step in (0.0, log10(2), log10(5))]
            found = np.array([tick for tick in [*between, ceil(high)] if low <= tick <= high])
        return found.tolist(), [_short(10**tick) for tick in found.tolist()]
    if parameter.is_log:
        values = _round_numbers(10**low, 10**high)
        return np.log10(values).tolist(), [_short(value) for value in values]
    values = _round_numbers(low, high)
    return values, [_short(value) for value in values]


def _round_numbers(low: float, high: float) -> list[float]:
    """About five round numbers from low to high, or the number itself if they are equal."""
    if not high > low:
        return [low]
    rough = (high - low) / _TICKS
    size = 10 ** np.floor(np.log10(rough))
    step = next((size * factor for factor in (1, 2, 5) if size * factor >= rough), 10 * size)
    return [float(tick) for tick in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step + 0.0]


def _short(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.6g}"


def _metric(view: View, rows: Positions) -> dict[str, Any]:
    """The last axis: the metric in its own units; outliers on the worse side are drawn at its end."""
    losses = view.losses[rows]
    values = view.goal.value(np.minimum(losses, usual_range(losses)[1]))
    low, high = float(values.min()), float(values.max())
    ticks = _round_numbers(low, high)
    return {
        "label": html.escape(style.short_name(f"{view.goal.metric} ({view.goal.mode})", 24)),
        "values": values,
        "range": [low, high] if high > low else [low - 0.5, high + 0.5],
        "tickvals": ticks,
        "ticktext": [_short(tick) for tick in ticks],
    }
