"""Estimates of a model before each step: mean, variance and acquisition of the rows among which a suggestion was chosen.

They are stored in the ``meta`` of trials, so a search with estimates is otherwise identical to one without.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from raytune_hpo.core.lending import lender
from raytune_hpo.goals import Goal
from raytune_hpo.numerics.axes import is_among
from raytune_hpo.protocols import Sampler, Signal, Suggestion, Traits
from raytune_hpo.samplers.arms import ARM
from raytune_hpo.samplers.model_based import Selection
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial

KEY = "estimates"  # in ``meta``
_SHORTLIST = 64  # the number of best ranked rows whose estimates are kept


@runtime_checkable
class RankingSampler(Protocol):
    """A sampler that can return the ranking from which a suggestion was chosen. See ``samplers.model_based``."""

    def select(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Selection: ...


class EstimatingSampler:
    """A sampler whose suggestions carry the estimates they came from.

    Args:
        sampler: one that ranks rows.
    """

    traits: ClassVar[Traits] = Traits()
    _space: Space

    def __init__(self, *, sampler: Any) -> None:
        self.sampler, self._lend = sampler, lender(sampler)

    def bind(self, space: Space, goals: Sequence[Goal], seed: int) -> EstimatingSampler:
        """A fresh sampler for one study."""
        bound = type(self)(sampler=self.sampler.bind(space, goals, seed))
        bound._space = space
        return bound

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion | Signal:
        """The sampler's suggestion, with estimates if a model was used."""
        selection: Selection = self.sampler.select(number, list(map(self._lend, pending)), rng)
        suggestion, ranked = selection.suggestion, selection.ranked
        if ranked is None or isinstance(suggestion, Signal):
            return suggestion
        assert selection.model is not None and selection.observed is not None
        chosen = self._space.encode([suggestion.config])
        X, acquisition = ranked.X[:_SHORTLIST], ranked.scores[:_SHORTLIST]
        # The row that was ranked first may have been tried, or may not be feasible.
        if not is_among(chosen[0], X):
            X, acquisition = np.concatenate([X, chosen]), np.append(acquisition, np.nan)
        estimate = selection.model.estimate(selection.observed, X)
        mean, variance = (np.full(len(X), np.nan),) * 2 if estimate is None else estimate
        estimates = {
            "chosen": [is_among(row, chosen) for row in X],
            "mean": mean.tolist(),
            "variance": variance.tolist(),
            "acquisition": acquisition.tolist(),
        }
        return replace(suggestion, meta={**suggestion.meta, KEY: estimates})

    def tell(self, trial: Trial) -> None:
        """Tell the sampler."""
        self.sampler.tell(self._lend(trial))


class EstimatingReader(EstimatingSampler):
    """An EstimatingSampler whose sampler also learns from paused trials."""

    traits: ClassVar[Traits] = Traits(reads_reports=True)

    def observe(self, trial: Trial) -> None:
        """Show the sampler a trial that has paused."""
        self.sampler.observe(self._lend(trial))


def with_estimates(sampler: Sampler) -> Sampler:
    """The sampler with its estimates; a sampler without a model is returned as it is."""
    if not isinstance(sampler, RankingSampler):
        return sampler
    return (EstimatingReader if sampler.traits.reads_reports else EstimatingSampler)(sampler=sampler)


def estimate_rows(trials: Sequence[Trial]) -> Iterator[tuple[Any, ...]]:
    """A row for each candidate of each trial that a model suggested, in the columns of ``search.ESTIMATES``."""
    for trial in trials:
        kept: Mapping[str, Any] = trial.meta.get(KEY, {})
        columns = [kept.get(key, ()) for key in ("chosen", "mean", "variance", "acquisition")]
        for rank, values in enumerate(zip(*columns, strict=True), start=1):
            yield (trial.number, trial.meta.get(ARM), rank, *values)
