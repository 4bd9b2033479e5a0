"""The Pareto front of a study of several metrics, as its pages show it: the trials that stand for it, with all metrics."""

from __future__ import annotations

from typing import Any

from raytune_hpo.analysis.best import FrontPoint, front_points, past_thresholds
from raytune_hpo.display.text import number
from raytune_hpo.service.folds import Fold


def points_of(fold: Fold, most: int) -> list[FrontPoint]:
    """The trials that stand for the front: of those past the thresholds or, if there are none, of all."""
    front, goals = fold.ledger.front, fold.ledger.spec.goals
    return fold.once(("front", most), lambda: front_points(past_thresholds(front, goals) or front, goals, most))


def front(fold: Fold, most: int) -> dict[str, Any]:
    """The front for a template, in up to ``most`` rows."""
    goals, points = fold.ledger.spec.goals, points_of(fold, most)
    num, past = len(fold.ledger.front), num_past(fold)
    bounds = ", ".join(str(goal) for goal in goals if goal.threshold is not None)
    shown = past or num
    return {
        "metrics": [goal.metric for goal in goals],
        "rows": [
            {
                "number": point.trial.number,
                "values": [number(point.trial.metrics[goal.metric]) for goal in goals],
                "role": point.role,
            }
            for point in points
        ],
        "num": num,
        "some": f"{len(points)} of {shown:,}, evenly" if len(points) < shown else "",
        "past": "" if not bounds else f"{past or 'none'} of {num:,} past the thresholds: {bounds}",
    }


def num_past(fold: Fold) -> int:
    """How many trials of the front are past the thresholds; all of them if there are none."""
    return len(past_thresholds(fold.ledger.front, fold.ledger.spec.goals))
