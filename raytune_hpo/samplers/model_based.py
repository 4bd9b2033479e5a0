"""Base of the samplers that fit a model: an even design, then the new configurations that the model ranks highest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import replace
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
from raytune_hpo.samplers.sources import Opening, Source
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
    def of(cls, X: Array, scores: Array, most: int | None = None, taken: Array | None = None) -> Ranked:
        """The ``most`` best rows by falling score; ties keep their order.

        Args:
            taken: (k,) of bool: rows that have been tried or are running. They follow all others, in the order in which
                they are worth repeating, and get -inf.
        """
        if taken is None:
            taken = np.zeros(len(X), dtype=bool)
        order = np.lexsort((-scores, taken))[:most]
        return cls(X[order], np.where(taken, -np.inf, scores)[order])


class Selection(NamedTuple):
    """A suggestion, or a signal, and the rows from which it was selected.

    Attributes:
        ranked: the rows that a model proposed; None if no model was used.
        model, observed: the sampler that proposed them, and the trials from which it had learned.
        num_running: how many trials were pending and not among those.
    """

    suggestion: Suggestion | Signal
    ranked: Ranked | None = None
    model: ModelBased | None = None
    observed: Observed | None = None
    num_running: int = 0


class ModelBased(ConstraintLearner, ABC):
    """A sampler that fits a model to trials and proposes rows of the unit cube.

    If trials are stopped or paused, all losses, including those of running trials, are compared at the fidelities (the
    steps) that the trials have reached, and the model gets the losses that are expected at the highest fidelity.

    A subclass keeps its options as attributes of the same names, and implements ``initial`` and ``propose``. Both must
    depend on nothing but their arguments, the options and the arguments of ``bind``; ``fits`` may keep what they compute,
    if it can be computed again from the same history. A subclass whose ``traits`` say ``in_batches`` implements ``supply``
    too, and its suggestions say in their meta how many trials had been told.

    Attributes:
        sources: the earlier studies that were recalled.
        fits: the models that were fitted, as memos. Samplers of one study whose ``model_key`` is the same may share it.
    """

    traits: ClassVar[Traits] = Traits(reads_reports=True, needs=("scipy",), version=4)
    fits: Any = None
    sources: tuple[Source, ...] = ()
    _opening: Opening | None = None

    @property
    def model_key(self) -> Hashable:
        """A key that is equal for samplers that fit the same model; by default each sampler has its own model."""
        return id(self)

    @abstractmethod
    def initial(self) -> int:
        """How many trials the even design has; after them the model is used."""

    @abstractmethod
    def propose(self, observed: Observed, running: Array, rng: np.random.Generator) -> Ranked:
        """The rows to try next, the best first; the first one that is new and feasible is taken.

        Args:
            observed: at least one trial has losses.
            running: (p, d) the rows of the pending trials.
        """

    def supply(self, observed: Observed, pending: Pending, rng: np.random.Generator) -> Ranked:
        """As ``propose``, for samplers ``in_batches``.

        ``pending`` says which trials were suggested since the newest results: they and the next suggestion may share one
        search.

        Args:
            observed: at least one trial has losses, and all of those are final.
        """
        return self.propose(observed, pending.X, rng)

    def expect(self, observed: Observed, rows: Array) -> Array | None:
        """The losses (k,) that the model expects at rows (k, d), in their own units; None if it makes no predictions.

        Args:
            observed: at least one trial has losses.
        """
        return None

    def expected_of(self, trials: Sequence[Trial]) -> Array | None:
        """The losses (k,) that the model expects of trials, given all that was told, in their own units; None if unknown."""
        observed, _ = self.compared(())
        return self.expect(observed, self._cube.encode(trials))

    def estimate(self, observed: Observed, rows: Array) -> tuple[Array, Array] | None:
        """Means and variances (k,) of the losses at rows (k, d) by the model, standardised; None if it has none.

        Pending trials do not count.

        Args:
            observed: at least one trial has losses.
        """
        return None

    def recall(self, earlier: Recalled) -> None:
        """Note the results of an earlier study as a source."""
        self.sources = (*self.sources, Source.of(Embedding(self._cube.axes), earlier))

    def _first_rows(self, observed: Observed, running: Array, rng: np.random.Generator) -> Array:
        """The rows to try before the model is used: those that earlier studies suggest, and an even design."""
        begun = len(observed) + len(running)
        if not self.sources:
            return self._cube.spread(begun, self._seed, rng, observed)
        if self._opening is None:  # not before: only an ask does its linear algebra as any other process would
            self._opening = Opening.of(self._cube, self.sources)
        opened = int(self._opening.begun(np.concatenate([observed.X, running])).sum())
        rows = self._opening.untried(observed, running)
        return rows if len(rows) else self._cube.spread(begun - opened, self._seed, rng, observed)

    def compared(self, pending: Sequence[Trial]) -> tuple[Observed, Array]:
        """The observed trials with comparable losses, and the rows (p, d) of the pending trials that are not among them."""
        observed = self._history.read()
        if observed.curves is None:
            return observed, self._cube.encode(pending)
        reporting = [trial for trial in pending if trial.last_losses is not None]
        silent = [trial for trial in pending if trial.last_losses is None and trial.number not in self._history]
        observed = self._history.read(reporting)
        assert observed.curves is not None, "there were partial trials before these, and there are now"
        Y = expected_losses(observed.curves, lambda y: standardised(half_ranked(y)))
        return replace(observed, Y=Y), self._cube.encode(silent)

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """The next point of the even design or, after it, the best new row that the model proposes."""
        suggestion = self.select(number, pending, rng).suggestion
        assert isinstance(suggestion, Suggestion), "a model always has something to suggest"
        return suggestion

    def select(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Selection:
        """As ``ask``, with the rows from which the suggestion was selected."""
        cube = self._cube
        if not cube.axes:
            return Selection(Suggestion(cube.config(np.empty(0))))
        observed, running = self.compared(pending)
        begun = len(observed) + len(running)
        ranked, meta = None, {}
        if begun < self.initial() or np.isnan(observed.Y).any(axis=1).all():
            rows = self._first_rows(observed, running, rng)
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
