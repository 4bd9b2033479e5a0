"""NSGA-II for workers that do not wait for each other, in spaces of every kind.

Deb, Pratap, Agarwal, Meyarivan: A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II (IEEE Trans. Evol. Comput.
6, 2002). A child enters as soon as it was told and the worst leaves, as in the steady-state form of Durillo, Nebro,
Luna, Alba: On the Effect of the Steady-State Selection Scheme in Multi-Objective Genetic Algorithms (EMO 2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raytune_hpo.errors import SpecError
from raytune_hpo.goals import Goal
from raytune_hpo.numerics import genetic, pareto
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

POINT = "point"  # the key in ``meta``
_ATTEMPTS = 8  # children bred in search of one that is new and feasible


@dataclass(frozen=True, eq=False)
class _Population:
    """The members that children are bred from, the worst first.

    Attributes:
        X: (k, d) points of the unit cube, with a coordinate for every column.
        Y: (k, m) losses, infinite where a trial told none.
    """

    X: Array
    Y: Array

    @classmethod
    def of(cls, X: Array, Y: Array) -> _Population:
        order = pareto.worst_first(Y)
        return cls(X[order], Y[order])


class NSGA2:
    """NSGA-II: a genetic algorithm for several goals, which spreads its population along their Pareto front.

    The population is the first trials that were told, of an even design. Each child has two parents, each the better of
    two members: of an earlier front or, within a front, with more room around it. Once told it enters the population
    and the worst member leaves, so no worker waits. Points the user enqueued enter likewise. Parameters that are not
    active are inherited all the same. Failed trials rank last, a pruned one counts with its last report. It works with
    one goal as well.

    Args:
        population: how many members there are.
        eta_crossover: the larger it is, the nearer children stay to one of their parents. Deb's 20 is for tens of
            thousands of trials; with a few hundred, large changes lead further.
        eta_mutation: the larger it is, the smaller mutations are; likewise.

    Raises:
        SpecError: population < 4, or one of the etas < 0.
    """

    traits: ClassVar[Traits] = Traits(multi_goal=True)
    _cube: Cube
    _goals: Sequence[Goal]
    _seed: int
    _history: History
    _nominal: Array

    def __init__(self, *, population: int = 16, eta_crossover: float = 1.0, eta_mutation: float = 1.0) -> None:
        if not (isinstance(population, int) and population >= 4):
            raise SpecError(f"nsga2 needs a whole number population >= 4, got population={population!r}")
        for name, eta in (("eta_crossover", eta_crossover), ("eta_mutation", eta_mutation)):
            if not 0 <= eta < np.inf:
                raise SpecError(
                    f"nsga2 needs {name} >= 0, got {name}={eta}; 1 suits a few hundred trials, 20 many thousands"
                )
        self.population = population
        self.eta_crossover = eta_crossover
        self.eta_mutation = eta_mutation
        self._population: _Population | None = None

    def bind(self, space: Space, goals: Sequence[Goal], seed: int) -> NSGA2:
        """A fresh sampler for one study."""
        bound = NSGA2(**{option: getattr(self, option) for option in option_names(NSGA2)})
        bound._cube, bound._goals, bound._seed = Cube(space), goals, seed
        bound._history = History(space, len(goals))
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
        for _ in range(_ATTEMPTS):
            child = self._child(population, rng)
            rows = cube.proper(child[None, :])
            if not is_among(rows[0], known) and cube.feasible(rows)[0]:
                return Suggestion(cube.config(rows[0]), {POINT: child.tolist()})
        return Suggestion(cube.config(first_new(cube, rows, known, rng)))

    def tell(self, trial: Trial) -> None:
        """Note the trial; it takes the place of the worst member, unless it is worst itself."""
        position = len(self._history)
        self._history.tell(trial)
        if not self._cube.axes:
            return
        if self._population is not None:
            point = trial.meta.get(POINT, ())
            x = np.array(point) if len(point) == len(self._cube.axes) else self._dense(position)[0]
            X = np.concatenate([self._population.X, x[None, :]])
            everyone = _Population.of(X, np.concatenate([self._population.Y, [self._losses(trial)]]))
            self._population = _Population(everyone.X[1:], everyone.Y[1:])
        elif position + 1 == self.population:
            Y = self._history.read().Y.copy()
            Y[np.isnan(Y).any(axis=1)] = np.inf
            self._population = _Population.of(self._dense(0), Y)

    def _child(self, population: _Population, rng: np.random.Generator) -> Array:
        """A point (d,) of the unit cube, bred from two members."""
        first, second = rng.integers(len(population.X), size=(2, 2)).max(axis=1)  # the better of two: they are sorted
        child = genetic.crossed(population.X[first], population.X[second], self._nominal, self.eta_crossover, rng)
        return genetic.mutated(child, self._nominal, self.eta_mutation, rng)

    def _dense(self, position: int) -> Array:
        """The told trials (k, d) from a position on, with a coordinate drawn for every parameter that is not active."""
        rows = self._history.read().X[position:]
        drawn = derive(self._seed, "nsga2 inactive", position).random(rows.shape)
        return np.where(np.isnan(rows), drawn, rows)

    def _losses(self, trial: Trial) -> tuple[float, ...]:
        """The goals', infinite where a trial told none."""
        losses = None if trial.status is Status.FAILED else trial.last_losses
        return (np.inf,) * len(self._goals) if losses is None or np.isnan(losses).any() else losses

    def __repr__(self) -> str:
        options = ", ".join(f"{option}={getattr(self, option)!r}" for option in option_names(NSGA2))
        return f"NSGA2({options})"
