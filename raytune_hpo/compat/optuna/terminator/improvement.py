"""The improvement that may still be found, by a Gaussian process.

Makarova, Shen, Perrone et al.: Automatic Termination for Hyperparameter Optimization. AutoML 2022.
Srinivas, Krause, Kakade, Seeger: Gaussian Process Optimization in the Bandit Setting. ICML 2010 (the width of the bounds).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from raytune_hpo.compat.optuna.seen import seen_values
from raytune_hpo.facts import changed
from raytune_hpo.results import Results
from raytune_hpo.rng import derive
from raytune_hpo.samplers.gp import GP
from raytune_hpo.samplers.history import History
from raytune_hpo.space.growing import fitting
from raytune_hpo.trial import Trial

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.study import Study

_CANDIDATES = 512
_DELTA = 0.1  # chance that a bound does not hold
_WIDTH = 0.2  # by which the bounds of theory, which are wide, are multiplied


class RegretBoundEvaluator:
    """How much better than the best trial the best configuration may be, at most."""

    def evaluate(self, study: Study) -> float:
        """The bound, in the value's units."""
        results = one_goal(study)
        return bound(results, completed(results))


def one_goal(study: Study) -> Results:
    """The study's values as results."""
    return seen_values(study, lambda trial: [trial.value], ["value"], [study.direction])


def completed(results: Results) -> list[Trial]:
    """The trials that have a value, by number."""
    return [trial for trial in results if trial.losses is not None]


def bound(results: Results, trials: Sequence[Trial]) -> float:
    """The bound after these trials; infinite while there are too few for a model."""
    space, spec = results.spec.space, results.spec
    losses = np.array([trial.losses[0] for trial in trials if trial.losses is not None])
    if len(losses) < 3 or np.ptp(losses) == 0 or not space.num_columns:
        return math.inf
    known = [changed(trial, config=fitting(space, trial.config), meta={}) for trial in trials]
    sampler = GP().bind(space, spec.goals, spec.seed)
    history = History(space, 1)
    for trial in known:
        history.tell(trial)
    observed = history.read()
    rng = derive(spec.seed, "improvement", len(losses))
    rows = np.concatenate([observed.X, space.encode(space.sample(_CANDIDATES, rng))])
    estimate = sampler.estimate(observed, rows)
    assert estimate is not None, "a Gaussian process has means and variances"
    mean, variance = estimate
    n, d = len(losses), space.num_columns
    beta = 2 * _WIDTH * math.log(d * n**2 * math.pi**2 / (6 * _DELTA))
    wide = np.sqrt(beta * np.maximum(variance, 0.0))
    guaranteed = (mean + wide)[: len(observed)].min()  # the best trial is no worse than this
    possible = (mean - wide).min()
    return float(max(0.0, guaranteed - possible) * np.std(losses))
