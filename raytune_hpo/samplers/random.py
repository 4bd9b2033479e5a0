"""Random search.

Bergstra, Bengio: Random Search for Hyper-Parameter Optimization. JMLR 13, 2012.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from raytune_hpo.goals import Goal
from raytune_hpo.protocols import Suggestion, Traits
from raytune_hpo.registry import shown
from raytune_hpo.rng import derive
from raytune_hpo.samplers.sequence import BlockSequence, Gradual
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial

_BLOCK = 1024  # configurations drawn at once


class Random:
    """Independent draws from the space's own distributions (random search).

    In a finite space a configuration may be repeated, as in any random search; the grid sampler does not repeat.
    """

    traits: ClassVar[Traits] = Traits(history_free=True, reads_pending=False, reads_rng=False, multi_goal=True)
    __repr__ = shown
    _drawn: BlockSequence[Mapping[str, Any]]

    def bind(self, space: Space, goals: Sequence[Goal], seed: int) -> Random:
        """A fresh sampler for one study."""
        bound = Random()
        bound._drawn = BlockSequence(_BLOCK, partial(_draw, space, seed))
        return bound

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """The draw of this number, computed in blocks from the seed; ``rng`` is not used."""
        return Suggestion(self._drawn[number])

    def tell(self, trial: Trial) -> None:
        """Nothing to learn."""


def _draw(space: Space, seed: int, block: int) -> Sequence[Mapping[str, Any]] | Gradual[Mapping[str, Any]]:
    if space.has_constraints and space.candidates is None and not space.has_derived:
        # Or a thousand would be searched for before the first trial.
        return Gradual(lambda: space.feasible_draws(_BLOCK, derive(seed, "random", block)))
    return space.sample(_BLOCK, derive(seed, "random", block))
