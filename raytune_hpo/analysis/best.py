"""The best trials of a study, the Pareto front, and the number of trials from each arm of a portfolio."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from raytune_hpo.analysis.trial_arrays import TrialArrays, arms, feasible_ones, first_losses
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.numerics.pareto import pareto_front, shrunk
from raytune_hpo.trial import Trial


def ranked(trials: Sequence[Trial], most: int | None = None) -> list[Trial]:
    """The completed trials, feasible ones before others, best in the first goal first; of equals, the one with the lower
    number first.

    Args:
        most: the number of trials to return; None: all.
    """
    arrays = TrialArrays.over(trials)
    losses = arrays.of(first_losses)
    completed = np.flatnonzero(~np.isnan(losses))
    order = np.lexsort((losses[completed], ~arrays.of(feasible_ones)[completed]))[:most]
    return [trials[row] for row in completed[order].tolist()]


def by_last_loss(trials: Iterable[Trial]) -> list[Trial]:
    """The trials that have reported, best in the first goal first, by their results or last reports."""
    return sorted((trial for trial in trials if trial.last_losses is not None), key=_last_loss)


def by_value(trials: Sequence[Trial]) -> list[Trial]:
    """All trials: completed ones, the best first, then paused and pruned ones by their last values, then the others."""
    told = [*ranked(trials)]
    for status in (Status.PAUSED, Status.PRUNED):
        told += by_last_loss(trial for trial in trials if trial.status is status)
    numbers = {trial.number for trial in told}
    return [*told, *[trial for trial in trials if trial.number not in numbers]]


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """The trial of the Pareto front that is best in the first goal, the first of equals; None if there is none.

    With one goal, it is the feasible trial of the lowest loss.
    """
    return min(best_trials(trials), key=_first_loss, default=None)


def best_trials(trials: Sequence[Trial]) -> list[Trial]:
    """The Pareto front: feasible trials that no other trial dominates. With one goal, all trials with the best loss."""
    candidates = feasible(trials)
    if not candidates:
        return []
    front = pareto_front(np.array([trial.losses for trial in candidates], dtype=np.float64))
    return [trial for trial, is_best in zip(candidates, front, strict=True) if is_best]


def feasible(trials: Iterable[Trial]) -> list[Trial]:
    """The completed trials that meet all outcome constraints; all completed trials if there are none."""
    return [trial for trial in trials if trial.is_feasible]


def past_thresholds(trials: Iterable[Trial], goals: Sequence[Goal]) -> list[Trial]:
    """The completed trials that are at least as good as the threshold of every goal that has one."""
    bounds = [(goal.metric, goal) for goal in goals if goal.threshold is not None]
    completed = [trial for trial in trials if trial.losses is not None]
    return [trial for trial in completed if all(goal.excess(trial.metrics[metric]) <= 0 for metric, goal in bounds)]


def best_so_far(trials: Sequence[Trial]) -> Trial | None:
    """The best of the trials that got farthest: among those that reached the highest step, the one with the lowest loss.

    Unfinished and stopped trials count with their last report, completed ones with their result; failed ones do not
    count. None if nothing has been reported.
    """
    reached = [(_last_step(t), t) for t in trials if t.status is not Status.FAILED and t.last_losses is not None]
    highest = max((step for step, _ in reached), default=0)
    return next(iter(by_last_loss(trial for step, trial in reached if step == highest)), None)


def num_reporting(trials: Iterable[Trial]) -> int:
    """The number of trials without a result, unfinished or pruned, that have reported a value to compare."""
    ended = (Status.COMPLETED, Status.FAILED)
    return sum(trial.status not in ended and trial.last_losses is not None for trial in trials)


class FrontPoint(NamedTuple):
    """A trial of the Pareto front.

    Attributes:
        role: in words, whether it is the best in a metric or the knee; empty for a point in between.
    """

    trial: Trial
    role: str


def front_points(front: Sequence[Trial], goals: Sequence[Goal], num: int) -> list[FrontPoint]:
    """At most ``num`` points that represent a front, best in the first goal first: its ends, its knee, and points between.

    The knee is the point nearest to the best values of all goals at once, each goal scaled from 0 to 1 over the front. The
    points between are those farthest from all that were chosen before.
    """
    ordered = ranked(front)
    if not ordered or num < 1:
        return []
    losses = shrunk(np.array([trial.losses for trial in ordered], dtype=np.float64))
    span = np.ptp(losses, axis=0)
    scaled = (losses - losses.min(axis=0)) / np.where(span > 0, span, 1.0)
    roles: dict[int, list[str]] = {}
    for index, goal in enumerate(goals):
        if span[index] > 0:
            roles.setdefault(int(scaled[:, index].argmin()), []).append(f"best {goal.metric}")
    if len(ordered) > len(goals):
        roles.setdefault(int((scaled**2).sum(axis=1).argmin()), []).append("knee")
    chosen = list(roles)[:num] or [0]
    distance = np.min([((scaled - scaled[place]) ** 2).sum(axis=1) for place in chosen], axis=0)
    while len(chosen) < min(num, len(ordered)):
        distance[chosen] = -1.0  # so that points equal to chosen ones, at distance 0, can still be chosen
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, ((scaled - scaled[chosen[-1]]) ** 2).sum(axis=1))
    return [FrontPoint(ordered[place], ", ".join(roles.get(place, []))) for place in sorted(chosen)]


def _last_loss(trial: Trial) -> float:
    assert trial.last_losses is not None
    return trial.last_losses[0]


def _last_step(trial: Trial) -> int:
    return next((report.step for report in reversed(trial.reports) if report.losses is not None), 0)


def num_by_arm(trials: Sequence[Trial]) -> dict[str, int]:
    """The number of trials that each arm has suggested, in the order in which the arms first appear."""
    return dict(Counter(arm for arm in TrialArrays.over(trials).of(arms).tolist() if arm is not None))


def _first_loss(trial: Trial) -> float:
    assert trial.losses is not None
    return trial.losses[0]
