"""Hyper-Tune: Hyperband with brackets, and a model of all fidelities, weighted by how well each fidelity ranks trials.

Li, Shen, Jiang, Zhang, Li, Liu, Zhang, Cui: Hyper-Tune: Towards Efficient Hyper-parameter Tuning at Scale. VLDB 15(6), 2022,
sections 4.1 (brackets), 4.2 (delayed promotion) and 4.3 (the ensemble of MFES-HB).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, NamedTuple

import numpy as np

from raytune_hpo import registry
from raytune_hpo.arrays import Array
from raytune_hpo.numerics.acquisition import Predictor
from raytune_hpo.numerics.curves import at_fidelities, fidelities, warped
from raytune_hpo.numerics.ensemble import Ensemble, cross_validated, misranked, ranking_weights, samples_at
from raytune_hpo.numerics.gaussian import Posterior
from raytune_hpo.options import budget_options, integer_option, number_option
from raytune_hpo.protocols import Scheduler, Suggestion, Traits
from raytune_hpo.rng import derive
from raytune_hpo.samplers.gp import GP
from raytune_hpo.samplers.history import Observed, Training, representatives
from raytune_hpo.samplers.model_based import ModelBased, Ranked, Selection
from raytune_hpo.trial import Trial

BRACKET = "bracket"  # the key in ``meta``: a bracket of ``hyperband``, from 0 for the one that stops earliest
_LEAST_POINTS = 6  # points that a fidelity needs to be modelled
_LEAST_WEIGHT = 0.01  # a bracket whose weight is not above this is not drawn
_SAMPLES = 50
_MOST_RANKED = 60  # trials of the highest fidelity whose ranking is predicted


class _Weighed(NamedTuple):
    """Fidelities that have enough points: their steps, models, and weights theta."""

    steps: Sequence[int]
    parts: Sequence[Posterior]
    weights: Array


class HyperTune(GP):
    """Hyper-Tune: a Gaussian process for each fidelity, weighted by how well it ranks the trials of the highest one.

    It brings a ``hyperband`` with delayed promotion, and assigns trials to its brackets.

    The ranking loss of a fidelity is the number of pairs of trials at the highest one that a sample of its model ranks
    wrongly; that of the highest one itself is cross-validated. The weight theta of a fidelity is the share of samples in
    which it ranks best. A new trial has the best log expected improvement of the weighted ensemble; once trials have
    paused, three in ten are draws. Once enough have completed, a trial's bracket is drawn with probabilities in
    proportion to theta / r, where r is the bracket's first rung: cheap rungs that rank well are preferred, and those that
    do not are left out. Before that, trials are assigned to brackets in the proportions of Hyperband. The trial's
    ``meta`` holds the bracket.

    Args:
        max_steps, min_steps, eta: options of ``hyperband``: the last step of a trial, the first rung, and the reduction
            factor: one trial in eta survives a rung.
        random_share: share of suggestions that are drawn from the space, once trials have paused.
        min_completed: how many trials must have completed before brackets are drawn.

    Raises:
        SpecError: no max_steps, or not above min_steps; min_steps < 1; eta < 2; random_share outside [0, 1];
            min_completed < 1.
    """

    # Not those of ``GP``: the ensemble is for a single goal.
    traits: ClassVar[Traits] = replace(ModelBased.traits, features=True, version=10)

    def __init__(
        self,
        *,
        max_steps: int | None = None,
        min_steps: int = 1,
        eta: int = 3,
        random_share: float = 0.3,
        min_completed: int = 24,
    ) -> None:
        super().__init__()
        self.max_steps, self.min_steps, self.eta = budget_options("hypertune", max_steps, min_steps, eta)
        self.random_share = number_option("hypertune", "random_share", random_share, least=0, most=1)
        self.min_completed = integer_option("hypertune", "min_completed", min_completed, least=1)

    def brings(self) -> Scheduler:
        """Hyperband with pausing and delayed promotion."""
        options = {"max_steps": self.max_steps, "min_steps": self.min_steps, "eta": self.eta}
        scheduler: Scheduler = registry.make(
            "scheduler", {"name": "hyperband", **options, "promote": True, "delay": True}
        )
        return scheduler

    def select(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Selection:
        """As ``ask``, with the rows from which the suggestion was selected, and its bracket."""
        selection = super().select(number, pending, rng)
        bracket = self._bracket(selection.observed, rng)
        if bracket is None or not isinstance(selection.suggestion, Suggestion):
            return selection
        meta = {**selection.suggestion.meta, BRACKET: bracket}
        return selection._replace(suggestion=replace(selection.suggestion, meta=meta))

    def propose(self, observed: Observed, running: Array, rng: np.random.Generator) -> Ranked:
        """The rows with the best values of the acquisition function.

        Once trials have paused, some suggestions are draws; all are while no fidelity has enough trials.
        """
        has_paused = observed.curves is not None
        if has_paused and (rng.random() < self.random_share or not self._weighed(observed).parts):
            return Ranked(self._cube.draw(1, rng), np.zeros(1))
        return super().propose(observed, running, rng)

    def _posteriors(self, observed: Observed, training: Training) -> Sequence[Predictor]:
        """The ensemble; the model of a single fidelity while no trial was paused."""
        if observed.curves is None:
            return super()._posteriors(observed, training)
        weighed = self._weighed(observed)
        return [Ensemble(weighed.parts, weighed.weights, self._embedding(observed.X))]

    def _bracket(self, observed: Observed | None, rng: np.random.Generator) -> int | None:
        """A bracket, drawn in proportion to theta / r; None before enough trials have completed. (section 4.1)"""
        if observed is None or observed.curves is None or observed.curves.completed.sum() < self.min_completed:
            return None
        weighed = self._weighed(observed)
        theta = np.zeros(self._num_brackets)
        for step, weight in zip(weighed.steps, weighed.weights, strict=True):
            theta[self._bracket_from(step)] += weight
        theta[theta <= _LEAST_WEIGHT] = 0.0
        firsts = [min(self.min_steps * self.eta**s, self.max_steps) for s in range(self._num_brackets)]
        chances = theta / firsts
        return int(rng.choice(self._num_brackets, p=chances / chances.sum())) if chances.sum() > 0 else None

    @property
    def _num_brackets(self) -> int:
        """The number of brackets, as in Hyperband: one for each rung, and one without early stopping."""
        return self._bracket_from(self.max_steps) + 1

    def _bracket_from(self, step: int) -> int:
        """The bracket whose first rung is at this step or, if there is none, the next one above it."""
        bracket, first = 0, self.min_steps
        while first < min(step, self.max_steps):
            bracket, first = bracket + 1, first * self.eta
        return bracket

    def _weighed(self, observed: Observed) -> _Weighed:
        """The fidelities, their models and weights: functions of what was observed."""
        assert observed.curves is not None
        values = at_fidelities(observed.curves)
        scores = warped(values, self._warped)
        enough = np.flatnonzero((~np.isnan(values)).sum(axis=0) >= _LEAST_POINTS).tolist()
        if not enough:
            return _Weighed((), (), np.empty(0))
        steps = [*fidelities(observed.curves), self.max_steps]
        parts = [self._level(level, observed, scores[:, level], values[:, level : level + 1])[0] for level in enough]
        known = np.flatnonzero(~np.isnan(scores[:, enough[-1]]))
        kept = known[representatives(scores[known, enough[-1]], _MOST_RANKED)]
        Z, y = self._embedding(observed.X[kept]), scores[kept, enough[-1]]
        rng = derive(self._seed, "hypertune/weights", len(known))
        samples = [samples_at(part, Z, _SAMPLES, rng) for part in parts[:-1]]
        samples.append(cross_validated(parts[-1].theta, Z, self._embedding.owner, y, _SAMPLES, rng))
        weights = ranking_weights(np.stack([misranked(drawn, y) for drawn in samples]))
        return _Weighed([steps[level] for level in enough], parts, weights)
