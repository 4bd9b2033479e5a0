"""Differential evolution for asynchronous workers and mixed spaces.

Storn and Price: Differential Evolution (J. Global Optimization 11, 1997). The adaptation of its rates and its several
leaders are JADE's (Zhang and Sanderson, IEEE Trans. Evol. Comput. 13, 2009). As in the asynchronous form of DEHB (Awad,
Mallik, Hutter, IJCAI 2021), a child competes as soon as it was told, and mixed spaces are searched in the unit cube.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics import differential
from raytune_hpo.numerics.axes import Kind, alike
from raytune_hpo.options import integer_option, number_option
from raytune_hpo.samplers.population import Evolutionary

TARGET, RATES = "target", "rates"  # keys in ``meta``
_LEAST_POPULATION = 4  # a target, its leader and two others
_NEW_OPTIONS = 0.5  # choices that are drawn anew in a child, on average, where all parameters are choices


@dataclass(frozen=True, eq=False)
class _Members:
    """The members from which children are bred.

    Attributes:
        X: (k, d) points of the unit cube, with a coordinate for every column.
        losses: (k,) of these points; infinite if a trial has none.
        mu_F, mu_CR: the centres of the distributions of the children's rates.
    """

    X: Array
    losses: Array
    mu_F: float
    mu_CR: float

    def with_member(self, i: int, x: Array, loss: float) -> _Members:
        """The members with another one at position i."""
        X, losses = self.X.copy(), self.losses.copy()
        X[i], losses[i] = x, loss
        return replace(self, X=X, losses=losses)


class DE(Evolutionary):
    """Differential evolution: children are good members of a population plus differences between others.

    The initial population is the first trials that were told, from an even design. Each child has a target, and replaces
    it as soon as it is told, if its loss is no higher, so no worker waits. A choice takes its option from another member;
    now and then one is drawn, since a few members cannot have all of many options. Points the user enqueued replace the
    worst member if they are better. Parameters that are not active are inherited all the same. A failed trial replaces no
    member, a pruned one counts with its last report.

    Args:
        population: how many members there are.
        best: the share of the members, the best ones, from which children start; at least two members.
        scale: the initial F, by which differences are multiplied.
        crossover: the initial CR, the probability that a parameter is changed.
        adaptation: how fast F and CR follow the rates of children that were better than their targets; 0: not at all.

    Raises:
        SpecError: population < 4, best, scale or crossover outside (0, 1], or adaptation outside [0, 1].
    """

    def __init__(
        self,
        *,
        population: int = 10,
        best: float = 0.2,
        scale: float = 0.5,
        crossover: float = 0.7,
        adaptation: float = 0.1,
    ) -> None:
        self.population = integer_option("de", "population", population, least=_LEAST_POPULATION)
        self.best = number_option("de", "best", best, above=0, most=1)
        self.scale = number_option("de", "scale", scale, above=0, most=1)
        self.crossover = number_option("de", "crossover", crossover, above=0, most=1)
        self.adaptation = number_option("de", "adaptation", adaptation, least=0, most=1)

    def found(self, X: Array, Y: Array) -> None:
        """The first members."""
        self._members = _Members(X, Y[:, 0], self.scale, self.crossover)

    def child(self, number: int, rng: np.random.Generator) -> tuple[Array, dict[str, Any]]:
        """A mutant crossed with its target; members are targets in turn."""
        members, target = self._members, number % self.population
        F, CR = rates = differential.draw_rates(members.mu_F, members.mu_CR, rng)
        x, best = members.X[target], max(2, round(self.best * self.population))
        v = differential.mutant(members.X, members.losses, target, self._nominal, F, best, rng)
        child = differential.binomial_crossover(x, differential.moved_inside(v, x), CR, rng)
        return self._with_new_options(child, rng), {TARGET: target, RATES: list(rates)}

    def _with_new_options(self, x: Array, rng: np.random.Generator) -> Array:
        """A child, now and then with a choice drawn anew: otherwise options that no member has would never be tried."""
        child: Array = x.copy()
        for axis, columns in alike(self._cube.axes, Kind.NOMINAL):
            is_new, drawn = rng.random((2, len(columns)))
            child[columns] = np.where(is_new < _NEW_OPTIONS / len(x), axis.settled(drawn), x[columns])
        return child

    def enter(self, x: Array, losses: Array, meta: dict[str, Any]) -> None:
        """Let a child replace its target, or any other trial the worst member, unless it is worse."""
        members, loss = self._members, float(losses[0])
        if TARGET not in meta:
            if loss < members.losses.max():
                self._members = members.with_member(int(np.argmax(members.losses)), x, loss)
            return
        target, (F, CR) = meta[TARGET], meta[RATES]
        before = members.losses[target]
        if not loss <= before or np.isinf(loss):
            return
        self._members = members.with_member(target, x, loss)
        if loss < before and self.adaptation > 0:  # the rates of children that were better are followed
            mu_F, mu_CR = differential.adapted(members.mu_F, members.mu_CR, F, CR, self.adaptation)
            self._members = replace(self._members, mu_F=mu_F, mu_CR=mu_CR)
