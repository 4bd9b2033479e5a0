"""NSGA-II for asynchronous workers and mixed spaces.

Deb, Pratap, Agarwal, Meyarivan: A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II (IEEE Trans. Evol. Comput.
6, 2002). A child enters as soon as it was told and the worst leaves, as in the steady-state form of Durillo, Nebro,
Luna, Alba: On the Effect of the Steady-State Selection Scheme in Multi-Objective Genetic Algorithms (EMO 2009).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics import genetic, pareto
from raytune_hpo.numerics.violations import by_feasibility, total_violations
from raytune_hpo.options import integer_option, number_option
from raytune_hpo.protocols import Traits
from raytune_hpo.samplers.population import Evolutionary


@dataclass(frozen=True, eq=False)
class _Members:
    """The members from which children are bred, the worst first.

    Attributes:
        X: (k, d) points of the unit cube, with a coordinate for every column.
        Y: (k, m) losses; infinite if a trial has none.
        C: (k, c) by how much they break the outcome constraints.
    """

    X: Array
    Y: Array
    C: Array

    def at(self, rows: Array) -> _Members:
        """The members at these positions, in this order."""
        return _Members(self.X[rows], self.Y[rows], self.C[rows])


class NSGA2(Evolutionary):
    """NSGA-II: a genetic algorithm for several goals, which spreads its population along their Pareto front.

    The initial population is the first trials that were told, from an even design. Each child has two parents, each the
    better of two random members: the one on an earlier front or, within a front, with the larger crowding distance. Once
    told, the child enters the population and the worst member leaves, so no worker waits. Points the user enqueued enter
    likewise. Parameters that are not active are inherited all the same. Failed trials rank last, a pruned one counts with
    its last report. Members that break an outcome constraint rank behind those that keep all, by how much they break
    them relative to the other members. It works with one goal as well.

    Args:
        population: how many members there are.
        eta_crossover: the distribution index of the crossover: the larger it is, the nearer children stay to one of
            their parents. Deb's 20 is for tens of thousands of trials; with a few hundred, large changes lead further.
        eta_mutation: the distribution index of the mutation: the larger it is, the smaller mutations are.

    Raises:
        SpecError: population < 4, or one of the etas < 0.
    """

    traits: ClassVar[Traits] = replace(Evolutionary.traits, multi_goal=True, constraints=True)
    _members: _Members

    def __init__(self, *, population: int = 16, eta_crossover: float = 1.0, eta_mutation: float = 1.0) -> None:
        way_out = "1 suits a few hundred trials, 20 many thousands"
        self.population = integer_option("nsga2", "population", population, least=4)
        self.eta_crossover = number_option("nsga2", "eta_crossover", eta_crossover, least=0, way_out=way_out)
        self.eta_mutation = number_option("nsga2", "eta_mutation", eta_mutation, least=0, way_out=way_out)

    def found(self, X: Array, Y: Array) -> None:
        """The first members."""
        self._members = self._ordered(_Members(X, Y, self._excesses(0)))

    def child(self, number: int, rng: np.random.Generator) -> tuple[Array, dict[str, Any]]:
        """A child of two members, each the better of two random ones."""
        X = self._members.X
        first, second = rng.integers(len(X), size=(2, 2)).max(axis=1)  # the better of two: they are sorted
        child = genetic.simulated_binary_crossover(X[first], X[second], self._nominal, self.eta_crossover, rng)
        return genetic.polynomial_mutation(child, self._nominal, self.eta_mutation, rng), {}

    def enter(self, x: Array, losses: Array, meta: dict[str, Any]) -> None:
        """Let a trial replace the worst member, unless it is the worst itself."""
        members = self._members
        everyone = _Members(
            np.concatenate([members.X, x[None, :]]),
            np.concatenate([members.Y, losses[None, :]]),
            np.concatenate([members.C, self._excesses(len(self._history) - 1)]),
        )
        ordered = self._ordered(everyone)
        self._members = ordered.at(np.arange(1, len(ordered.X)))

    def _excesses(self, position: int) -> Array:
        """By how much the finished trials from ``position`` on break the constraints, (k, c)."""
        if not self._constraints:
            return np.empty((len(self._history) - position, 0))
        C = self._history.read().C
        assert C is not None, "the history keeps what it was told to"
        return C[position:]

    def _ordered(self, members: _Members) -> _Members:
        """The members, worst first: by feasibility, and within a group by the goals. (Deb et al. 2002, section VI)"""
        order = self._worst_first(members.Y)
        if members.C.shape[1]:
            group = by_feasibility(total_violations(members.C))
            group = np.where(np.isfinite(members.Y).all(axis=1), group, group.max() + 1)  # failed
            order = order[np.argsort(-group[order], kind="stable")]
        return members.at(order)

    def _worst_first(self, Y: Array) -> Array:
        """The rows (n,) in the order of the crowded comparison, the worst first."""
        return pareto.worst_first(Y)
