"""The contour figure: the expected value as a function of two parameters, averaged over all others."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from raytune_hpo.analysis.response import Surface, surfaces_over
from raytune_hpo.analysis.series import Floats, Positions
from raytune_hpo.analysis.tried import TriedParameter
from raytune_hpo.display.status import INFEASIBLE, STATUSES
from raytune_hpo.facts import Status
from raytune_hpo.plots import style
from raytune_hpo.plots.ticks import log_ticks
from raytune_hpo.plots.view import View, rows_by_look, why_nothing
from raytune_hpo.rng import derive

_MOST = 300  # trials in a panel
_COLUMNS = 3
_COARSE = 1e-4  # differences, as a part of the values, that the seven digits of a short float keep


def contour_plot(view: View, parameters: Sequence[str] | None = None) -> Any:
    """One panel per pair of parameters, by default of the three most important, fitted by a random forest."""
    pairs = view.pairs(parameters, 3)
    if not pairs or not len(view.valued):
        return style.nothing(why_nothing(view))
    rng, tried = derive(view.results.spec.seed, "plots/contour"), view.tried.parameters
    surfaces = surfaces_over(tried, [(tried.index(x), tried.index(y)) for x, y in pairs], view.losses, rng)
    cols = min(_COLUMNS, len(pairs))
    known = ["too few trials have both" if s is None else f"{s.num_trials:,} trials" for s in surfaces]
    # Above its panel, since a long name beside it would overlap the panel to the left.
    titles = [f"{style.short_name(y.name, 24)} ({num})" for (_, y), num in zip(pairs, known, strict=True)]
    figure = style.panels(titles, height=420, cols=cols, between=style.WIDE, beside=0.4)
    for panel, (pair, found) in enumerate(zip(pairs, surfaces, strict=True)):
        _panel(figure, panel, cols, view, pair, found)
    scale = {"colorscale": style.SCALE, "reversescale": view.goal.lower_is_better, "colorbar": _bar(view, surfaces)}
    style.caption(
        figure,
        f"expected {view.goal.metric} given two parameters, over all others; better values stand out",
    )
    return style.name_once(figure.update_layout(coloraxis=scale))


def _bar(view: View, surfaces: Sequence[Surface | None]) -> dict[str, Any]:
    """The bar of colours, with labels in the metric's own units."""
    bar = {"title": {"text": html.escape(style.short_name(view.goal.metric, 18))}, "thickness": 14, "outlinewidth": 0}
    found = [_levels(view, surface) for surface in surfaces if surface is not None]
    if not view.is_log or not found:
        return bar
    ticks = log_ticks(min(float(z.min()) for z in found), max(float(z.max()) for z in found))
    return {**bar, "tickvals": ticks.places, "ticktext": ticks.labels}


def _levels(view: View, surface: Surface) -> Floats:
    """What colours stand for: the expected values, or their decimal logarithms where the metric has a logarithmic axis."""
    values: Floats = view.goal.value(surface.losses)
    # A mean of positive values is positive, but for rounding.
    return np.log10(np.maximum(values, view.values[view.valued].min())) if view.is_log else values


def _panel(
    figure: Any, panel: int, cols: int, view: View, pair: tuple[TriedParameter, TriedParameter], found: Surface | None
) -> None:
    at, (x, y) = style.place(panel, cols), pair
    if found is not None:
        figure.add_trace(_field(view, pair, found), **at)
        rows = view.sample(_MOST)
        for row, own in rows_by_look(view, rows[x.active[rows] & y.active[rows]]):
            filling = "white" if row is STATUSES[Status.COMPLETED] else "rgba(0,0,0,0)"
            edge = style.RED if row is INFEASIBLE else "#555"
            marker = {"size": 4, "color": filling, "line": {"color": edge, "width": 0.7}}
            trace = _trials(row.word, view, pair, own, marker)
            figure.add_trace(trace.update(showlegend=False, legendgroup=None), **at)
    best = view.best
    if best is not None and x.active[best] and y.active[best]:
        figure.add_trace(_trials("best", view, pair, np.array([best]), style.BEST_MARK), **at)
    figure.update_xaxes(**{**style.parameter_axis(x, cols), **_range(x, found)}, **at)
    figure.update_yaxes(**{**style.parameter_axis(y, cols, title=False, is_upright=True), **_range(y, found)}, **at)


def _trials(
    name: str, view: View, pair: tuple[TriedParameter, TriedParameter], rows: Positions, marker: Mapping[str, Any]
) -> Any:
    xs, ys = style.jittered(pair[0], rows), style.jittered(pair[1], rows, is_upright=True)
    return style.dots(name, view.at(rows), xs, ys, [view.goal], marker=marker)


def _range(parameter: TriedParameter, found: Surface | None) -> dict[str, Any]:
    """An axis that ends where the coloured cells do."""
    if found is None:
        return {}
    if parameter.labels:
        return {"range": [-0.5, len(parameter.labels) - 0.5]}
    known = parameter.numbers[parameter.active]
    ends = np.log10([known.min(), known.max()]) if parameter.is_log else np.array([known.min(), known.max()])
    margin = 0.02 * (ends[1] - ends[0]) or 0.5
    return {"range": [float(ends[0] - margin), float(ends[1] + margin)]}


def _shortened(values: Floats) -> Any:
    """The values with seven digits, half as many characters in a page, if these tell them apart and can hold them."""
    limits, sizes = np.finfo(np.float32), np.abs(values)
    fits = sizes.max() < limits.max and sizes[sizes > 0].min(initial=1.0) > limits.smallest_normal
    return values.astype(np.float32) if fits and np.ptp(values) > _COARSE * sizes.max() else values


def _field(view: View, pair: tuple[TriedParameter, TriedParameter], found: Surface) -> Any:
    """Coloured cells; lines of equal value where both parameters are numbers."""
    go = style.plotly()
    x, y = (
        np.asarray(p.domain.codes(unit), dtype=np.float64) for p, unit in zip(pair, (found.xs, found.ys), strict=True)
    )
    more = {"x": x, "y": y, "z": _shortened(_levels(view, found)), "coloraxis": "coloraxis", "name": "expected"}
    if view.is_log:
        more["customdata"] = _shortened(view.goal.value(found.losses))
    said = "customdata" if view.is_log else "z"
    hover = f"expected {html.escape(view.goal.metric)} %{{{said}:.4g}}<extra></extra>"
    if min(len(x), len(y)) > 1 and not any(parameter.labels for parameter in pair):
        lines = {"line": {"color": "white", "width": 0.6}, "contours": {"coloring": "heatmap"}, "ncontours": 12}
        return go.Contour(**more, **lines, hovertemplate=hover)
    return go.Heatmap(**more, hovertemplate=hover)
