"""Base of the evolutionary samplers: a population, begun by an even design, whose children compete one by one.

A child competes as soon as it was told, so that no worker waits for another. Members have a coordinate for every
parameter: children inherit even those that are not active.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.numerics.axes import Kind, is_among
from raytune_hpo.protocols import Suggestion, Traits
from raytune_hpo.rng import derive
from raytune_hpo.samplers.base import ConstraintLearner
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial

POINT = "point"  # the key in ``meta``
_ATTEMPTS = 8  # children bred in search of one that is new and feasible

_Self = TypeVar("_Self", bound="Evolutionary")


class Evolutionary(ConstraintLearner, ABC):
    """A sampler that begins a population with the first trials that were told, and then suggests its children.

    A subclass keeps its options as attributes of the same names, among them ``population``: how many members there are.
    A failed trial has infinite losses, a pruned one those of its last report.
    """

    traits: ClassVar[Traits] = Traits(needs=("scipy",), version=5)
    population: int
    _nominal: Array
    _is_founded: bool

    # -------------------------------------------------------------------------------------------- for subclasses

    @abstractmethod
    def found(self, X: Array, Y: Array) -> None:
        """Begin with these members: points (k, d) of the unit cube and their losses (k, m)."""

    @abstractmethod
    def child(self, number: int, rng: np.random.Generator) -> tuple[Array, dict[str, Any]]:
        """A point (d,) bred for the trial of this number, and the ``meta`` that ``enter`` will need."""

    @abstractmethod
    def enter(self, x: Array, losses: Array, meta: dict[str, Any]) -> None:
        """Let a finished trial compete: a child, with the ``meta`` of its breeding, or another trial, without it.

        The losses (m,) are infinite if the trial has none.
        """

    # -------------------------------------------------------------------------------------------- what they share

    def bind(self: _Self, space: Space, goals: Sequence[Goal], seed: int, *, constraints: Sequence[Goal] = ()) -> _Self:
        """A fresh sampler for one study."""
        bound = super().bind(space, goals, seed, constraints=constraints)
        bound._nominal = np.array([axis.kind is Kind.NOMINAL for axis in bound._cube.axes], dtype=bool)
        bound._is_founded = False
        return bound

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """The next point of the even design or, once there is a population, a new child."""
        cube = self._cube
        if not cube.axes:
            return Suggestion(cube.config(np.empty(0)))
        observed = self._history.read()
        known = np.concatenate([observed.X, cube.encode(pending)])
        if not self._is_founded:
            rows = cube.spread(len(known), self._seed, rng, observed)
            return Suggestion(cube.config(cube.first_new(rows, known, rng)))
        for _ in range(_ATTEMPTS):
            point, meta = self.child(number, rng)
            rows = cube.proper(point[None, :])
            if cube.is_new(rows[0], known) and cube.feasible(rows)[0]:
                return Suggestion(cube.config(rows[0]), {**meta, POINT: point.tolist()})
        x = cube.first_new(rows, known, rng)
        return Suggestion(cube.config(x), {**meta, POINT: point.tolist()} if is_among(x, rows) else {})

    def tell(self, trial: Trial) -> None:
        """Note the trial, and let it compete once there is a population."""
        position = len(self._history)
        self._history.tell(trial)
        if not self._cube.axes:
            return
        if self._is_founded:
            point = trial.meta.get(POINT, ())
            x = np.array(point) if len(point) == len(self._cube.axes) else self._dense(position)[0]
            losses = None if trial.status is Status.FAILED else trial.last_losses
            told = np.array((np.nan,) if losses is None else losses, dtype=np.float64)
            self.enter(x, np.full(len(self._goals), np.inf) if np.isnan(told).any() else told, dict(trial.meta))
        elif position + 1 == self.population:
            Y = self._history.read().Y
            self.found(self._dense(0), np.where(np.isnan(Y).any(axis=1, keepdims=True), np.inf, Y))
            self._is_founded = True

    def _dense(self, position: int) -> Array:
        """The finished trials (k, d) from a position on, with a coordinate drawn for every parameter that is not active."""
        rows = self._history.read().X[position:]
        drawn = derive(self._seed, f"{type(self).__name__.lower()} inactive", position).random(rows.shape)
        return np.where(np.isnan(rows), drawn, rows)
