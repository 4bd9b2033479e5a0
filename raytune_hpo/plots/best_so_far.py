"""The figure of the best value so far, against trials or against time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.analysis.series import Floats, MetricSeries, axis_range
from raytune_hpo.errors import SpecError
from raytune_hpo.plots import style
from raytune_hpo.results.summary import why_no_best

if TYPE_CHECKING:
    from raytune_hpo.results import Results


_MANY, _EARLY, _NEARLY_ALL = 5, 0.1, 0.8  # improvements; and of the time, what part of them came within


def best_so_far_plot(results: Results, against: str = "trials") -> Any:
    """One panel per metric; each corner of the line is a trial that was better than all before it.

    Raises:
        SpecError: ``against`` is something else.
    """
    if against not in ("trials", "time"):
        raise SpecError(f'the best so far is drawn against "trials" or "time", got against={against!r}')
    every = [MetricSeries(goal, results.arrays) for goal in results.goals]
    lines = [_line(series, against) for series in every]
    if not any(len(x) for x, _ in lines):
        return style.nothing(why_no_best(results))
    longest = max(float(x[-1]) for x, _ in lines if len(x))
    unit, name = style.time_axis(longest) if against == "time" else (1.0, "trials")
    at = "trial %{x}" if against == "trials" else f"%{{x:.4g}} {name}"
    titles = [f"best {goal.metric} so far ({goal.mode})" for goal in results.goals]
    figure = style.panels(titles, height=320)
    for row, ((x, values), series) in enumerate(zip(lines, every, strict=True), start=1):
        trace = style.plotly().Scatter(
            x=x / unit,
            y=values,
            mode="lines+markers",
            showlegend=False,
            line={"color": style.ORANGE, "width": 2.5, "shape": "hv"},
            marker={"color": style.ORANGE, "size": np.append(np.full(len(x) - 1, 7), 0)},  # no trial at the end
            hovertemplate=f"{at}: %{{y:.6g}}<extra></extra>",
        )
        figure.add_trace(trace, row=row, col=1)
        is_log = series.axis is not None and series.axis.is_log  # as in the history, or the same study looks like two
        figure.update_yaxes(**style.value_axis(values, series.goal, is_log=is_log), row=row, col=1)
        shown = None if is_log else axis_range(values, series.goal)
        if shown is not None and (outside := int(shown.leaves_out(values[:-1]).sum())):
            style.retitle(figure, row - 1, f"{titles[row - 1]}{style.note_on_outside(outside)}")
    title = "trial" if against == "trials" else f"{name} since the first trial was handed out"
    figure.update_xaxes(title=title, row=len(results.goals), col=1)
    if against == "trials":
        return figure.update_xaxes(**style.count_axis(longest))
    begin = min(float(x[0]) for x, _ in lines if len(x))
    if begin > 0 and any(_is_early(x) for x, _ in lines if len(x)):
        figure.update_xaxes(**style.log_ticks(begin / unit, longest / unit))
    return figure


def _is_early(corners: Floats) -> bool:
    """Whether nearly all improvements came at the very beginning, which a linear axis would show as one vertical line."""
    found = corners[:-1]  # the last one is where the line ends
    return len(found) >= _MANY and float(np.mean(found <= _EARLY * corners[-1])) >= _NEARLY_ALL


def _line(series: MetricSeries, against: str) -> tuple[Floats, Floats]:
    """The places at which the best value changed and the line ends, and the best values there."""
    if against == "time":
        x, lowest = series.lowest_over_time()
    else:
        known = np.isfinite(series.lowest_so_far)
        x, lowest = np.flatnonzero(known).astype(np.float64), series.lowest_so_far[known]
    if not len(x):
        return x, lowest
    corners = np.flatnonzero(np.diff(lowest, prepend=np.inf) != 0)
    return np.append(x[corners], x[-1]), series.goal.value(np.append(lowest[corners], lowest[-1]))
