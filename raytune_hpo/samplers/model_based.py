"""What samplers that fit a model have in common: an even design to begin with, and no configuration twice."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from raytune_hpo.goals import Goal
from raytune_hpo.protocols import Suggestion, Traits
from raytune_hpo.registry import option_names
from raytune_hpo.samplers.cube import Cube
from raytune_hpo.samplers.history import History, Observed
from raytune_hpo.space import Space
from raytune_hpo.space.domain import Array
from raytune_hpo.trial import Trial

_DRAWS = 256  # rows drawn at once in search of a new one
_MOST_LISTED = 10_000  # a space of so many configurations is searched to its last one

_Self = TypeVar("_Self", bound="ModelBased")


class ModelBased(ABC):
    """A sampler that fits a model to the finished trials and proposes rows of the unit cube.

    A subclass keeps its options as attributes of the same names, and answers ``initial`` and ``propose``. Both must
    depend on nothing but their arguments, the options and what ``bind`` was given; what they compute may be kept as a
    memo, to be computed again from the same history.
    """

    traits: ClassVar[Traits] = Traits()
    _cube: Cube
    _goals: Sequence[Goal]
    _seed: int
    _history: History

    def bind(self: _Self, space: Space, goals: Sequence[Goal], seed: int) -> _Self:
        """A fresh sampler for one study."""
        bound = type(self)(**{option: getattr(self, option) for option in option_names(type(self))})
        bound._cube, bound._goals, bound._seed = Cube(space), goals, seed
        bound._history = History(space, len(goals))
        return bound

    @abstractmethod
    def initial(self) -> int:
        """How many trials the even design has, before the model speaks."""

    @abstractmethod
    def propose(self, observed: Observed, running: Array, rng: np.random.Generator) -> Array:
        """Proper rows (k, d) to try next, k >= 1, the best first; the first that is new and feasible is taken.

        Args:
            observed: at least one trial has losses.
            running: (p, d) where the pending trials stand.
        """

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """The next point of the even design or, from then on, what the model makes most of."""
        observed, cube = self._history.read(), self._cube
        if not cube.axes:
            return Suggestion(cube.config(np.empty(0)))
        running = cube.encode(pending)
        begun = len(observed) + len(running)
        if begun < self.initial() or np.isnan(observed.Y).any(axis=1).all():
            rows = cube.spread(begun, self._seed, rng)
        else:
            rows = self.propose(observed, running, rng)
        return Suggestion(cube.config(first_new(cube, rows, np.concatenate([observed.X, running]), rng)))

    def tell(self, trial: Trial) -> None:
        """Note the trial; models are fitted when they are asked."""
        self._history.tell(trial)

    def __repr__(self) -> str:
        options = ", ".join(f"{option}={getattr(self, option)!r}" for option in option_names(type(self)))
        return f"{type(self).__name__}({options})"


def first_new(cube: Cube, rows: Array, known: Array, rng: np.random.Generator) -> Any:
    """The first feasible row (d,) that is not known, looking among drawn ones and at last through the whole space.

    Args:
        rows: (k, d) proper, in order of preference.
        known: (n, d) proper.
    """
    for x in rows:
        if not is_among(x, known) and cube.feasible(x[None, :])[0]:
            return x
    drawn = cube.draw(_DRAWS, rng)
    new = next((x for x in drawn if not is_among(x, known)), None)
    if new is None and cube.space.cardinality is not None and cube.space.cardinality <= _MOST_LISTED:
        listed = cube.space.encode([cube.space.at(int(i)) for i in rng.permutation(cube.space.cardinality)])
        new = next((x for x in listed if not is_among(x, known) and cube.feasible(x[None, :])[0]), None)
    return drawn[0] if new is None else new


def is_among(x: Array, rows: Array) -> bool:
    """Whether the row x (d,) is one of the rows (n, d); NaN equals NaN."""
    return bool(((rows == x) | (np.isnan(rows) & np.isnan(x))).all(axis=1).any())
