"""Sections of a page: the figures that are informative for a study, each with a sentence on how to read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raytune_hpo.analysis.fronts import FRONT
from raytune_hpo.plots.arms import arms_plot
from raytune_hpo.plots.best_so_far import best_so_far_plot
from raytune_hpo.plots.contour import contour_plot
from raytune_hpo.plots.curves import curves_plot
from raytune_hpo.plots.distribution import distribution_plot
from raytune_hpo.plots.duration import duration_plot
from raytune_hpo.plots.history import history_plot
from raytune_hpo.plots.hypervolume import hypervolume_plot
from raytune_hpo.plots.importances import importances_plot
from raytune_hpo.plots.lineage import lineage_plot
from raytune_hpo.plots.metric_coordinates import metric_coordinates_plot
from raytune_hpo.plots.parallel_coordinates import parallel_coordinates_plot
from raytune_hpo.plots.pareto import pareto_plot
from raytune_hpo.plots.pareto_3d import pareto_3d_plot
from raytune_hpo.plots.rank import rank_plot
from raytune_hpo.plots.slice import slice_plot
from raytune_hpo.plots.timeline import timeline_plot
from raytune_hpo.plots.view import View, view

if TYPE_CHECKING:
    from raytune_hpo.results import Results

_MAX_METRICS = 4  # that have figures of their own
_FEW = 3  # trials below which most figures say nothing
_TURNS = 10  # suggestions of a second arm; with fewer, `auto` has practically one arm
_CURVES = "What trials reported step by step, and where they were stopped or paused."
_ENOUGH = 8  # trials with a value that the figures of parameters need


@dataclass(frozen=True, kw_only=True)
class Section:
    """A figure on a page.

    Attributes:
        says: how to read it.
        metric: the index of its metric; None if it is about the whole study.
    """

    title: str
    says: str
    figure: Any
    metric: int | None = None


def sections(results: Results) -> list[Section]:
    """The figures of a study."""
    found: list[Section] = []

    def add(title: str, says: str, figure: Any, metric: int | None = None) -> None:
        found.append(Section(title=title, says=says, figure=figure, metric=metric))

    if len(results) < _FEW:  # a dot, a line and a bar say nothing that the table does not
        for metric, goal in enumerate(results.goals[:_MAX_METRICS]):
            seen = view(results, goal.metric)
            if _has_reports(seen):
                add("Learning curves", _CURVES, curves_plot(results, goal.metric), metric)
        return found
    says = "Every trial by its number. Trials that were stopped or paused stand at their last report."
    add("History", says, history_plot(results))
    if len(results.arms) > 1 and (results.spec.sampler.name != "auto" or sorted(results.arms.values())[-2] >= _TURNS):
        add("Arms", "How often each arm of the portfolio had its turn, and what it found.", arms_plot(results))
    if any(trial.slot is not None for trial in results):
        says = "The members of the population step by step: who copied whom, and which settings led to the best."
        add("Lineage", says, lineage_plot(results))
    if results.best_trials and len(results.goals) > 1:
        says = "Each trial of the front is the best there is for some balance of the metrics: no other one is better in all."
        add("Pareto front", says, pareto_plot(results))
        if len(results.goals) > 2:
            says = "The first three metrics at once. Drag to turn it."
            add("Pareto front in space", says, pareto_3d_plot(results))
        says = (
            "How much of the space of metrics the front dominates after each trial: flat where nothing was added to it."
        )
        add("Hypervolume", says, hypervolume_plot(results))
        if len(results.goals) > 2 or results.spec.constraints:
            says = (
                "Every line is a completed trial through its metrics. Lines that cross are trade-offs; drag to select."
            )
            add("Metrics", says, metric_coordinates_plot(results))
    if results.best_trials:
        says = "When the best value was found, and for how long nothing better was."
        add("Best so far", says, best_so_far_plot(results, "time"))
    if len(results.goals) > 1 and _has_enough(every := view(results, FRONT)):
        says = "Which parameters tell the trials of the first fronts from the others: all metrics at once."
        add("Importances for the front", says, importances_plot(every))
    for title, says, is_worth_it, draw in _ABOUT_METRICS:
        for metric, goal in enumerate(results.goals[:_MAX_METRICS]):
            seen = view(results, goal.metric)
            if is_worth_it(seen):
                add(title, says, draw(seen), metric)
    says = "Which worker ran which trial when. White is idle: waiting for suggestions, for room, or for data."
    add("Timeline", says, timeline_plot(results))
    if any(trial.duration_s is not None for trial in results):
        add("Durations", "How long trials took, and whether later ones take longer.", duration_plot(results))
    return found


def _has_reports(seen: View) -> bool:
    return any(report.metrics.get(seen.goal.metric) is not None for t in seen.trials for report in t.reports[:1])


def _has_values(seen: View) -> bool:
    return len(seen.valued) > 0 and len(seen.tried.parameters) > 0


def _has_enough(seen: View) -> bool:
    return len(seen.valued) >= _ENOUGH and len(seen.tried.parameters) > 0


def _has_pairs(seen: View) -> bool:
    return _has_enough(seen) and bool(seen.pairs(None, 1))


_ABOUT_METRICS: tuple[tuple[str, str, Callable[[View], bool], Callable[[View], Any]], ...] = (
    (
        "Learning curves",
        _CURVES,
        _has_reports,
        lambda seen: curves_plot(seen.results, seen.goal.metric),
    ),
    (
        "Importances",
        "Which parameters tell the best trials from the others. Those of a branch are judged among its trials.",
        _has_enough,
        importances_plot,
    ),
    (
        "Parallel coordinates",
        "Every line is a trial. Drag along an axis to select a range, and drag a name to move its axis.",
        _has_values,
        parallel_coordinates_plot,
    ),
    (
        "Slices",
        "The metric against one parameter at a time: where the lowest dots are, and where nothing was tried.",
        _has_values,
        slice_plot,
    ),
    (
        "Contours",
        "What a forest expects of two parameters, whatever the others are. Dots are trials.",
        _has_pairs,
        contour_plot,
    ),
    ("Ranks", "Trials on two parameters at a time, in the colours of their ranks.", _has_pairs, rank_plot),
    (
        "Distribution",
        "The share of trials that are at least this good. If the second half lies above the first, the sampler has learned.",
        _has_enough,
        distribution_plot,
    ),
)
