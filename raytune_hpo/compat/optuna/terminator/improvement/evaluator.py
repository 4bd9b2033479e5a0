"""The improvement that is still possible, by a Gaussian process or by the time since the last improvement.

Makarova, Shen, Perrone et al.: Automatic Termination for Hyperparameter Optimization. AutoML 2022.
Srinivas, Krause, Kakade, Seeger: Gaussian Process Optimization in the Bandit Setting. ICML 2010 (the width of the bounds).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from raytune_hpo.compat.optuna.directions import StudyDirection, mode_of
from raytune_hpo.compat.optuna.distributions import domain_and_form, to_stored
from raytune_hpo.compat.optuna.search_space import intersection_search_space
from raytune_hpo.compat.optuna.trial._state import TrialState
from raytune_hpo.compat.optuna.trial.frozen import FrozenTrial
from raytune_hpo.goals import make_goals
from raytune_hpo.rng import derive
from raytune_hpo.samplers.gp import GP
from raytune_hpo.samplers.history import Observed
from raytune_hpo.space import Space

_CANDIDATES = 512
_DELTA = 0.1  # probability that a bound does not hold
_WIDTH = 0.2  # factor of the theoretical bounds, which are wide


class BaseImprovementEvaluator(ABC):
    """The base of estimates of the improvement that is still possible; a script may have its own."""

    @abstractmethod
    def evaluate(self, trials: list[FrozenTrial], study_direction: StudyDirection) -> float:
        """The improvement, in the value's units."""


class RegretBoundEvaluator(BaseImprovementEvaluator):
    """An upper bound of the difference between the best trial and the best configuration.

    Args:
        top_trials_ratio: the share of the trials, the best of them, from which the model learns.
        min_n_trials: the least number of trials from which it learns.
        seed: of the configurations at which the bound is computed; None: always the same ones.
    """

    def __init__(self, top_trials_ratio: float = 0.5, min_n_trials: int = 20, seed: int | None = None) -> None:
        self._ratio, self._at_least, self._seed = top_trials_ratio, min_n_trials, seed or 0

    def evaluate(self, trials: list[FrozenTrial], study_direction: StudyDirection) -> float:
        """The bound, in the value's units; infinite while there are too few trials for a model."""
        known = completed(trials)
        sign = -1.0 if study_direction is StudyDirection.MAXIMIZE else 1.0
        kept = max(self._at_least, math.floor(len(known) * self._ratio))
        best = sorted(known, key=lambda trial: sign * (trial.value or 0.0))[:kept]
        return _bound(sorted(best), study_direction, self._seed)


class BestValueStagnationEvaluator(BaseImprovementEvaluator):
    """How many more trials may pass without a better value; below 0 if there were too many.

    Args:
        max_stagnation_trials: how many trials may pass without a better value.
    """

    def __init__(self, max_stagnation_trials: int = 30) -> None:
        if max_stagnation_trials < 0:
            raise ValueError(f"max_stagnation_trials is at least 0, got {max_stagnation_trials}")
        self._most = max_stagnation_trials

    def evaluate(self, trials: list[FrozenTrial], study_direction: StudyDirection) -> float:
        """The number of trials that are left.

        Raises:
            ValueError: no trial has completed.
        """
        known = completed(trials)
        if not known:
            raise ValueError("stagnation is counted from the best trial, and none has completed yet")
        sign = -1.0 if study_direction is StudyDirection.MAXIMIZE else 1.0
        losses = [sign * (trial.value or 0.0) for trial in known]
        return float(self._most - (len(losses) - 1 - losses.index(min(losses))))


def completed(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that have a value, in their order."""
    return [trial for trial in trials if trial.state is TrialState.COMPLETE and trial.values is not None]


def _bound(trials: Sequence[FrozenTrial], direction: StudyDirection, seed: int) -> float:
    """The bound after these completed trials, over the parameters that all of them have."""
    common = intersection_search_space(trials)
    sign = -1.0 if direction is StudyDirection.MAXIMIZE else 1.0
    losses = sign * np.array([trial.value for trial in trials], dtype=float)
    if len(losses) < 3 or np.ptp(losses) == 0 or not common:
        return math.inf
    space = Space({name: domain_and_form(distribution)[0] for name, distribution in common.items()})
    configs = [{name: to_stored(common[name], trial.params[name]) for name in common} for trial in trials]
    sampler = GP().bind(space, make_goals("value", mode_of(direction), None, None), seed)
    observed = Observed(space.encode(configs), losses[:, None])
    drawn = space.sample(_CANDIDATES, derive(seed, "improvement", len(losses)))
    mean, variance = sampler.estimate(observed, np.concatenate([observed.X, space.encode(drawn)]))
    n, d = len(losses), space.num_columns
    beta = 2 * _WIDTH * math.log(d * n**2 * math.pi**2 / (6 * _DELTA))
    wide = np.sqrt(beta * np.maximum(variance, 0.0))
    guaranteed = (mean + wide)[:n].min()  # the best trial is no worse than this
    possible = (mean - wide).min()
    return float(max(0.0, guaranteed - possible) * np.std(losses))
