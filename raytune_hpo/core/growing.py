"""Sampling in growing spaces, whose parameters become known when an objective asks for them.

A parameter that is new, or whose domain has become larger, is drawn from its domain for the trial that asks, by a separate
generator; from the next suggestion on it is a column like any other. The sampler is then bound anew, to the current space,
and told everything again, so that its knowledge is a function of the facts, as always.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from raytune_hpo.core.lending import lender
from raytune_hpo.facts import changed
from raytune_hpo.protocols import Continue, ReportReader, Sampler, Signal, Suggestion, Traits, bound_sampler
from raytune_hpo.rng import derive
from raytune_hpo.space import Space
from raytune_hpo.space.domain import Domain
from raytune_hpo.space.growing import fits, fitting
from raytune_hpo.spec import StudySpec
from raytune_hpo.trial import Trial


def drawn_value(seed: int, trial: Trial, name: str, domain: Domain) -> Any:
    """The value of a parameter in a trial that asks for it: the suggested one, if it is in the domain; a user's, if it can
    be converted; or else one drawn from the domain.
    """
    if name in trial.config:
        value = trial.config[name]
        if domain.problem(value) is None or (not trial.is_suggested and fits(domain, value)):
            return value
    return domain.decode(derive(seed, f"drawn/{name}", trial.number).random(1))[0]


class GrowingSampler:
    """A wrapper of a study's sampler that binds it anew whenever the space has grown. See ``Sampler``.

    The ``meta`` of a suggestion in a smaller space is meaningless in a larger one: such a trial is told like a user's point.

    Args:
        sampler: as made with its options.
        spec: the study's spec, with the current space.
    """

    def __init__(self, sampler: Sampler, spec: StudySpec) -> None:
        self.traits: Traits = sampler.traits
        self.unbound, self._spec = sampler, spec
        self._space, self._since = spec.space, 0
        self._lend = lender(sampler)
        self._told: list[tuple[Trial, bool]] = []  # in order, and whether it was told or observed
        self._bound: Sampler | None = None
        self._num_read = 0

    def grow(self, space: Space, seen: int) -> None:
        """Set the current space, as of the first ``seen`` facts."""
        self._space, self._since = space, seen
        self._bound, self._num_read = None, 0

    def bind(self, space: Space, goals: Sequence[Any], seed: int) -> GrowingSampler:
        """A fresh wrapper."""
        return GrowingSampler(self.unbound, self._spec)

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion | Continue | Signal:
        """The sampler's suggestion in the current space."""
        if not self._space.num_columns:
            return Suggestion({})
        return self._current().ask(number, [self._seen(trial) for trial in pending], rng)

    def tell(self, trial: Trial) -> None:
        """Note the trial; the sampler is told of it before it is asked next."""
        self._told.append((trial, True))

    def observe(self, trial: Trial) -> None:
        """Note a trial that has paused."""
        self._told.append((trial, False))

    def _current(self) -> Sampler:
        """The sampler, bound to the current space, and told everything."""
        spec = self._spec
        if self._bound is None:
            self._bound = bound_sampler(self.unbound, self._space, spec.goals, spec.seed, spec.constraints)
        for trial, has_ended in self._told[self._num_read :]:
            if has_ended:
                self._bound.tell(self._seen(trial))
            else:
                assert isinstance(self._bound, ReportReader)
                self._bound.observe(self._seen(trial))
        self._num_read = len(self._told)
        return self._bound

    def _seen(self, trial: Trial) -> Trial:
        """The trial with its configuration in the current space."""
        is_older = trial.basis is not None and trial.basis < self._since
        config = fitting(self._space, trial.config)
        return self._lend(changed(trial, config=config, **({"meta": {}} if is_older and trial.meta else {})))
