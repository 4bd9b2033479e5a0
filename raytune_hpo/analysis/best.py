"""The best trials of a study, and how many each arm of a portfolio has suggested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from raytune_hpo.numerics.pareto import pareto_front
from raytune_hpo.trial import Trial


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


def num_by_arm(trials: Sequence[Trial]) -> dict[str, int]:
    """How many trials each arm has suggested, in the order in which arms came first; empty where there are none."""
    return dict(Counter(trial.arm for trial in trials if trial.arm is not None))


def _first_loss(trial: Trial) -> float:
    assert trial.losses is not None
    return trial.losses[0]
