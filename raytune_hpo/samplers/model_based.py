"""What samplers share that fit a model: an even design to begin with, and no configuration twice."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.protocols import Signal, Suggestion
from raytune_hpo.samplers.history import Observed
from raytune_hpo.samplers.learner import Learner
from raytune_hpo.samplers.untried import first_new
from raytune_hpo.trial import Trial


class Ranked(NamedTuple):
    """What a model proposes, the most promising first.

    Attributes:
        X: (k, d) proper rows, k >= 1.
        promise: (k,) what is promised by each, larger is better, in the units of the model's acquisition function.
    """

    X: Array
    promise: Array

    @classmethod
    def of(cls, X: Array, promise: Array, most: int | None = None) -> Ranked:
        """Rows in the order of their promise, equals in their own order; at most so many."""
        order = np.argsort(-promise, kind="stable")[:most]
        return cls(X[order], promise[order])


class Weighed(NamedTuple):
    """What a sampler says, and what it was chosen from.

    Attributes:
        ranked: what a model proposed; None where none was asked.
        model, observed: who proposed it, and the trials that it had learned from.
    """

    said: Suggestion | Signal
    ranked: Ranked | None = None
    model: ModelBased | None = None
    observed: Observed | None = None


class ModelBased(Learner, ABC):
    """A sampler that fits a model to the finished trials and proposes rows of the unit cube.

    A subclass keeps its options as attributes of the same names, and answers ``initial`` and ``propose``. Both must
    depend on nothing but their arguments, the options and what ``bind`` was given; what they compute may be kept as a
    memo, to be computed again from the same history.

    Attributes:
        model_options: the options that its model depends on, unlike what is made of it.
        memos: the attributes in which it keeps fits.
    """

    model_options: ClassVar[tuple[str, ...]] = ()
    memos: ClassVar[tuple[str, ...]] = ()

    def share(self, other: ModelBased) -> None:
        """Keep fits where another sampler of the same study keeps its own, if both fit the same model."""
        if type(other) is type(self) and all(getattr(self, o) == getattr(other, o) for o in self.model_options):
            for memo in self.memos:
                setattr(self, memo, getattr(other, memo))

    @abstractmethod
    def initial(self) -> int:
        """How many trials the even design has, before the model speaks."""

    @abstractmethod
    def propose(self, observed: Observed, running: Array, rng: np.random.Generator) -> Ranked:
        """What to try next; the first row that is new and feasible is taken.

        Args:
            observed: at least one trial has losses.
            running: (p, d) where the pending trials stand.
        """

    def expect(self, observed: Observed, rows: Array) -> Array | None:
        """What losses (k,) the model expects at rows (k, d), in their own units; None if it has no such opinion.

        Args:
            observed: at least one trial has losses.
        """
        return None

    def estimate(self, observed: Observed, rows: Array) -> tuple[Array, Array] | None:
        """What the model believes of the losses at rows (k, d): means and variances (k,), in the units in which it sees
        losses, which are standardised; None if it has no such belief. Pending trials are passed over.

        Args:
            observed: at least one trial has losses.
        """
        return None

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """The next point of the even design or, from then on, what the model makes most of."""
        said = self.weighed(number, pending, rng).said
        assert isinstance(said, Suggestion), "a model always has something to suggest"
        return said

    def weighed(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Weighed:
        """As ``ask``, with what the suggestion was chosen from."""
        observed, cube = self._history.read(), self._cube
        if not cube.axes:
            return Weighed(Suggestion(cube.config(np.empty(0))))
        running = cube.encode(pending)
        begun = len(observed) + len(running)
        ranked = None
        if begun < self.initial() or np.isnan(observed.Y).any(axis=1).all():
            rows = cube.spread(begun, self._seed, rng)
        else:
            ranked = self.propose(observed, running, rng)
            rows = ranked.X
        x = first_new(cube, rows, np.concatenate([observed.X, running]), rng)
        return Weighed(Suggestion(cube.config(x)), ranked, self, observed)
