"""The estimates of a confirmation, from the study of repeats."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from raytune_hpo.analysis.failures import reason_of_failure
from raytune_hpo.analysis.repeats import LEVEL, Estimate, estimate, pooled_sd
from raytune_hpo.confirming.choosing import Chosen
from raytune_hpo.confirming.confirmation import Confirmation, ConfirmedCandidate, Optimism
from raytune_hpo.errors import NoCompletedTrial
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.numerics.pareto import pareto_front
from raytune_hpo.runtime.repeats import REPEAT, TRIAL
from raytune_hpo.trial import Trial

if TYPE_CHECKING:
    from raytune_hpo.results import Results

_Values = Mapping[str, Mapping[int, Sequence[float]]]  # of completed repeats, by metric and candidate


def confirmation_of(results: Results, chosen: Sequence[Chosen], outcome: Results, keyword: str | None) -> Confirmation:
    """The confirmation of a search.

    Args:
        outcome: the results of the study of repeats.
        keyword: see Confirmation.

    Raises:
        NoCompletedTrial: no repeat has completed.
    """
    repeats: dict[int, list[Trial]] = {one.number: [] for one in chosen}
    for trial in outcome:
        repeats[trial.config[TRIAL]].append(trial)
    goals = results.goals
    completed = {n: [t for t in trials if t.status is Status.COMPLETED] for n, trials in repeats.items()}
    values: _Values = {
        goal.metric: {n: [float(t.metrics[goal.metric]) for t in trials] for n, trials in completed.items()}
        for goal in goals
    }
    candidates = [_candidate(one, repeats[one.number], goals, values) for one in chosen]
    if not any(candidate.n for candidate in candidates):
        failed = next((trial for trial in outcome if trial.error is not None), None)
        why = "" if failed is None else f"; the first failed with: {reason_of_failure(failed)}"
        raise NoCompletedTrial(
            f"a confirmation needs repeats that complete, of {len(outcome)} in study {outcome.name!r} none did{why}"
        )
    ranked = sorted(candidates, key=lambda candidate: _rank(candidate, goals[0]))
    feasible = [candidate for candidate in ranked if candidate.is_feasible]
    means = [[goal.loss(c.estimates[goal.metric].mean) for goal in goals] for c in feasible]
    front = pareto_front(np.array(means, dtype=np.float64).reshape(-1, len(goals)))
    return Confirmation(
        name=results.name,
        study=outcome.name,
        goals=goals,
        candidates=tuple(ranked),
        level=LEVEL,
        optimisms={goal.metric: o for goal in goals if (o := _optimism(goal, chosen, values)) is not None},
        noises={goal.metric: pooled_sd(values[goal.metric].values()) for goal in goals},
        keyword=keyword,
        front=tuple(c.numbers[0] for c, is_in in zip(feasible, front, strict=True) if is_in),
    )


def _candidate(one: Chosen, repeats: Sequence[Trial], goals: Sequence[Goal], values: _Values) -> ConfirmedCandidate:
    k = max(1, len(next(iter(values.values()))))
    return ConfirmedCandidate(
        numbers=tuple(trial.number for trial in one.trials),
        config=one.config,
        searched={g.metric: math.fsum(t.metrics[g.metric] for t in one.trials) / len(one.trials) for g in goals},
        estimates={goal.metric: estimate(values[goal.metric][one.number], k=k) for goal in goals},
        num_failed=sum(trial.status is Status.FAILED for trial in repeats),
        num_infeasible=sum(bool(trial.violations) for trial in repeats if trial.status is Status.COMPLETED),
        by_repeat={
            trial.config[REPEAT]: float(trial.metrics[goals[0].metric])
            for trial in repeats
            if trial.status is Status.COMPLETED
        },
        metric=goals[0].metric,
    )


def _rank(candidate: ConfirmedCandidate, goal: Goal) -> tuple[bool, bool, float]:
    """The rank of a candidate: by its mean, but infeasible ones are behind all others, and those that mostly fail last."""
    loss = goal.loss(candidate.mean)
    return candidate.num_failed > candidate.n, not candidate.is_feasible, math.inf if math.isnan(loss) else loss


def _optimism(goal: Goal, chosen: Sequence[Chosen], values: _Values) -> Optimism | None:
    """The optimism of the search's best single trial, which was picked before its repeats were run.

    Its interval is therefore that of a single mean: nothing was selected by these values.
    """
    trials = [
        (goal.loss(float(trial.metrics[goal.metric])), trial.number, one) for one in chosen for trial in one.trials
    ]
    loss, number, one = min(trials, key=lambda entry: entry[:2])
    found: Estimate = estimate(values[goal.metric][one.number])
    if not found.n:
        return None
    interval = None
    if found.interval is not None:
        low, high = sorted(goal.loss(end) - loss for end in found.interval)
        interval = (low, high)
    return Optimism(
        number=number,
        searched=goal.value(loss),
        confirmed=found.mean,
        value=goal.loss(found.mean) - loss,
        interval=interval,
    )
