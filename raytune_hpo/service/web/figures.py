"""The page of figures: those of ``results.plot`` that apply to the study, each drawn when it is scrolled into view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlencode

from raytune_hpo.core.ledger import Ledger
from raytune_hpo.display.text import writable
from raytune_hpo.facts import Status
from raytune_hpo.service.folds import Fold
from raytune_hpo.service.web.addresses import urlpart

_ENOUGH = 8  # completed trials that figures of parameters need
_BY_METRIC = ("history", "best_so_far")  # figures with a panel for each metric


class _Figure(NamedTuple):
    """A figure of ``results.plot``.

    Attributes:
        height: "mid", "high", or "high wide" where several panels stand side by side.
        is_of_metric: whether it takes a metric.
        lacks: what the study still lacks for this figure; empty if nothing.
    """

    name: str
    title: str
    says: str
    height: str = "mid"
    is_of_metric: bool = True
    lacks: Callable[[Ledger], str] = lambda ledger: ""


def page(fold: Fold, metric: str | None, base: str, api: str) -> dict[str, Any]:
    """The figures of a study; those that cannot be drawn yet, with what they lack.

    Args:
        metric: the metric of the figures that show one; by default the first goal.
        base, api: the URLs of the study's page, and of the API.
    """
    ledger = fold.ledger
    goals = [goal.metric for goal in ledger.spec.goals]
    chosen = metric if metric in goals else goals[0]
    shown = []
    for figure in _FIGURES:
        if not _is_about(figure.name, ledger):
            continue
        query = f"?{urlencode({'metric': writable(chosen)})}" if figure.is_of_metric else ""
        shown.append(
            {
                "id": figure.name.replace("_", "-"),
                "title": figure.title,
                "says": figure.says,
                "height": "high" if figure.name in _BY_METRIC and len(goals) > 1 else figure.height,
                "lacks": figure.lacks(ledger),
                "href": f"{api}/studies/{urlpart(fold.name)}/figures/{figure.name}{query}",
            }
        )
    chips = [
        {"word": g, "href": f"{base}/figures?{urlencode({'metric': writable(g)})}", "on": g == chosen} for g in goals
    ]
    return {"figures": shown, "chips": chips if len(chips) > 1 else []}


def _is_about(name: str, ledger: Ledger) -> bool:
    """Whether a figure applies to this kind of study at all."""
    num_goals = len(ledger.spec.goals)
    if name in ("pareto", "hypervolume", "metrics"):
        return num_goals > 1
    if name == "pareto_3d":
        return num_goals > 2
    if name == "curves":
        return ledger.num_steps > 0
    if name == "lineage":
        return any(trial.slot is not None for trial in ledger.trials[-1:])
    return name != "arms" or any(trial.arm is not None for trial in ledger.trials[-20:])


def _finished(ledger: Ledger) -> str:
    return "" if ledger.finished else "It needs a finished trial; there is none yet."


def _completed(least: int) -> Callable[[Ledger], str]:
    def lacks(ledger: Ledger) -> str:
        n = ledger.counts[Status.COMPLETED]
        return "" if n >= least else f"It needs {least} completed trials; there are {n}."

    return lacks


_FIGURES = (
    _Figure(
        "history",
        "History",
        "Every trial by its number. Trials that were stopped or paused stand at their last report.",
        is_of_metric=False,
        lacks=_finished,
    ),
    _Figure(
        "best_so_far",
        "Best so far",
        "When the best value was found, and for how long nothing better was.",
        is_of_metric=False,
        lacks=_completed(1),
    ),
    _Figure(
        "pareto",
        "Pareto front",
        "Each trial of the front is the best there is for some balance of the metrics.",
        is_of_metric=False,
        lacks=_completed(2),
    ),
    _Figure(
        "pareto_3d",
        "Pareto front in space",
        "The first three metrics at once. Drag to turn it.",
        "high",
        is_of_metric=False,
        lacks=_completed(2),
    ),
    _Figure(
        "hypervolume",
        "Hypervolume",
        "How much of the space of metrics the front dominates after each trial.",
        is_of_metric=False,
        lacks=_completed(2),
    ),
    _Figure(
        "metrics",
        "Metrics",
        "Every line is a completed trial through its metrics. Lines that cross are trade-offs.",
        is_of_metric=False,
        lacks=_completed(2),
    ),
    _Figure("curves", "Learning curves", "What trials reported step by step, and where they were stopped."),
    _Figure(
        "importances",
        "Importances",
        "Which parameters tell the best trials from the others.",
        lacks=_completed(_ENOUGH),
    ),
    _Figure(
        "parallel_coordinates",
        "Parallel coordinates",
        "Every line is a trial. Drag along an axis to select a range.",
        "high wide",
        lacks=_completed(2),
    ),
    _Figure(
        "slice",
        "Slices",
        "The metric against one parameter at a time: where the best dots are, and where nothing was tried.",
        "high wide",
        lacks=_completed(2),
    ),
    _Figure(
        "contour",
        "Contours",
        "What a forest expects of two parameters, whatever the others are. Dots are trials.",
        "high wide",
        lacks=_completed(_ENOUGH),
    ),
    _Figure(
        "rank",
        "Ranks",
        "Trials on two parameters at a time, in the colours of their ranks.",
        "high wide",
        lacks=_completed(_ENOUGH),
    ),
    _Figure(
        "distribution",
        "Distribution",
        "The share of trials that are at least this good.",
        lacks=_completed(_ENOUGH),
    ),
    _Figure(
        "lineage",
        "Lineage",
        "The members of the population step by step: who copied whom.",
        "high",
        is_of_metric=False,
        lacks=_completed(2),
    ),
    _Figure(
        "arms",
        "Arms",
        "How often each arm of the portfolio had its turn, and what it found.",
        is_of_metric=False,
        lacks=_completed(2),
    ),
    _Figure(
        "duration",
        "Durations",
        "How long trials take, and whether that changes.",
        "high",
        is_of_metric=False,
        lacks=_finished,
    ),
    _Figure("timeline", "Timeline", "When workers were busy.", "high", is_of_metric=False, lacks=_finished),
)
