"""The figure of the Pareto front: metrics against each other."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_hpo.analysis.series import AxisRange, Floats, MetricSeries, axis_range
from raytune_hpo.display.colours import PALE_BLUE
from raytune_hpo.display.status import INFEASIBLE, STATUSES
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.numerics.thinning import evenly_chosen
from raytune_hpo.plots import style
from raytune_hpo.results.summary import why_no_best

if TYPE_CHECKING:
    from raytune_hpo.results import Results

_MAX_PANELS = 6
_FRONT = {"color": style.ORANGE, "size": 9, "line": {"color": "#7a5200", "width": 1}}


def pareto_plot(results: Results) -> Any:
    """Completed trials in two metrics, those of the front in colour; one panel for each pair of metrics.

    Dashed lines are thresholds: the interesting part is on their better sides.

    Raises:
        SpecError: the study has one metric.
    """
    if len(results.goals) < 2:
        raise SpecError(f"a Pareto front needs several metrics, study {results.name!r} has {results.goals[0].metric!r}")
    completed = [trial for trial in results if trial.status is Status.COMPLETED]
    if not completed:
        return style.nothing(why_no_best(results))
    pairs = list(combinations(results.goals, 2))[:_MAX_PANELS]
    front = {trial.number for trial in results.best_trials}
    best = [trial for trial in completed if trial.number in front]
    others = [trial for trial in completed if trial.number not in front]
    drawn = evenly_chosen(others, style.MOST // len(pairs))
    drawn.sort(key=lambda trial: trial.is_feasible)
    num_broken = sum(not trial.is_feasible for trial in drawn)
    cols = 2 if len(pairs) > 1 else 1
    num = len(drawn)
    values = {goal: MetricSeries(goal, [*drawn, *best]).values for goal in results.goals}
    ranges = {goal: axis_range(values[goal], goal, inside=values[goal][num:]) for goal in results.goals}
    none = np.zeros(num + len(best), dtype=bool)
    outside = {goal: none if shown is None else shown.leaves_out(values[goal]) for goal, shown in ranges.items()}
    titles = [_title(x, y, int(np.sum(outside[x] | outside[y])), is_narrow=cols > 1) for x, y in pairs]
    figure = style.panels(titles, height=420, cols=cols, between=style.WIDE)
    for panel, (x, y) in enumerate(pairs):
        at, xs, ys = style.place(panel, cols), values[x], values[y]
        word, muted = STATUSES[Status.COMPLETED].word, {"color": PALE_BLUE}
        groups = ((INFEASIBLE.word, slice(num_broken), INFEASIBLE.mark), (word, slice(num_broken, num), muted))
        for name, rows, marker in groups:
            if drawn[rows]:
                figure.add_trace(style.dots(name, drawn[rows], xs[rows], ys[rows], results.goals, marker=marker), **at)
        figure.add_trace(style.dots("front", best, xs[num:], ys[num:], results.goals, marker=_FRONT), **at)
        if len(results.goals) == 2:
            figure.add_trace(_stairs(xs[num:], ys[num:], rises_last=x.lower_is_better), **at)
        figure.update_xaxes(**style.metric_axis(x, ranges[x]), **at)
        figure.update_yaxes(**style.metric_axis(y, ranges[y]), **at)
        _draw_thresholds(figure, x, y, (xs, ys), at)
    far = [goal.metric for goal, shown in ranges.items() if shown is not None and not _is_in(shown, goal.threshold)]
    if notes := _notes(results, (len(best), len(drawn), len(others)), far):
        style.caption(figure, notes)
    return style.name_once(figure)


def _title(x: Goal, y: Goal, num_outside: int, *, is_narrow: bool) -> str:
    names = [f"{style.short_name(goal.metric, 24)} ({goal.mode})" for goal in (y, x)]
    far = f" ({num_outside:,} outside)" if is_narrow and num_outside else style.note_on_outside(num_outside)
    return f"{' against '.join(names)}{far}"


def _draw_thresholds(figure: Any, x: Goal, y: Goal, values: tuple[Floats, Floats], at: dict[str, int]) -> None:
    """Dashed lines from one end of the values to the other, where the interesting part begins."""
    dashed = {"color": style.GREEN, "width": 1.5, "dash": "dash"}
    for goal, is_upright in ((x, True), (y, False)):
        if goal.threshold is not None:
            ends = [float(np.nanmin(values[is_upright])), float(np.nanmax(values[is_upright]))]
            across, up = ([goal.threshold] * 2, ends) if is_upright else (ends, [goal.threshold] * 2)
            line = style.plotly().Scatter(
                x=across, y=up, mode="lines", line=dashed, name="threshold", legendgroup="threshold", hoverinfo="skip"
            )
            figure.add_trace(line, **at)


def _is_in(shown: AxisRange, threshold: float | None) -> bool:
    return threshold is None or shown.low <= threshold <= shown.high


def _notes(results: Results, num: tuple[int, int, int], far: list[str]) -> str:
    """A note on what is not seen: some of many trials, failed ones, which have no values, and thresholds beyond the axes."""
    of_front, drawn, others = num
    notes = [f"the whole front of {of_front:,} trials, and {drawn:,} of {others:,} others"] if drawn < others else []
    if failed := results.num_by_status[Status.FAILED.value]:
        notes.append(f"{failed:,} failed trial{'' if failed == 1 else 's'} without values")
    notes += [f"the threshold of {style.short_name(metric, 24)} lies outside" for metric in far]
    return "; ".join(notes)


def _stairs(x: Floats, y: Floats, *, rises_last: bool) -> Any:
    """The edge of the region that the front dominates."""
    order = np.argsort(x)
    return style.plotly().Scatter(
        x=x[order],
        y=y[order],
        mode="lines",
        showlegend=False,
        hoverinfo="skip",
        # The corner lies on the worse side, since the edge bounds what the front dominates.
        line={"color": style.ORANGE, "width": 1.5, "shape": "hv" if rises_last else "vh"},
    )
