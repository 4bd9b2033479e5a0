"""Sobol's sequence.

Bergstra and Bengio (JMLR 13, 2012, section 4) found it better than independent draws for hyperparameters: it covers
any few dimensions evenly, whichever of them matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from raytune_hpo.errors import SpaceError, SpecError
from raytune_hpo.goals import Goal
from raytune_hpo.numerics import quasi
from raytune_hpo.protocols import Suggestion, Traits
from raytune_hpo.registry import shown
from raytune_hpo.rng import derive
from raytune_hpo.samplers.sequence import INDEX, BlockSequence, IndexCounter, newest_indexed
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial

_BLOCK_NUMBERS = 2**16  # floats in a block, so that very wide spaces stay small
_MAX_BLOCK = 1024
_MAX_REJECTED = 2**17


class Sobol:
    """The points of Sobol's sequence: spread more evenly than random ones.

    Points enqueued by the user do not use up points of the sequence. Points that break a constraint are skipped. In a
    space of few configurations, different points may become the same configuration.

    Args:
        scramble: randomise the sequence by the study's seed; it stays evenly spread. Without scrambling, every study has
            the same points, from the origin on.
    """

    traits: ClassVar[Traits] = Traits(history_free=True, reads_rng=False, multi_goal=True, needs=("scipy",))
    __repr__ = shown
    _space: Space
    _seed: int
    _points: BlockSequence[Mapping[str, Any] | None]

    def __init__(self, *, scramble: bool = True) -> None:
        self.scramble = scramble
        self._indices = IndexCounter()

    def bind(self, space: Space, goals: Sequence[Goal], seed: int) -> Sobol:
        """A fresh sampler for one study.

        Raises:
            SpecError: the space has more columns than the tables of direction numbers.
        """
        if space.num_columns > quasi.MAX_SOBOL_DIMS:
            raise SpecError(
                f"sobol serves up to {quasi.MAX_SOBOL_DIMS} parameters, got {space.num_columns}; use sampler='random'"
            )
        bound = Sobol(scramble=self.scramble)
        bound._space, bound._seed = space, seed
        bound._points = BlockSequence(_block_size(space.num_columns), bound._compute)
        return bound

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        """The next point of the sequence; its randomness comes from the seed, not from ``rng``.

        Raises:
            SpaceError: no point of the next 131,072 meets the constraints; names the one that refuses most.
        """
        newest, _ = newest_indexed(pending)
        first = self._indices.next_index(newest)
        for index in range(first, first + _MAX_REJECTED):
            config = self._points[index]
            if config is not None:
                return Suggestion(config, {INDEX: index})
        last = self._configs((first + _MAX_REJECTED - 1) // self._points.size)
        raise SpaceError(f"no point of {_MAX_REJECTED} in a row meets the constraints; {self._space.refusals(last)}")

    def tell(self, trial: Trial) -> None:
        self._indices.tell(trial.meta)

    def _compute(self, block: int) -> list[Mapping[str, Any] | None]:
        """The configurations of a block, None where a constraint is broken."""
        configs = self._configs(block)
        feasible = self._space.is_feasible(configs)
        return [config if fits else None for config, fits in zip(configs, feasible.tolist(), strict=True)]

    def _configs(self, block: int) -> list[dict[str, Any]]:
        """The configurations of a block, feasible or not."""
        size = _block_size(self._space.num_columns)
        seed = int(derive(self._seed, "sobol").integers(2**63)) if self.scramble else None
        even = quasi.sobol(self._space.num_columns, block * size, size, seed)
        return self._space.decode(self._space.beliefs.drawn(even))


def _block_size(num_columns: int) -> int:
    """The number of points in a block: a power of two."""
    size = _MAX_BLOCK
    while size > 1 and size * num_columns > _BLOCK_NUMBERS:
        size //= 2
    return size
