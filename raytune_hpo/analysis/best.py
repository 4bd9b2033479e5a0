"""The best trials, and how the best value came about.

losses  (n, m)  of n trials in m goals, minimised; a row of NaN where a trial has not completed
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from raytune_hpo.numerics.pareto import pareto_front
from raytune_hpo.trial import Trial

Floats: TypeAlias = NDArray[np.float64]


def losses_of(trials: Sequence[Trial], num_goals: int) -> Floats:
    """The losses of completed trials, (n, m); NaN for the others."""
    missing = (np.nan,) * num_goals
    rows = [missing if trial.losses is None else trial.losses for trial in trials]
    return np.array(rows, dtype=np.float64).reshape(len(trials), num_goals)


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """The completed trials, best in the first goal first; of equals, the one of the lower number first."""
    completed = [trial for trial in trials if trial.losses is not None]
    return sorted(completed, key=_first_loss)


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """The completed trial that is best in the first goal, the first of equals; None if none has completed."""
    completed = [trial for trial in trials if trial.losses is not None]
    return min(completed, key=_first_loss) if completed else None


def best_trials(trials: Sequence[Trial]) -> list[Trial]:
    """The Pareto front: completed trials that no other one beats. With one goal, all that share the best loss."""
    completed = [trial for trial in trials if trial.losses is not None]
    if not completed:
        return []
    front = pareto_front(np.array([trial.losses for trial in completed], dtype=np.float64))
    return [trial for trial, is_best in zip(completed, front, strict=True) if is_best]


def best_so_far(losses: Floats) -> Floats:
    """The lowest loss up to each entry, (n,); NaN before the first one."""
    best: Floats = np.fmin.accumulate(losses) if len(losses) else losses
    return best


def improvements(losses: Floats) -> list[int]:
    """Where the lowest loss so far becomes lower, the first loss included."""
    best = best_so_far(losses)
    before = np.append(np.nan, best)[: len(best)]
    found: list[int] = np.flatnonzero((best < before) | (np.isnan(before) & ~np.isnan(best))).tolist()
    return found


def best_by_number(trials: Sequence[Trial], num_goals: int, goal: int = 0) -> Floats:
    """The lowest loss among the trials up to each number, (n,)."""
    return best_so_far(losses_of(trials, num_goals)[:, goal])


def best_over_time(trials: Sequence[Trial], goal: int = 0) -> tuple[Floats, Floats]:
    """When trials completed, in seconds since the study's first trial was handed out, and the lowest loss by then."""
    done = sorted((t.finished_at, t.losses[goal]) for t in trials if t.losses is not None and t.finished_at is not None)
    if not done:
        return np.empty(0), np.empty(0)
    times, losses = np.array(done, dtype=np.float64).T
    return times - min(trial.created_at for trial in trials), best_so_far(losses)


def _first_loss(trial: Trial) -> float:
    assert trial.losses is not None
    return trial.losses[0]


def turns(trials: Sequence[Trial]) -> dict[str, int]:
    """How many trials each arm has suggested, in the order in which arms came first; empty where there are none."""
    return dict(Counter(trial.arm for trial in trials if trial.arm is not None))
