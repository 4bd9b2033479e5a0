"""The default sampler: a Gaussian process, and a Parzen estimator when it makes no progress or would take too long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, TypeVar

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.facts import Recalled
from raytune_hpo.goals import Goal
from raytune_hpo.numerics.pareto import first_of_front
from raytune_hpo.protocols import Suggestion, Traits
from raytune_hpo.samplers.arms import ARM
from raytune_hpo.samplers.goal_models import is_feasible
from raytune_hpo.samplers.gp import GP
from raytune_hpo.samplers.history import Observed
from raytune_hpo.samplers.model_based import ModelBased, Ranked, Selection
from raytune_hpo.samplers.supply import Pending
from raytune_hpo.samplers.tpe import TPE
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial

_PATIENCE = 12  # trials without a new best one, until the model is doubted
_LONG = 1000  # trials
_TURNS_OF_LONG = 5

_Self = TypeVar("_Self", bound="Auto")


class Auto(ModelBased):
    """The default: a Gaussian process after an even design, alternating with a Parzen estimator when progress stalls.

    The even design is longer in spaces of more parameters. After it comes the Gaussian process (``gp``), the best of the
    samplers here with few trials. Its model may be wrong all the same. So after twelve trials, and as many more as are
    pending, without a new best one (with several goals, without one that extends the front), every other suggestion comes
    from a density estimate (``tpe``), which assumes only that good trials lie near one another, until there is a new best
    trial. From 1,000 trials on ``tpe``, which is much quicker, makes four of five suggestions. Both learn from all trials
    and take all pending ones into account. The trial's ``meta`` names the one that made the suggestion, as ``arm``.
    """

    traits: ClassVar[Traits] = replace(
        ModelBased.traits, multi_goal=True, constraints=True, in_batches=True, features=True, recalls=True, version=13
    )
    _parts: Mapping[str, ModelBased]

    def bind(self: _Self, space: Space, goals: Sequence[Goal], seed: int, *, constraints: Sequence[Goal] = ()) -> _Self:
        """A fresh sampler for one study."""
        bound = super().bind(space, goals, seed, constraints=constraints)
        parts: Mapping[str, ModelBased] = {"gp": GP(), "tpe": TPE()}
        bound._parts = {name: part.bind(space, goals, seed, constraints=constraints) for name, part in parts.items()}
        return bound

    def recall(self, earlier: Recalled) -> None:
        """Take the first suggestions from the earlier study; the Gaussian process learns from it."""
        super().recall(earlier)
        self._parts["gp"].sources = self.sources

    def select(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Selection:
        """The next point of the even design or, from then on, of the sampler whose turn it is."""
        selection = super().select(number, pending, rng)
        observed, num_running = selection.observed, selection.num_running
        if not isinstance(selection.suggestion, Suggestion) or observed is None:
            return selection
        if len(observed) + num_running < self.initial():
            return selection
        arm = self._arm(observed, num_running)
        suggestion = replace(selection.suggestion, meta={ARM: arm, **selection.suggestion.meta})
        return selection._replace(suggestion=suggestion, model=self._parts[arm])

    def initial(self) -> int:
        """How many trials the even design has."""
        return self._parts["gp"].initial()

    def propose(self, observed: Observed, running: Array, rng: np.random.Generator) -> Ranked:
        """The proposals of the sampler whose turn it is."""
        return self._parts[self._arm(observed, len(running))].propose(observed, running, rng)

    def supply(self, observed: Observed, pending: Pending, rng: np.random.Generator) -> Ranked:
        """The supply of the sampler whose turn it is."""
        return self._parts[self._arm(observed, len(pending.X))].supply(observed, pending, rng)

    def _arm(self, observed: Observed, num_running: int) -> str:
        """The name of the sampler whose turn it is."""
        begun = len(observed) + num_running
        if begun >= _LONG:
            return "tpe" if begun % _TURNS_OF_LONG else "gp"
        since_best = len(observed) - 1 - _newest_of_the_best(observed)
        is_stuck = since_best >= _PATIENCE + num_running  # those that run began before the newest were told
        return "tpe" if is_stuck and begun % 2 else "gp"


def _newest_of_the_best(observed: Observed) -> int:
    """The position of the best trial or, with several goals or constraints, of the newest by which the feasible front grew.

    An equal of an earlier trial is no growth. While there is neither, the position of the newest trial.
    """
    losses, newest = observed.Y[:, 0], len(observed) - 1
    if observed.Y.shape[1] == 1 and observed.C is None:
        return newest if np.isnan(losses).all() else int(np.nanargmin(losses))
    feasible = np.flatnonzero(is_feasible(observed))
    return int(feasible[first_of_front(observed.Y[feasible])].max(initial=-1)) if len(feasible) else newest
