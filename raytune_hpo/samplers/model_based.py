"""Base of the samplers that fit a model: an even design first, then what the model ranks highest, nothing twice."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.facts import Recalled
from raytune_hpo.numerics.curves import expected_losses
from raytune_hpo.numerics.kernels import Embedding
from raytune_hpo.numerics.transforms import half_ranked, standardised
from raytune_hpo.protocols import Signal, Suggestion, Traits
from raytune_hpo.samplers.base import ConstraintLearner
from raytune_hpo.samplers.history import TOLD, Observed, told_before
from raytune_hpo.samplers.sources import OPENING, Source, opening
from raytune_hpo.samplers.supply import Pending
from raytune_hpo.trial import Trial


class Ranked(NamedTuple):
    """Rows that a model proposes, the best first.

    Attributes:
        X: (k, d) proper rows, k >= 1.
        scores: (k,) values of the model's acquisition function, in its units; larger is better.
    """

    X: Array
    scores: Array

    @classmethod
    def of(cls, X: Array, scores: Array, most: int | None = None) -> Ranked:
        """The ``most`` best rows in the order of their scores, equals in their own order."""
        order = np.argsort(-scores, kind="stable")[:most]
        return cls(X[order], scores[order])


class Selection(NamedTuple):
    """A suggestion, or a signal, and what it was selected from.

    Attributes:
        ranked: the rows that a model proposed; None where none was asked.
        model, observed: the sampler that proposed them, and the trials that it had learned from.
        num_running: trials that were pending, and not among these.
    """

    suggestion: Suggestion | Signal
    ranked: Ranked | None = None
    model: ModelBased | None = None
    observed: Observed | None = None
    num_running: int = 0


class ModelBased(ConstraintLearner, ABC):
    """A sampler that fits a model to trials and proposes rows of the unit cube.

    Where trials are stopped or paused, their losses and those of trials that run are compared at the fidelities, the
    steps, that they have come to, and the losses that a model is shown are those that are expected at the highest one.

    A subclass keeps its options as attributes of the same names, and answers ``initial`` and ``propose``. Both must
    depend on nothing but their arguments, the options and what ``bind`` was given; what they compute may be kept in
    ``fits``, to be computed again from the same history. One whose ``traits`` say ``in_batches`` answers ``supply`` too, and
    its suggestions say in their meta how many trials had been told.

    Attributes:
        sources: earlier studies, of which it has been told.
        fits: the models that were fitted, as memos. Samplers of one study whose ``model_key`` is the same may share it.
    """

    traits: ClassVar[Traits] = Traits(reads_reports=True, needs=("scipy",), version=2)
    fits: Any = None
    sources: tuple[Source, ...] = ()
    _opening: Array | None = None

    @property
    def model_key(self) -> Hashable:
        """Equal for samplers that fit the same model; by default each has a model of its own."""
        return id(self)

    @abstractmethod
    def initial(self) -> int:
        """How many trials the even design has, before the model is asked."""

    @abstractmethod
    def propose(self, observed: Observed, running: Array, rng: np.random.Generator) -> Ranked:
        """What to try next; the first row that is new and feasible is taken.

        Args:
            observed: at least one trial has losses.
            running: (p, d) where the pending trials stand.
        """

    def supply(self, observed: Observed, pending: Pending, rng: np.random.Generator) -> Ranked:
        """As ``propose``, where it is known which of the pending trials were suggested since the newest results: these may
        share one search with the suggestion to come.

        Args:
            observed: at least one trial has losses, and all of those are final.
        """
        return self.propose(observed, pending.X, rng)

    def expect(self, observed: Observed, rows: Array) -> Array | None:
        """The losses (k,) that the model expects at rows (k, d), in their own units; None if it cannot say.

        Args:
            observed: at least one trial has losses.
        """
        return None

    def expected_of(self, trials: Sequence[Trial]) -> Array | None:
        """The losses (k,) that the model expects of trials after all that was told, in their own units; None if it cannot
        say.
        """
        observed, _ = self.compared(())
        return self.expect(observed, self._cube.encode(trials))

    def estimate(self, observed: Observed, rows: Array) -> tuple[Array, Array] | None:
        """Means and variances (k,) of the losses at rows (k, d) according to the model, in its own units, which are
        standardised; None if it has none. Pending trials do not count.

        Args:
            observed: at least one trial has losses.
        """
        return None

    def recall(self, earlier: Recalled) -> None:
        """Note what an earlier study says."""
        self.sources = (*self.sources, Source.of(Embedding(self._cube.axes), earlier))

    def _first_rows(self, begun: int, rng: np.random.Generator) -> Array:
        """What to try before the model is asked: what earlier studies would, then an even design."""
        if self.sources and begun < OPENING:
            if self._opening is None:  # not before: only an ask does its linear algebra as any other process would
                self._opening = opening(self._cube, self.sources)
            return self._opening[begun:]
        return self._cube.spread(begun, self._seed, rng)

    def compared(self, pending: Sequence[Trial]) -> tuple[Observed, Array]:
        """What was observed, with losses that may be compared, and the rows (p, d) of the pending trials that it lacks."""
        observed = self._history.read()
        if observed.curves is None:
            return observed, self._cube.encode(pending)
        reporting = [trial for trial in pending if trial.last_losses is not None]
        silent = [trial for trial in pending if trial.last_losses is None and trial.number not in self._history]
        observed = self._history.read(reporting)
        assert observed.curves is not None, "there were partial trials before these, and there are now"
        Y = expected_losses(observed.curves, lambda y: standardised(half_ranked(y)))
        return Observed(observed.X, Y, observed.curves, observed.C, observed.told), self._cube.encode(silent)

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """The next point of the even design or, from then on, the best that the model proposes."""
        suggestion = self.select(number, pending, rng).suggestion
        assert isinstance(suggestion, Suggestion), "a model always has something to suggest"
        return suggestion

    def select(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Selection:
        """As ``ask``, with what the suggestion was selected from."""
        cube = self._cube
        if not cube.axes:
            return Selection(Suggestion(cube.config(np.empty(0))))
        observed, running = self.compared(pending)
        begun = len(observed) + len(running)
        ranked, meta = None, {}
        if begun < self.initial() or np.isnan(observed.Y).any(axis=1).all():
            rows = self._first_rows(begun, rng)
        else:
            if self.traits.in_batches and observed.curves is None:
                meta = {TOLD: len(observed)}
                told = np.array([told_before(trial) for trial in pending], dtype=np.int64)
                ranked = self.supply(observed, Pending(running, told), rng)
            else:
                ranked = self.propose(observed, running, rng)
            rows = ranked.X
        x = cube.first_new(rows, np.concatenate([observed.X, running]), rng)
        return Selection(Suggestion(cube.config(x), meta), ranked, self, observed, len(running))
