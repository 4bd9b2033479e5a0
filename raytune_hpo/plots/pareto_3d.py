"""The figure of the Pareto front in three metrics at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from raytune_hpo.analysis.series import MetricSeries
from raytune_hpo.display.colours import PALE_BLUE
from raytune_hpo.display.status import INFEASIBLE
from raytune_hpo.errors import SpecError, nearest
from raytune_hpo.goals import Goal
from raytune_hpo.numerics.thinning import evenly_chosen
from raytune_hpo.plots import style
from raytune_hpo.results.summary import why_no_best
from raytune_hpo.trial import Trial

if TYPE_CHECKING:
    from raytune_hpo.results import Results

_MOST = 1000  # dots besides the front: more cannot be told apart in depth
_HEIGHT = 620


def pareto_3d_plot(results: Results, metrics: Sequence[str] | None = None) -> Any:
    """Completed trials in three metrics: those of the front, others, and infeasible ones.

    Args:
        metrics: three of the goals; None for the first three.

    Raises:
        SpecError: there are fewer than three goals, or a metric is not one of them.
    """
    axes = _axes(results, metrics)
    completed = [trial for trial in results if trial.losses is not None]
    if not completed:
        return style.nothing(why_no_best(results))
    front = {trial.number for trial in results.best_trials}
    others = evenly_chosen([trial for trial in completed if trial.number not in front], _MOST)
    groups = (
        (INFEASIBLE.word, [t for t in others if not t.is_feasible], {"color": style.RED, "symbol": "x", "size": 3}),
        ("completed", [t for t in others if t.is_feasible], {"color": PALE_BLUE, "size": 4}),
        ("front", [t for t in completed if t.number in front], {"color": style.ORANGE, "size": 6}),
    )
    figure = style.panels(["Pareto front"], height=_HEIGHT, specs=[[{"type": "scene"}]])
    for name, trials, marker in groups:
        if trials:
            figure.add_trace(_dots(name, trials, axes, marker, results.goals))
    names = {f"{axis}axis": {"title": {"text": str(Goal(goal.metric, goal.mode))}} for axis, goal in _named(axes)}
    figure.update_layout(scene={**names, "camera": {"eye": {"x": 1.7, "y": 1.7, "z": 1.1}}})
    return figure


def _axes(results: Results, metrics: Sequence[str] | None) -> list[Goal]:
    named = {goal.metric: goal for goal in results.goals}
    chosen = list(named)[:3] if metrics is None else list(metrics)
    for metric in chosen:
        if metric not in named:
            raise SpecError(f"the axes are metrics that are optimised, got {metric!r}; {nearest(metric, named)}")
    if len(chosen) != 3:
        raise SpecError(
            f"a front in space needs three metrics, got {chosen}; for two of them there is results.plot.pareto()"
        )
    return [named[metric] for metric in chosen]


def _named(axes: Sequence[Goal]) -> list[tuple[str, Goal]]:
    return list(zip("xyz", axes, strict=True))


def _dots(
    name: str, trials: Sequence[Trial], axes: Sequence[Goal], marker: dict[str, Any], goals: Sequence[Goal]
) -> Any:
    return style.plotly().Scatter3d(
        **{axis: MetricSeries(goal, trials).values for axis, goal in _named(axes)},
        mode="markers",
        name=name,
        marker=marker,
        text=[style.hover(trial, goals) for trial in trials],
        hovertemplate="%{text}<extra></extra>",
    )
