"""Grid search: every configuration of a finite space, in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from raytune_hpo.errors import SpaceError, SpecError
from raytune_hpo.goals import Goal
from raytune_hpo.options import integer_option
from raytune_hpo.protocols import Signal, Suggestion, Traits
from raytune_hpo.registry import shown
from raytune_hpo.samplers.grid_samples import GridSamples
from raytune_hpo.samplers.sequence import INDEX, BlockSequence, IndexCounter, newest_indexed
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial

_BLOCK = 256  # configurations made at once
_MOST_POINTS = 1_000_000
_SKIP = "skip"  # the key in ``meta`` for the user's pending points that the walk has yet to reach


class Grid:
    """Grid search: tries every configuration of the grid once, in order, and ends the study after the last.

    Configurations that the user enqueued are not tried again, and those that break a constraint are skipped.

    Args:
        points: how many values represent a continuous parameter, from its lower bound to its upper. None: there must
            be no continuous parameters.
        samples: how often the axes made by ``grid_search`` are traversed, with all other parameters drawn at random each
            time, as Ray Tune's ``num_samples`` does. None: once, and all parameters are axes.

    Raises:
        SpecError: points or samples is not a whole number, or below 1, or both are given.
    """

    traits: ClassVar[Traits] = Traits(history_free=True, reads_rng=False, multi_goal=True, whole_space=True)
    _grid: Space
    _size: int
    _end: int  # no point from here on is feasible; lowered as soon as that is known, so that the search runs once
    _configs: BlockSequence[Mapping[str, Any] | None]

    __repr__ = shown

    def __init__(self, *, points: int | None = None, samples: int | None = None) -> None:
        self.points = None if points is None else integer_option("grid", "points", points, least=1)
        if self.points is not None and self.points > _MOST_POINTS:
            raise SpecError(
                f"grid has at most {_MOST_POINTS:,} points of a range, got {points!r}; sobol spreads any number of trials"
            )
        self.samples = None if samples is None else integer_option("grid", "samples", samples, least=1)
        if points is not None and samples is not None:
            raise SpecError(
                "grid takes points, which turns ranges into axes, or samples, which draws what is not an axis; got both"
            )
        self._indices = IndexCounter()
        self._enqueued: set[int] = set()  # the grid points among the user's own trials that have finished

    def bind(self, space: Space, goals: Sequence[Goal], seed: int) -> Grid | GridSamples:
        """A fresh sampler for one study.

        Raises:
            SpecError: a parameter has infinitely many values, and ``points`` is not given; or ``samples`` is given, and
                there are no axes.
        """
        if self.samples is not None:
            return GridSamples(space, self.samples, seed)
        bound = Grid(points=self.points)
        bound._grid = space if self.points is None else space.discretised(self.points)
        bound._size = bound._end = _size(bound._grid)
        bound._configs = BlockSequence(_BLOCK, bound._compute)
        return bound

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion | Signal:
        """The next grid point that has not been tried and is not running; EXHAUSTED after the last.

        Raises:
            SpaceError: no point of the grid meets the constraints; names the one that refuses most.
        """
        newest, others = newest_indexed(pending)
        # The newest suggestion's meta covers the user's older points, so there is no need to look at all of pending.
        known = [] if newest is None else newest.meta.get(_SKIP, [])
        skip = {*known, *(index for trial in others if (index := self._index_of(trial)) is not None)}
        first = self._indices.next_index(newest)
        for index, config in self._feasible(first):
            if index not in skip and index not in self._enqueued:
                ahead = sorted(i for i in skip if i > index)
                return Suggestion(config, {INDEX: index, _SKIP: ahead} if ahead else {INDEX: index})
        if not self._end:
            refusals = self._grid.refusals(self._points((self._size - 1) // _BLOCK))
            more = "" if self.points is None else ", or use more points"
            raise SpaceError(f"no point of the grid meets the constraints, of {self._size}; {refusals}{more}")
        return Signal.EXHAUSTED

    def tell(self, trial: Trial) -> None:
        """Note the position on the grid, or the grid point that the user has tried."""
        if INDEX in trial.meta:
            self._indices.tell(trial.meta)
        elif (index := self._index_of(trial)) is not None:
            self._enqueued.add(index)

    def _index_of(self, trial: Trial) -> int | None:
        """The index of a trial's configuration on the grid; None if it is not on the grid."""
        try:
            self._grid.check(trial.config)
        except SpaceError:
            return None
        return self._grid.index_of(trial.config)

    def _feasible(self, first: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """The feasible points from an index on."""
        found = False
        for index in range(first, self._end):
            config = self._configs[index]
            if config is not None:
                found = True
                yield index, config
        if not found:
            self._end = min(self._end, first)

    def _compute(self, block: int) -> list[Mapping[str, Any] | None]:
        """The configurations of a block, None where a constraint is broken."""
        configs = self._points(block)
        feasible = self._grid.is_feasible(configs)
        return [config if fits else None for config, fits in zip(configs, feasible.tolist(), strict=True)]

    def _points(self, block: int) -> list[dict[str, Any]]:
        """The configurations of a block, feasible or not."""
        start = block * _BLOCK
        return [self._grid.at(index) for index in range(start, min(start + _BLOCK, self._size))]


def _size(grid: Space) -> int:
    size = grid.cardinality
    if size is None:
        name = next(column.name for column in grid.columns if column.domain.size is None)
        raise SpecError(
            f"grid needs finitely many values, {name!r} has infinitely many; "
            f"give it a step or use hpo.samplers.Grid(points=5)"
        )
    return size
