"""From the study of repeats to what it says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from raytune_hpo.analysis.repeats import LEVEL, Estimate, estimate, pooled_sd
from raytune_hpo.confirming.choosing import Chosen
from raytune_hpo.confirming.records import Candidate, Confirmation, Optimism
from raytune_hpo.display.text import last_line
from raytune_hpo.errors import NoCompletedTrial
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.numerics.pareto import pareto_front
from raytune_hpo.runtime.repeats import TRIAL
from raytune_hpo.trial import Trial

if TYPE_CHECKING:
    from raytune_hpo.results import Results


def confirmation_of(results: Results, chosen: Sequence[Chosen], outcome: Results, keyword: str | None) -> Confirmation:
    """The confirmation of a search.

    Args:
        outcome: of the study of repeats.
        keyword: see Confirmation.

    Raises:
        NoCompletedTrial: no repeat has completed.
    """
    repeats: dict[int, list[Trial]] = {one.number: [] for one in chosen}
    for trial in outcome:
        repeats[trial.config[TRIAL]].append(trial)
    goals = results.goals
    values = {goal.metric: {number: _values(trials, goal) for number, trials in repeats.items()} for goal in goals}
    candidates = [_candidate(one, repeats[one.number], goals, values) for one in chosen]
    if not any(candidate.n for candidate in candidates):
        raise NoCompletedTrial(_nothing(outcome))
    ranked = sorted(candidates, key=lambda candidate: _rank(candidate, goals[0]))
    return Confirmation(
        name=results.name,
        study=outcome.name,
        goals=goals,
        candidates=tuple(ranked),
        level=LEVEL,
        optimisms={goal.metric: o for goal in goals if (o := _optimism(results, goal, chosen, values)) is not None},
        noises={goal.metric: pooled_sd(values[goal.metric].values()) for goal in goals},
        keyword=keyword,
        front=_front(ranked, goals),
    )


def _values(trials: Sequence[Trial], goal: Goal) -> list[float]:
    return [float(trial.metrics[goal.metric]) for trial in trials if trial.status is Status.COMPLETED]


def _candidate(
    one: Chosen, repeats: Sequence[Trial], goals: Sequence[Goal], values: Mapping[str, Mapping[int, Sequence[float]]]
) -> Candidate:
    k = max(1, len(next(iter(values.values()))))
    return Candidate(
        numbers=tuple(trial.number for trial in one.trials),
        config=one.config,
        searched={goal.metric: _searched(one, goal) for goal in goals},
        estimates={goal.metric: estimate(values[goal.metric][one.number], k=k) for goal in goals},
        num_failed=sum(trial.status is Status.FAILED for trial in repeats),
        metric=goals[0].metric,
    )


def _searched(one: Chosen, goal: Goal) -> float:
    return math.fsum(trial.metrics[goal.metric] for trial in one.trials) / len(one.trials)


def _rank(candidate: Candidate, goal: Goal) -> tuple[bool, float]:
    """By the mean; what fails more often than not stands behind everything that does not."""
    mean = -candidate.mean if goal.mode == "max" else candidate.mean
    return candidate.num_failed > candidate.n, math.inf if math.isnan(mean) else mean


def _optimism(
    results: Results, goal: Goal, chosen: Sequence[Chosen], values: Mapping[str, Mapping[int, Sequence[float]]]
) -> Optimism | None:
    """Of the search's best single trial among the chosen, which was picked before its repeats were seen.

    So the interval is that of one mean: nothing was selected by these values.
    """
    sign = -1.0 if goal.mode == "max" else 1.0
    trials = [(sign * trial.metrics[goal.metric], trial.number, one) for one in chosen for trial in one.trials]
    loss, number, one = min(trials, key=lambda entry: entry[:2])
    found: Estimate = estimate(values[goal.metric][one.number])
    if not found.n:
        return None
    interval = None
    if found.interval is not None:
        low, high = sorted(sign * end - loss for end in found.interval)
        interval = (low, high)
    return Optimism(
        number=number, searched=sign * loss, confirmed=found.mean, value=sign * found.mean - loss, interval=interval
    )


def _front(candidates: Sequence[Candidate], goals: Sequence[Goal]) -> tuple[int, ...]:
    rows = [[(-1 if g.mode == "max" else 1) * c.estimates[g.metric].mean for g in goals] for c in candidates]
    kept = pareto_front(np.array(rows, dtype=np.float64))
    return tuple(candidate.numbers[0] for candidate, is_kept in zip(candidates, kept, strict=True) if is_kept)


def _nothing(outcome: Results) -> str:
    failed = next((trial for trial in outcome if trial.error is not None), None)
    why = "" if failed is None else f"; the first failed with: {last_line(failed.error)}"
    return f"a confirmation needs repeats that complete, of {len(outcome)} in study {outcome.name!r} none did{why}"
