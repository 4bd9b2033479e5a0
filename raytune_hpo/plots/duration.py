"""Durations: how long trials take, and whether that changes in the course of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.analysis.durations import Durations, durations_of, histogram
from raytune_hpo.analysis.values import standing_for_all
from raytune_hpo.display.text import duration as in_words
from raytune_hpo.facts import Status
from raytune_hpo.plots import style

if TYPE_CHECKING:
    from raytune_hpo.results import Results

_STACKED = (Status.COMPLETED, Status.PRUNED, Status.FAILED)  # from the bottom up


def duration(results: Results) -> Any:
    """How many trials took how long, by status; and below the duration of each by its number."""
    seconds = durations_of(results.trials)
    known = np.flatnonzero(~np.isnan(seconds))
    if not len(known):
        return style.nothing("no trial has ended yet")
    unit, name = style.time_axis(float(np.quantile(seconds[known], 0.9)))
    drawn = known[standing_for_all(-seconds[known], style.MOST)]
    some = "" if len(drawn) == len(known) else f" ({len(drawn):,} of {len(known):,}: the longest, the others evenly)"
    title = f"how long trials took; half of them at most {in_words(float(np.median(seconds[known])))}"
    figure = style.panels_of_heights([title, f"duration by trial{some}"], [220, 260], between=style.WIDE)
    bins = histogram(results.trials)
    for trace in _steps(bins, unit):
        figure.add_trace(trace, row=1, col=1)
    for status in _STACKED:
        own = [i for i in drawn.tolist() if results[i].status is status]
        if own:
            trials, y = [results[i] for i in own], seconds[own] / unit
            marks: dict[str, Any] = {"among": len(drawn), "marker": style.MARKS[status]}
            trace = style.dots(status.value, trials, [t.number for t in trials], y, results.goals, **marks)
            figure.add_trace(trace, row=2, col=1)
    scale = style.log_ticks(float(np.log10(bins.edges[-1] / bins.edges[0]))) if bins.is_log else {"rangemode": "tozero"}
    figure.update_xaxes(**scale, title=name, row=1, col=1)
    figure.update_xaxes(title="trial", **style.count_axis(len(results)), row=2, col=1)
    figure.update_yaxes(title="trials", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(**scale, title=name, row=2, col=1)
    return style.name_once(figure)


def _steps(bins: Durations, unit: float) -> list[Any]:
    """Filled steps on top of each other; plotly's own bars cannot be as wide as their bins on a log axis."""
    traces, upto = [], np.zeros(len(bins.edges) - 1)
    for status in _STACKED:
        if status in bins.counts:
            upto = upto + bins.counts[status]
            traces.append(_step(status, bins, upto, unit))
    return traces[::-1]  # the highest first, so that it does not cover the others


def _step(status: Status, bins: Durations, upto: Any, unit: float) -> Any:
    return style.plotly().Scatter(
        x=np.repeat(bins.edges, 2) / unit,
        y=np.concatenate([[0.0], np.repeat(upto, 2), [0.0]]),
        customdata=np.concatenate([[0.0], np.repeat(bins.counts[status], 2), [0.0]]),
        mode="lines",
        line={"color": "white", "width": 0.8},
        fill="tozeroy",
        fillcolor={Status.PRUNED: "#b9bec7"}.get(status, style.MARKS[status]["color"]),
        name=status.value,
        showlegend=False,
        hovertemplate=f"%{{customdata:.0f}} {status.value}<extra></extra>",
    )
