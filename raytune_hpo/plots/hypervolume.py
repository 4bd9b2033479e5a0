"""The figure of the hypervolume of the front after each trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.analysis.fronts import attained_hypervolume, reference_point
from raytune_hpo.display.text import number
from raytune_hpo.plots import style

if TYPE_CHECKING:
    from raytune_hpo.results import Results


def hypervolume_plot(results: Results, reference: Mapping[str, float] | Sequence[float] | None = None) -> Any:
    """One line; each corner is a trial that entered the front.

    Args:
        reference: see ``Results.hypervolume``.

    Raises:
        SpecError: the reference names something that is not a goal, or has another length.
    """
    point = reference_point(results.trials, results.goals, reference)
    growth = attained_hypervolume(results.trials, point)
    if point is None or not len(growth.numbers):
        return style.nothing("no feasible trial is better than the reference point in all metrics")
    if not np.isfinite(growth.volumes).all():
        return style.nothing("the hypervolume is too large for a float: report the metrics in larger units")
    values = [goal.value(float(loss)) for goal, loss in zip(results.goals, point, strict=True)]
    beyond = ", ".join(f"{goal.metric} {number(v)}" for goal, v in zip(results.goals, values, strict=True))
    figure = style.panels(["hypervolume of the front"], height=320)
    x = np.append(growth.numbers, len(results) - 1)
    trace = style.plotly().Scatter(
        x=x,
        y=np.append(growth.volumes, growth.volumes[-1]),
        mode="lines+markers",
        showlegend=False,
        line={"color": style.ORANGE, "width": 2.5, "shape": "hv"},
        marker={"color": style.ORANGE, "size": np.append(np.full(len(growth.numbers), 7), 0)},
        hovertemplate="trial %{x}: %{y:.6g}<extra></extra>",
    )
    figure.add_trace(trace, row=1, col=1)
    figure.update_xaxes(title="trial", **style.count_axis(float(x[-1])))
    figure.update_yaxes(title="hypervolume", rangemode="tozero")
    style.caption(figure, f"volume between the front and the reference point ({beyond}), beyond which nothing counts")
    return figure
