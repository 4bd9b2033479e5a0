"""What a model thought before each step: its estimates of the rows among which a suggestion was chosen.

They travel in the ``meta`` of trials, so a search with estimates is the same search without.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.goals import Goal
from raytune_hpo.numerics.axes import is_among
from raytune_hpo.protocols import Sampler, Signal, Suggestion, Traits
from raytune_hpo.samplers.arms import ARM
from raytune_hpo.samplers.model_based import Ranked, Selection
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial

KEY = "estimates"  # in ``meta``
_MOST = 64  # rows that are kept of a shortlist


@runtime_checkable
class Weighs(Protocol):
    """A sampler that can say what a suggestion was chosen from. See ``samplers.model_based``."""

    def select(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Selection: ...


class Watched:
    """A sampler whose suggestions carry the estimates they came from.

    Args:
        sampler: one that weighs.
    """

    traits: ClassVar[Traits] = Traits()
    _space: Space

    def __init__(self, *, sampler: Any) -> None:
        self.sampler = sampler

    def bind(self, space: Space, goals: Sequence[Goal], seed: int) -> Watched:
        """A fresh one for one study."""
        bound = Watched(sampler=self.sampler.bind(space, goals, seed))
        bound._space = space
        return bound

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion | Signal:
        """What the sampler suggests."""
        weighed: Selection = self.sampler.select(number, pending, rng)
        said, ranked = weighed.suggestion, weighed.ranked
        if ranked is None or isinstance(said, Signal):
            return said
        listed = _with(self._space.encode([said.config])[0], Ranked(ranked.X[:_MOST], ranked.scores[:_MOST]))
        return replace(said, meta={**said.meta, KEY: _estimates(listed, said, weighed, self._space)})

    def tell(self, trial: Trial) -> None:
        """Told to the sampler."""
        self.sampler.tell(trial)


def watched(sampler: Sampler) -> Sampler:
    """The sampler with its estimates; one without a model has none, and is returned as it is."""
    return Watched(sampler=sampler) if isinstance(sampler, Weighs) else sampler


def rows(trials: Sequence[Trial]) -> Iterator[tuple[Any, ...]]:
    """A row for each candidate of each trial that came of a model: see ``searching.ESTIMATES``."""
    for trial in trials:
        kept: Mapping[str, Any] = trial.meta.get(KEY, {})
        columns = [kept.get(key, ()) for key in ("chosen", "mean", "variance", "acquisition")]
        for rank, values in enumerate(zip(*columns, strict=True), start=1):
            yield (trial.number, trial.meta.get(ARM), rank, *values)


def _with(x: Array, ranked: Ranked) -> Ranked:
    """The rows with the chosen one: what was ranked first may have been tried, or may not be feasible."""
    if is_among(x, ranked.X):
        return ranked
    return Ranked(np.concatenate([ranked.X, x[None, :]]), np.append(ranked.scores, np.nan))


def _estimates(listed: Ranked, said: Suggestion, weighed: Selection, space: Space) -> dict[str, list[Any]]:
    assert weighed.model is not None and weighed.observed is not None
    x = space.encode([said.config])
    believed = weighed.model.estimate(weighed.observed, listed.X)
    mean, variance = (np.full(len(listed.X), np.nan),) * 2 if believed is None else believed
    return {
        "chosen": [is_among(row, x) for row in listed.X],
        "mean": mean.tolist(),
        "variance": variance.tolist(),
        "acquisition": listed.scores.tolist(),
    }
