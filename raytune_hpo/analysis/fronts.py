"""Pareto fronts of several goals: hypervolume, its growth, and the trade-offs between goals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from raytune_hpo.analysis.best import best_trials, ranked
from raytune_hpo.analysis.series import VALUED, Floats
from raytune_hpo.errors import SpecError
from raytune_hpo.goals import Goal
from raytune_hpo.numerics.hypervolume import distinct_front, hypervolume, reference_of
from raytune_hpo.numerics.pareto import first_fronts
from raytune_hpo.options import is_real
from raytune_hpo.trial import Trial

FRONT = "front"  # the name that stands for all goals together


def reference_point(
    trials: Sequence[Trial], goals: Sequence[Goal], given: Mapping[str, float] | Sequence[float] | None = None
) -> Floats | None:
    """The reference point (m,) of the hypervolume, as losses; None if it depends on a front and there is none.

    Args:
        given: values of the metrics, by metric or in the order of the goals. The default for a goal is its threshold or,
            without one, a tenth of the front's extent beyond the front's worst value; a front of one goal has no extent, so
            there it is the worst value of all feasible trials.

    Raises:
        SpecError: ``given`` names something that is not a goal, has another length, or a value that is not finite.
    """
    values = _given(given, goals)
    bounds = [goal.threshold if values.get(goal.metric) is None else values[goal.metric] for goal in goals]
    among = [trial for trial in trials if trial.is_feasible] if len(goals) == 1 else best_trials(trials)
    losses = np.array([trial.losses for trial in among], dtype=np.float64)
    if None in bounds and not among:
        return None
    beyond = np.zeros(len(goals))
    if among:
        beyond = losses.max(axis=0) if len(goals) == 1 else reference_of(losses)
    return np.array([b if v is None else goal.loss(v) for goal, v, b in zip(goals, bounds, beyond, strict=True)])


def _given(given: Mapping[str, float] | Sequence[float] | None, goals: Sequence[Goal]) -> dict[str, float]:
    metrics = [goal.metric for goal in goals]
    if given is None:
        return {}
    if isinstance(given, Mapping):
        if unknown := [name for name in given if name not in metrics]:
            raise SpecError(f"a reference point has a value for each goal, {metrics}, got one for {unknown[0]!r}")
    elif not isinstance(given, (Sequence, np.ndarray)) or len(given) != len(metrics):
        raise SpecError(f"a reference point has a value for each goal, {metrics}, got {given!r}")
    found = dict(given) if isinstance(given, Mapping) else dict(zip(metrics, given, strict=True))
    if wrong := [name for name, value in found.items() if not is_real(value) or not math.isfinite(value)]:
        raise SpecError(f"a reference point has finite numbers, got {found[wrong[0]]!r} for {wrong[0]!r}")
    return {name: float(value) for name, value in found.items()}


def hypervolume_of(trials: Sequence[Trial], reference: Floats | None) -> float:
    """The hypervolume of feasible trials, in the product of the metrics' units; 0 if none is better than the reference."""
    if reference is None:
        return 0.0
    losses = [trial.losses for trial in trials if trial.is_feasible]
    return hypervolume(np.array(losses, dtype=np.float64).reshape(-1, len(reference)), reference)


class Growth(NamedTuple):
    """The growth of the hypervolume over a study.

    Attributes:
        numbers: (k,) the numbers of the trials that increased it, in order.
        volumes: (k,) the hypervolume from each of them on.
    """

    numbers: NDArray[np.intp]
    volumes: Floats


def attained_hypervolume(trials: Sequence[Trial], reference: Floats | None) -> Growth:
    """The hypervolume of the feasible trials so far, by trial number. It is recomputed only if a trial enters the front."""
    numbers, volumes = [], []
    if reference is not None:
        front = np.empty((0, len(reference)))
        for trial in trials:
            if not trial.is_feasible:
                continue
            y = np.array(trial.losses, dtype=np.float64)
            if (y < reference).all() and not (front <= y).all(axis=1).any():
                front = distinct_front(np.vstack([front, y]), reference)
                numbers.append(trial.number)
                volumes.append(hypervolume(front, reference))
    return Growth(np.array(numbers, dtype=np.intp), np.array(volumes, dtype=np.float64))


def front_ranks(trials: Sequence[Trial], goals: Sequence[Goal]) -> Floats:
    """The front (n,) of each trial: 0 is the best, trials that break a constraint come after all others.

    Completed trials count, and pruned and paused ones with their last report; NaN for the rest. It replaces the loss where
    all goals must be one number, as in importances.
    """
    unknown = (np.nan,) * len(goals)
    known = [(trial.last_losses if trial.status in VALUED else None) or unknown for trial in trials]
    losses = np.array(known, dtype=np.float64).reshape(-1, len(goals))
    ranks, broken = np.full(len(trials), np.nan), np.array([bool(trial.violations) for trial in trials], dtype=bool)
    last = 0
    for group in (np.flatnonzero(~broken), np.flatnonzero(broken)):
        for front in first_fronts(losses[group], len(group)):
            ranks[group[front]] = last
            last += 1
    return ranks


class Step(NamedTuple):
    """A step from one trial of a front to the next.

    Attributes:
        trial: the trial at the end of the step.
        changes: by metric, the increase over the trial before, in the metric's units; empty for the first step.
        price: the loss in the second goal, in its units, for each unit gained in the first; None for the first step, or
            if nothing was gained.
    """

    trial: Trial
    changes: Mapping[str, float]
    price: float | None


def trade_offs(trials: Sequence[Trial], goals: Sequence[Goal]) -> list[Step]:
    """The steps along a front, from the worst trial in the first goal to the best, with the price of each gain."""
    ordered, steps = ranked(trials)[::-1], []
    for before, trial in zip([None, *ordered], ordered, strict=False):
        if before is None:
            steps.append(Step(trial, {}, None))
            continue
        changes = {goal.metric: trial.metrics[goal.metric] - before.metrics[goal.metric] for goal in goals}
        gain = -goals[0].loss(changes[goals[0].metric])
        paid = goals[1].loss(changes[goals[1].metric]) if len(goals) > 1 else 0.0
        steps.append(Step(trial, changes, paid / gain if gain > 0 and len(goals) > 1 else None))
    return steps
