"""The same figures with matplotlib: a plain rendering of the plotly figures."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from raytune_hpo.compat.optuna.visualization import figures
from raytune_hpo.compat.optuna.visualization.figures import is_available
from raytune_hpo.errors import HpoError

__all__ = [
    "is_available",
    "plot_contour",
    "plot_edf",
    "plot_hypervolume_history",
    "plot_intermediate_values",
    "plot_optimization_history",
    "plot_parallel_coordinate",
    "plot_param_importances",
    "plot_pareto_front",
    "plot_rank",
    "plot_slice",
    "plot_terminator_improvement",
    "plot_timeline",
]


def _drawn(draw: Callable[..., Any]) -> Callable[..., Any]:
    """The function that draws the same figure with matplotlib."""

    @functools.wraps(draw)
    def rendered(*args: Any, **options: Any) -> Any:
        return axes_of(draw(*args, **options))

    return rendered


plot_contour = _drawn(figures.plot_contour)
plot_edf = _drawn(figures.plot_edf)
plot_hypervolume_history = _drawn(figures.plot_hypervolume_history)
plot_intermediate_values = _drawn(figures.plot_intermediate_values)
plot_optimization_history = _drawn(figures.plot_optimization_history)
plot_parallel_coordinate = _drawn(figures.plot_parallel_coordinate)
plot_param_importances = _drawn(figures.plot_param_importances)
plot_pareto_front = _drawn(figures.plot_pareto_front)
plot_rank = _drawn(figures.plot_rank)
plot_slice = _drawn(figures.plot_slice)
plot_terminator_improvement = _drawn(figures.plot_terminator_improvement)
plot_timeline = _drawn(figures.plot_timeline)


def axes_of(figure: Any) -> Any:
    """A plotly figure drawn on matplotlib axes: one, or an array if there are several panels.

    Raises:
        HpoError: matplotlib is not installed.
    """
    try:
        plt = importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise HpoError("figures of matplotlib need it; pip install matplotlib, or use the functions above") from error
    panels = list(dict.fromkeys(getattr(trace, "xaxis", None) or "x" for trace in figure.data)) or ["x"]
    is_solid = any(trace.type == "scatter3d" for trace in figure.data)
    _, axes = plt.subplots(
        1,
        len(panels),
        squeeze=False,
        figsize=(6.4 * len(panels), 4.8),
        subplot_kw={"projection": "3d"} if is_solid else {},
    )
    places = dict(zip(panels, axes[0], strict=True))
    for trace in figure.data:
        _draw(places[getattr(trace, "xaxis", None) or "x"], trace)
    titles = [note.text for note in figure.layout.annotations if note.yanchor == "bottom" and not note.showarrow]
    for (panel, ax), title in zip(places.items(), [*titles, *[""] * len(places)], strict=False):
        _label(ax, figure, panel)
        ax.set_title(title)
    return axes[0][0] if len(panels) == 1 else axes[0]


def _draw(ax: Any, trace: Any) -> None:
    if trace.type in ("scatter", "scattergl", "scatter3d"):
        _scatter(ax, trace)
    elif trace.type == "bar":
        _bars(ax, trace)
    elif trace.type in ("contour", "heatmap") and trace.z is not None:
        z = np.asarray(trace.z, dtype=np.float64)
        x = np.arange(z.shape[1]) if trace.x is None else np.asarray(trace.x)
        y = np.arange(z.shape[0]) if trace.y is None else np.asarray(trace.y)
        ax.pcolormesh(x, y, z, shading="auto")
    elif trace.type == "parcoords":
        columns = [np.asarray(dimension.values, dtype=np.float64) for dimension in trace.dimensions]
        scaled = [(c - c.min()) / (np.ptp(c) or 1.0) for c in columns]
        ax.plot(np.arange(len(scaled)), np.stack(scaled), color="C0", alpha=0.4)
        ax.set_xticks(range(len(scaled)), [dimension.label for dimension in trace.dimensions])


def _scatter(ax: Any, trace: Any) -> None:
    mode = trace.mode or "lines"
    sides = [trace.x, trace.y] + ([trace.z] if trace.type == "scatter3d" else [])
    if any(side is None for side in sides):
        return
    points = [np.array([np.nan if v is None else v for v in side]) for side in sides]
    name = trace.name or None
    if "lines" in mode:
        ax.plot(*points, label=name, drawstyle="steps-post" if trace.line.shape == "hv" else "default")
    if "markers" in mode:
        color = trace.marker.color
        shades = color if isinstance(color, (tuple, list, np.ndarray)) and _are_numbers(color) else None
        ax.scatter(*points, c=shades, s=16, label=None if "lines" in mode else name)


def _are_numbers(values: Any) -> bool:
    return all(isinstance(value, (int, float, np.number)) for value in values)


def _bars(ax: Any, trace: Any) -> None:
    base = 0 if trace.base is None else trace.base
    if trace.orientation == "h":
        ax.barh(list(trace.y), list(trace.x), left=base, label=trace.name)
    else:
        ax.bar(list(trace.x), list(trace.y), bottom=base, label=trace.name)


def _label(ax: Any, figure: Any, panel: str) -> None:
    number = panel.removeprefix("x")
    for side, put in (("x", ax.set_xlabel), ("y", ax.set_ylabel)):
        axis = figure.layout[f"{side}axis{number}"]
        if axis is not None and axis.title.text:
            put(axis.title.text)
        if axis is not None and axis.ticktext is not None and axis.tickvals is not None:
            getattr(ax, f"set_{side}ticks")(list(axis.tickvals), list(axis.ticktext))
        if axis is not None and axis.type == "log" and hasattr(ax, f"set_{side}scale"):
            getattr(ax, f"set_{side}scale")("log")
    handles, labels = ax.get_legend_handles_labels()
    if labels and len(labels) <= 10:
        ax.legend(handles, labels)
