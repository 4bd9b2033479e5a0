"""The look that all figures share: colours, fonts, axes, and the door to plotly."""

from __future__ import annotations

import html
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from raytune_hpo.analysis.columns import flat
from raytune_hpo.errors import HpoError
from raytune_hpo.goals import Goal
from raytune_hpo.texts import cut, number, short
from raytune_hpo.trial import Trial

# Okabe, Ito 2008: told apart with any kind of colour vision.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#8a8f98"
PALE_BLUE, PALE_GREY = "rgba(0, 114, 178, 0.35)", "rgba(138, 143, 152, 0.35)"
MANY = 2_000  # points from which on hover texts are short and WebGL draws
_DECADES = 2.0  # values that span more are drawn on a log axis
_FAR = 8.0  # a value so many times farther from the best than most are may lie outside a linear axis
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
_LINE = "#d5d9e0"
_LEGEND = {"orientation": "h", "x": 1, "xanchor": "right", "yref": "container", "yanchor": "top"}
_LEGEND_TOP = 34  # pixels: beside the first panel's title, below the row where plotly shows its buttons


def plotly(module: str = "graph_objects") -> Any:
    """A module of plotly.

    Raises:
        HpoError: it is not installed.
    """
    try:
        return import_module(f"plotly.{module}")
    except ImportError as error:
        raise HpoError('plots need plotly, which is not installed: pip install "raytune_hpo[plots]"') from error


def panels(titles: Sequence[str], *, height: int = 380) -> Any:
    """An empty figure with one panel below the other."""
    figure = plotly("subplots").make_subplots(
        rows=len(titles), cols=1, subplot_titles=[html.escape(t) for t in titles], vertical_spacing=0.18 / len(titles)
    )
    figure.update_layout(
        template="none",
        height=height * len(titles),
        margin={"l": 80, "r": 24, "t": 64, "b": 56},
        font={"family": _FONT, "size": 14, "color": "#22262e"},
        paper_bgcolor="white",
        plot_bgcolor="white",
        hoverlabel={"align": "left", "font": {"family": _FONT, "size": 13}},
        legend={**_LEGEND, "y": 1 - _LEGEND_TOP / (height * len(titles))},
    )
    axis = {"gridcolor": "#eceef2", "linecolor": _LINE, "zeroline": False, "ticks": "outside", "tickcolor": _LINE}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis, exponentformat="power", automargin=True)
    figure.update_annotations(font={"family": _FONT, "size": 15}, x=0, xanchor="left")
    return figure


def value_axis(values: np.ndarray, goal: Goal) -> dict[str, Any]:
    """An axis for a metric: logarithmic where the values span decades, else cut to where most of them are."""
    title = {"title": {"text": html.escape(cut(goal.metric, 40))}}
    finite = values[np.isfinite(values)]
    if len(finite) < 2 or finite.min() == finite.max():
        return title
    if finite.min() > 0 and np.log10(finite.max() / finite.min()) > _DECADES:
        # One label per decade, and the numbers in between only where there are few decades.
        return {**title, "type": "log", "dtick": 1 if np.log10(finite.max() / finite.min()) > 3 else "D2"}
    low, high = _most(finite, goal.mode)
    margin = 0.06 * (high - low)
    return {**title, "range": [low - margin, high + margin]} if high > low else title


def _most(values: np.ndarray, mode: str) -> tuple[float, float]:
    """From the best value to the worst, or to the worst of most where the very worst lie far away."""
    losses = -values if mode == "max" else values
    best, usual, worst = losses.min(), np.quantile(losses, 0.9), losses.max()
    end = worst if worst - best <= _FAR * (usual - best) else best + 2 * (usual - best)
    return (-float(end), -float(best)) if mode == "max" else (float(best), float(end))


def num_outside(values: np.ndarray, axis: dict[str, Any]) -> int:
    """How many values an axis of ``value_axis`` does not show."""
    if "range" not in axis:
        return 0
    low, high = axis["range"]
    return int(((values < low) | (values > high)).sum())


def hover(trial: Trial, goals: Sequence[Goal], *, brief: bool = False) -> str:
    """What is shown when the mouse is over a trial; everything from a user is escaped."""
    head = f"<b>trial {trial.number}</b> {trial.status.value}"
    metrics = [f"{g.metric} = {shown(trial.metrics[g.metric])}" for g in goals if g.metric in trial.metrics]
    if brief:
        return "<br>".join([head, *map(html.escape, metrics)])
    items = list(flat(trial.config).items())
    config = [f"{cut(name, 40)}: {short(value)}" for name, value in items[:12]]
    more = [f"... {len(items) - 12} more"] if len(items) > 12 else []
    return "<br>".join([head, *map(html.escape, [*metrics, *config, *more])])


def shown(value: Any) -> str:
    """A metric's value."""
    return number(value) if isinstance(value, (int, float)) else short(value)
