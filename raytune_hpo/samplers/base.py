"""Base of the samplers that learn: the cube of their space, and the history of their study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from raytune_hpo.goals import Goal
from raytune_hpo.protocols import Traits
from raytune_hpo.registry import option_names, shown
from raytune_hpo.samplers.cube import Cube
from raytune_hpo.samplers.history import History
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial

_Self = TypeVar("_Self", bound="BaseSampler")


class BaseSampler:
    """A sampler that keeps its options as attributes of the same names, and the history of its study."""

    traits: ClassVar[Traits] = Traits(needs=("scipy",))
    _cube: Cube
    _goals: Sequence[Goal]
    _constraints: Sequence[Goal]
    _seed: int
    _history: History

    def bind(self: _Self, space: Space, goals: Sequence[Goal], seed: int) -> _Self:
        """A fresh sampler for one study."""
        return self._bound_to(space, goals, seed, ())

    def _bound_to(self: _Self, space: Space, goals: Sequence[Goal], seed: int, constraints: Sequence[Goal]) -> _Self:
        bound = type(self)(**{option: getattr(self, option) for option in option_names(type(self))})
        bound._cube, bound._goals, bound._seed, bound._constraints = Cube(space), goals, seed, constraints
        bound._history = History(space, len(goals), keeps_curves=bound.traits.reads_reports, constraints=constraints)
        return bound

    def tell(self, trial: Trial) -> None:
        """Note the trial."""
        self._history.tell(trial)

    def observe(self, trial: Trial) -> None:
        """Note a trial that has paused, if ``traits`` say that the sampler reads reports."""
        self._history.tell(trial)

    __repr__ = shown


class ConstraintLearner(BaseSampler):
    """A sampler that accepts outcome constraints; its ``traits`` say whether it learns from them."""

    def bind(self: _Self, space: Space, goals: Sequence[Goal], seed: int, *, constraints: Sequence[Goal] = ()) -> _Self:
        """A fresh sampler for one study."""
        return self._bound_to(space, goals, seed, constraints)
