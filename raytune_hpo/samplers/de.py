"""Differential evolution for workers that do not wait for each other, in spaces of every kind.

Storn and Price: Differential Evolution (J. Global Optimization 11, 1997). The adaptation of its rates and its several
leaders are JADE's (Zhang and Sanderson, IEEE Trans. Evol. Comput. 13, 2009); a child competes as soon as it was told, as
in the asynchronous form of DEHB (Awad, Mallik, Hutter, IJCAI 2021), whose treatment of mixed spaces in the unit cube
this is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from raytune_hpo.errors import SpecError
from raytune_hpo.goals import Goal
from raytune_hpo.numerics import differential
from raytune_hpo.numerics.axes import Kind
from raytune_hpo.protocols import Suggestion, Traits
from raytune_hpo.registry import option_names
from raytune_hpo.rng import derive
from raytune_hpo.samplers.cube import Cube
from raytune_hpo.samplers.history import History
from raytune_hpo.samplers.model_based import first_new, is_among
from raytune_hpo.space import Space
from raytune_hpo.space.domain import Array
from raytune_hpo.trial import Status, Trial

TARGET, RATES, POINT = "target", "rates", "point"  # keys in ``meta``
_ATTEMPTS = 8  # children bred in search of one that is new and feasible
_LEAST_POPULATION = 4  # a target, its leader and two others


@dataclass(frozen=True, eq=False)
class _Population:
    """The members that children are bred from.

    Attributes:
        X: (k, d) points of the unit cube, with a coordinate for every column.
        losses: (k,) theirs; infinite where a trial told none.
        mu_F, mu_CR: what the rates of children are drawn around.
    """

    X: Array
    losses: Array
    mu_F: float
    mu_CR: float

    def with_member(self, i: int, x: Array, loss: float) -> _Population:
        """With another member in place i."""
        X, losses = self.X.copy(), self.losses.copy()
        X[i], losses[i] = x, loss
        return replace(self, X=X, losses=losses)


class DE:
    """Differential evolution: children are good members of a population plus differences between others.

    The population is the first trials that were told, of an even design. Each child has a target, replaces it if its
    loss is no higher, and does so as soon as it is told, so no worker waits. Points the user enqueued replace the
    worst member if they are better. Parameters that are not active are inherited all the same. A failed trial replaces
    nobody, a pruned one counts with its last report.

    Args:
        population: how many members there are.
        best: the part of the members, the best ones, that children start from; two members at least.
        scale: F, what differences are multiplied by, to begin with.
        crossover: CR, the probability that a parameter is changed, to begin with.
        adaptation: how fast both follow the rates of children that were better than their targets; 0: not at all.

    Raises:
        SpecError: population < 4, best, scale or crossover outside (0, 1], or adaptation outside [0, 1].
    """

    traits: ClassVar[Traits] = Traits()
    _cube: Cube
    _seed: int
    _history: History
    _nominal: Array

    def __init__(
        self,
        *,
        population: int = 10,
        best: float = 0.2,
        scale: float = 0.5,
        crossover: float = 0.7,
        adaptation: float = 0.1,
    ) -> None:
        if not (isinstance(population, int) and population >= _LEAST_POPULATION):
            raise SpecError(f"de needs a whole number population >= {_LEAST_POPULATION}, got population={population!r}")
        for name, value in (("best", best), ("scale", scale), ("crossover", crossover)):
            if not 0 < value <= 1:
                raise SpecError(f"de needs 0 < {name} <= 1, got {name}={value}")
        if not 0 <= adaptation <= 1:
            raise SpecError(f"de needs 0 <= adaptation <= 1, got adaptation={adaptation}")
        self.population = population
        self.best = best
        self.scale = scale
        self.crossover = crossover
        self.adaptation = adaptation
        self._population: _Population | None = None

    def bind(self, space: Space, goals: Sequence[Goal], seed: int) -> DE:
        """A fresh sampler for one study."""
        bound = DE(**{option: getattr(self, option) for option in option_names(DE)})
        bound._cube, bound._seed, bound._history = Cube(space), seed, History(space, len(goals))
        bound._nominal = np.array([axis.kind is Kind.NOMINAL for axis in bound._cube.axes], dtype=bool)
        return bound

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """The next point of the even design or, from then on, a child that is not known yet."""
        population, cube = self._population, self._cube
        if not cube.axes:
            return Suggestion(cube.config(np.empty(0)))
        known = np.concatenate([self._history.read().X, cube.encode(pending)])
        if population is None:
            rows = cube.spread(len(known), self._seed, rng)
            return Suggestion(cube.config(first_new(cube, rows, known, rng)))
        target = number % self.population
        for _ in range(_ATTEMPTS):
            rates = differential.draw_rates(population.mu_F, population.mu_CR, rng)
            child = self._child(population, target, rates, rng)
            rows = cube.proper(child[None, :])
            if not is_among(rows[0], known) and cube.feasible(rows)[0]:
                meta = {TARGET: target, RATES: list(rates), POINT: child.tolist()}
                return Suggestion(cube.config(rows[0]), meta)
        return Suggestion(cube.config(first_new(cube, rows, known, rng)))

    def tell(self, trial: Trial) -> None:
        """Note the trial, and let it compete with its target."""
        position = len(self._history)
        self._history.tell(trial)
        if not self._cube.axes:
            return
        if self._population is None:
            if position + 1 == self.population:
                self._population = self._founded()
            return
        loss = _loss(trial)
        if TARGET in trial.meta:
            self._population = self._competed(self._population, trial, loss)
        elif loss < self._population.losses.max():
            x = self._history.read().X[position:]
            worst = int(np.argmax(self._population.losses))
            self._population = self._population.with_member(worst, self._dense(x, position)[0], loss)

    def _founded(self) -> _Population:
        """The population of the first trials."""
        observed = self._history.read()
        losses = np.nan_to_num(observed.Y[:, 0], nan=np.inf, posinf=np.inf, neginf=-np.inf)
        return _Population(self._dense(observed.X, 0), losses, self.scale, self.crossover)

    def _competed(self, population: _Population, trial: Trial, loss: float) -> _Population:
        """The population after a child was told."""
        target, (F, CR) = trial.meta[TARGET], trial.meta[RATES]
        before = population.losses[target]
        if not loss <= before or np.isinf(loss):
            return population
        after = population.with_member(target, np.array(trial.meta[POINT]), loss)
        if loss == before or self.adaptation == 0:
            return after
        mu_F, mu_CR = differential.adapted(population.mu_F, population.mu_CR, F, CR, self.adaptation)
        return replace(after, mu_F=mu_F, mu_CR=mu_CR)

    def _child(
        self, population: _Population, target: int, rates: tuple[float, float], rng: np.random.Generator
    ) -> Array:
        """A point (d,) of the unit cube, bred for a target."""
        F, CR = rates
        x = population.X[target]
        best = max(2, round(self.best * self.population))
        v = differential.mutant(population.X, population.losses, target, self._nominal, F, best, rng)
        return differential.crossed(x, differential.returned(v, x), CR, rng)

    def _dense(self, rows: Array, position: int) -> Array:
        """Rows (k, d) with a coordinate drawn for every parameter that is not active."""
        drawn = derive(self._seed, "de inactive", position).random(rows.shape)
        return np.where(np.isnan(rows), drawn, rows)

    def __repr__(self) -> str:
        options = ", ".join(f"{option}={getattr(self, option)!r}" for option in option_names(DE))
        return f"DE({options})"


def _loss(trial: Trial) -> float:
    """The first goal's, infinite where a trial told none."""
    losses = None if trial.status is Status.FAILED else trial.last_losses
    return np.inf if losses is None or np.isnan(losses[0]) else losses[0]
