"""Parallel coordinates: every trial a line through its parameters to its value."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raytune_hpo.analysis.tried import Parameter
from raytune_hpo.analysis.values import Floats, losses_of_values, usual
from raytune_hpo.plots import style
from raytune_hpo.plots.view import View, why_nothing
from raytune_hpo.texts import cut, number

MAX_PARAMETERS = 10
_MOST = 2_000  # lines
_TICKS = 5
_MAX_LABELS = 16
_INACTIVE = 0.12  # how far below an axis the lines of trials without that parameter go, as a part of its length


def parallel_coordinates(view: View, parameters: Sequence[str] | None = None) -> Any:
    """One line per trial, the better the darker; axes can be dragged, and ranges on them select lines."""
    shown = view.parameters(parameters, MAX_PARAMETERS)
    rows = view.drawn(_MOST)
    if not shown or not len(rows):
        return style.nothing(why_nothing(view))
    rows = rows[np.argsort(-view.losses[rows], kind="stable")]  # the best are drawn last, above the others
    left_out = style.some(len(rows), len(view.valued)) + style.some_parameters(len(shown), len(view.tried.parameters))
    figure = style.panels([f"better trials are darker{left_out}"], height=460, specs=[[{"type": "domain"}]])
    losses = np.minimum(view.losses[rows], usual(view.losses[rows])[1])
    dimensions = [*[_dimension(parameter, rows) for parameter in shown], _metric(view, losses)]
    ends = losses.min(), losses.max() if losses.max() > losses.min() else losses.min() + 1
    line = {"color": losses, "colorscale": style.SCALE, "reversescale": True, "cmin": ends[0], "cmax": ends[1]}
    figure.add_trace(
        style.plotly().Parcoords(
            line=line,
            dimensions=dimensions,
            labelangle=-18,
            labelside="top",
            labelfont={"size": 14},
            tickfont={"size": 12},
            unselected={"line": {"color": "#c9ced6", "opacity": 0.15}},
        )
    )
    figure.update_layout(margin={"l": 90, "r": 90, "t": 150, "b": 36}, height=500)
    figure.update_annotations(y=1.0, yref="paper", yshift=112)
    return figure


def _dimension(parameter: Parameter, rows: NDArray[np.intp]) -> dict[str, Any]:
    """An axis: decades of a logarithmic parameter, places of options, and a place below for where it is not active."""
    values = parameter.numbers[rows]
    places, labels = _ticks(parameter)
    if parameter.is_log:
        values = np.log10(values)
    known = values[~np.isnan(values)]
    low, high = min([*places, *known]), max([*places, *known])
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    if np.isnan(values).any():
        bottom = low - _INACTIVE * (high - low)
        values = np.where(np.isnan(values), bottom, values)
        low, places, labels = bottom, [bottom, *places], ["not active", *labels]
    return {
        "label": html.escape(style.short_name(parameter.name, 24)),
        "values": values,
        "range": [low, high],
        "tickvals": places,
        "ticktext": [html.escape(label) for label in labels],
    }


def _ticks(parameter: Parameter) -> tuple[list[float], list[str]]:
    """Where an axis has ticks, and what they say; in decades where the parameter is logarithmic."""
    if parameter.labels:
        step = -(-len(parameter.labels) // _MAX_LABELS)
        places = range(0, len(parameter.labels), step)
        return [float(place) for place in places], [cut(parameter.labels[place], 14) for place in places]
    known = parameter.numbers[parameter.active]
    if not len(known):
        return [0.0], [""]
    if not parameter.is_log:
        found = _even(float(known.min()), float(known.max()))
        return found, [number(tick) for tick in found]
    decades = np.log10(known)
    inner = np.arange(np.ceil(decades.min()), np.floor(decades.max()) + 1)
    inner = inner[:: -(-len(inner) // 7) or 1]
    found = [float(decades.min()), *inner.tolist(), float(decades.max())]
    apart = 0.08 * (found[-1] - found[0])  # ends that come too near to a whole decade have no label
    kept = [f for i, f in enumerate(found) if i in (0, len(found) - 1) or apart < f - found[0] and apart < found[-1] - f]
    return kept, [f"{10**tick:.2g}" for tick in kept]


def _even(low: float, high: float) -> list[float]:
    """About five round numbers from one to the other, the ends among them."""
    if not high > low:
        return [low]
    rough = (high - low) / _TICKS
    size = 10 ** np.floor(np.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    inner = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    apart = 0.06 * (high - low)
    return [low, *[float(tick) for tick in inner if tick - low > apart and high - tick > apart], high]


def _metric(view: View, losses: Floats) -> dict[str, Any]:
    """The last axis: the metric, in its own units; what is far worse than most stands at the end."""
    values = losses_of_values(losses, view.goal)
    ticks = _even(float(values.min()), float(values.max()))
    pad = 0.0 if values.max() > values.min() else 0.5
    return {
        "label": html.escape(style.short_name(f"{view.goal.metric} ({view.goal.mode})", 24)),
        "values": values,
        "range": [float(values.min()) - pad, float(values.max()) + pad],
        "tickvals": ticks,
        "ticktext": [f"{tick:.4g}" for tick in ticks],
    }
