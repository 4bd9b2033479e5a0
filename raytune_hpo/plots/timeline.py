"""The timeline figure: when each worker was busy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.analysis.timeline import Timeline, timeline_of
from raytune_hpo.display.status import STATUSES
from raytune_hpo.display.text import counted
from raytune_hpo.facts import Status
from raytune_hpo.plots import style

if TYPE_CHECKING:
    from raytune_hpo.results import Results

_MOST_BARS = 1_200  # that are drawn one by one
_MOST_LANES = 100
_PARTS = 240  # of the whole time, in which shares are drawn
_LANE = 22  # pixels
_OUTLINED = 0.01  # of the whole time: the outline of a shorter trial would cover it


def timeline_plot(results: Results) -> Any:
    """The number of busy workers and, below it, one row per worker with its trials or its share of busy time."""
    found = timeline_of(results.arrays)
    if not found.trials:
        return style.nothing("no trial has been handed out yet")
    lanes = min(found.num_lanes, _MOST_LANES)
    num_trials = len(set(map(id, found.trials)))
    are_bars = len(found.trials) <= _MOST_BARS and lanes == found.num_lanes
    unit, name = style.time_axis(found.span[1])
    workers = counted(found.num_lanes, "worker")
    below = "trials"
    if not are_bars:
        whose = f"{lanes} of {found.num_lanes:,} workers" if lanes < found.num_lanes else "each worker"
        below = f"share of time in trials of {whose}, {counted(num_trials, 'trial')} in all; busier ones stand out"
    whose_time = "its" if found.num_lanes == 1 else "their"
    titles = [f"{workers}, {found.utilisation:.0%} of {whose_time} time in trials", below]
    figure = style.panels_of_heights(titles, [140, int(np.clip(_LANE * lanes, 60, 640))], shared_xaxes=True)
    figure.add_trace(_busy(found, unit), row=1, col=1)
    for trace in _bars(found, unit) if are_bars else [_shares(found, unit, lanes)]:
        figure.add_trace(trace, row=2, col=1)
    figure.update_yaxes(title="busy", range=[0, 1.08 * found.num_lanes], nticks=5, row=1, col=1)
    step = -(-lanes // 24)  # of many lanes, as many labels as can be read
    places = list(range(0, lanes, step))
    rows = {"tickvals": places, "ticktext": [str(place + 1) for place in places], "range": [lanes - 0.4, -0.6]}
    figure.update_yaxes(**rows, title="worker", showgrid=False, row=2, col=1)
    figure.update_xaxes(rangemode="tozero")  # the first trial may have begun some time after it was handed out
    figure.update_xaxes(showticklabels=True, row=1, col=1)
    figure.update_xaxes(title=f"{name} since the first trial was handed out", row=2, col=1)
    return style.name_once(figure.update_layout(barmode="overlay", bargap=0))


def _busy(found: Timeline, unit: float) -> Any:
    """The mean number of busy workers in every part of the time."""
    busy = found.shares(_PARTS).sum(axis=0)
    return style.plotly().Scatter(
        x=found.edges(_PARTS) / unit,
        y=np.append(busy, busy[-1]),
        mode="lines",
        line={"color": style.BLUE, "width": 1.5, "shape": "hv"},
        fill="tozeroy",
        fillcolor="rgba(0, 114, 178, 0.18)",
        showlegend=False,
        hovertemplate="%{y:.1f} busy<extra></extra>",
    )


def _bars(found: Timeline, unit: float) -> list[Any]:
    """A bar for each time that a trial was on a worker, in the colour of its status, wide enough to be visible."""
    hair = (found.span[1] - found.span[0]) / 1_500
    traces = []
    for status in Status:
        own = [i for i, trial in enumerate(found.trials) if trial.status is status]
        if own:
            row = STATUSES[status]
            begin, end = found.begin[own], found.end[own]
            outline = np.where(end - begin > _OUTLINED * (found.span[1] - found.span[0]), 0.5, 0.0)
            traces.append(
                style.plotly().Bar(
                    base=begin / unit,
                    x=np.maximum(end - begin, hair) / unit,
                    y=found.lanes[own],
                    orientation="h",
                    width=0.76,
                    name=row.word,
                    legendgroup=row.word,
                    marker={"color": row.mark["color"], "line": {"color": "white", "width": outline}},
                    text=[style.hover(found.trials[i], []) for i in own],
                    textposition="none",
                    hovertemplate="%{text}<extra></extra>",
                )
            )
    return traces


def _shares(found: Timeline, unit: float, lanes: int) -> Any:
    edges = found.edges(_PARTS) / unit
    return style.plotly().Heatmap(
        x=(edges[1:] + edges[:-1]) / 2,
        y=np.arange(lanes),
        z=np.round(found.shares(_PARTS)[:lanes], 3).astype(np.float32),
        zmin=0,
        zmax=1,
        colorscale=[(0.0, "#f3f5f8"), *((0.08 + 0.92 * at, colour) for at, colour in style.SCALE)],
        showscale=False,
        hovertemplate="worker %{y}: %{z:.0%} busy<extra></extra>",
    )
