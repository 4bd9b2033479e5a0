"""The durations figure: how long trials take, and whether that changes in the course of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.analysis.duration_histogram import Durations, durations_of, histogram
from raytune_hpo.analysis.series import Floats
from raytune_hpo.display.status import STATUSES, StatusRow
from raytune_hpo.display.text import duration
from raytune_hpo.facts import Status
from raytune_hpo.numerics.thinning import best_and_others
from raytune_hpo.plots import style

if TYPE_CHECKING:
    from raytune_hpo.results import Results

_STACKED = [(Status(status), row) for status, row in STATUSES.items() if row.at_rest]  # from the bottom up


def duration_plot(results: Results) -> Any:
    """A histogram of durations by status and, below it, the duration of each trial by number."""
    seconds = results.arrays.of(durations_of)
    known = np.flatnonzero(~np.isnan(seconds))
    if not len(known):
        return style.nothing("no trial has ended yet")
    unit, name = style.time_axis(float(np.quantile(seconds[known], 0.9)))
    drawn = known[best_and_others(-seconds[known], style.MOST)]
    some = "" if len(drawn) == len(known) else f" ({len(drawn):,} of {len(known):,}: the longest, the others evenly)"
    median = duration(float(np.median(seconds[known])))
    title = f"how long trials took; half of them at most {median}" if len(known) > 1 else f"the trial took {median}"
    figure = style.panels_of_heights([title, f"duration by trial{some}"], [220, 260], between=style.WIDE)
    bins = histogram(results.arrays)
    for trace in _steps(bins, unit):
        figure.add_trace(trace, row=1, col=1)
    for status, row in _STACKED:
        own = [i for i in drawn.tolist() if results[i].status is status]
        if own:
            trials, y = [results[i] for i in own], seconds[own] / unit
            marks: dict[str, Any] = {"among": len(drawn), "marker": row.mark}
            trace = style.dots(row.word, trials, [t.number for t in trials], y, results.goals, **marks)
            figure.add_trace(trace, row=2, col=1)
    low, high = (float(edge) / unit for edge in bins.edges[[0, -1]])
    scale = style.log_ticks(low, high) if bins.is_log else {"rangemode": "tozero"}
    figure.update_xaxes(**scale, title=name, row=1, col=1)
    figure.update_xaxes(title="trial", **style.count_axis(len(results)), row=2, col=1)
    figure.update_yaxes(title="trials", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(**scale, title=name, row=2, col=1)
    return style.name_once(figure)


def _steps(bins: Durations, unit: float) -> list[Any]:
    """Filled steps on top of each other; plotly's own bars cannot be as wide as their bins on a log axis."""
    traces, upto = [], np.zeros(len(bins.edges) - 1)
    for status, row in _STACKED:
        if status in bins.counts:
            upto = upto + bins.counts[status]
            traces.append(_step(row, bins.edges / unit, bins.counts[status], upto))
    return traces[::-1]  # the highest first, so that it does not cover the others


def _step(row: StatusRow, edges: Floats, counts: Floats, upto: Floats) -> Any:
    """The outline of one status's bins, from the axis to the top of what lies below and itself."""
    return style.plotly().Scatter(
        x=np.repeat(edges, 2),
        y=np.concatenate([[0.0], np.repeat(upto, 2), [0.0]]),
        customdata=np.concatenate([[0.0], np.repeat(counts, 2), [0.0]]),
        mode="lines",
        line={"color": "white", "width": 0.8},
        fill="tozeroy",
        fillcolor=row.area,
        name=row.word,
        showlegend=False,
        hovertemplate=f"%{{customdata:.0f}} {row.word}<extra></extra>",
    )
