"""A schedule of settings, run once: a population with a single member, whose segments are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from raytune_hpo import registry
from raytune_hpo.errors import SpaceError, SpecError
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.options import is_integral
from raytune_hpo.protocols import Scheduler, Signal, Suggestion, Traits
from raytune_hpo.registry import shown
from raytune_hpo.samplers.members import GENERATION, MEMBER
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial


class Schedule:
    """Trains once by a schedule of settings, segment by segment; each is a trial that continues from the one before.

    A segment that fails, or returns before its end, ends the schedule. It brings its scheduler, ``segments``;
    ``results.replay`` uses it.

    Args:
        segments: pairs of a configuration, in the form of ``Space.pack``, and the step at which its segment ends.

    Raises:
        SpecError: no segments, or steps that do not grow.
    """

    traits: ClassVar[Traits] = Traits(reads_pending=False, ahead=False, multi_goal=True, whole_space=True)
    __repr__ = shown

    def __init__(self, *, segments: Sequence[tuple[Mapping[str, Any], int]] = ()) -> None:
        self.segments = [(dict(config), step) for config, step in segments]
        steps = [0, *[step for _, step in self.segments]]
        if not segments or any(not is_integral(b) or b <= a for a, b in pairwise(steps)):
            raise SpecError(f"schedule needs segments that end at growing steps, got steps={steps[1:]}")
        self._space: Space | None = None
        self._num_told = 0
        self._done: list[Trial] = []

    def bind(self, space: Space, goals: Sequence[Goal], seed: int) -> Schedule:
        """A fresh sampler for one study.

        Raises:
            SpecError: a configuration is not in the space.
        """
        bound = Schedule(segments=self.segments)
        bound._space = space
        for config, _ in self.segments:
            try:
                space.check(space.unpack(config))
            except SpaceError as error:
                raise SpecError(f"schedule needs configurations of the space: {error}") from error
        return bound

    def brings(self) -> Scheduler:
        """The scheduler that ends segments and keeps their checkpoints."""
        first, last = self.segments[0][1], self.segments[-1][1]
        options = {"max_steps": last, "population": 1, "interval": first}
        scheduler: Scheduler = registry.make("scheduler", {"name": "segments", **options})
        return scheduler

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion | Signal:
        """The next segment, once the one before has completed."""
        assert self._space is not None, "bound to a study"
        if number > self._num_told:
            return Signal.WAIT
        before = self._done[-1] if self._done else None
        if len(self._done) == len(self.segments) or (before is not None and not _has_reached_its_end(before)):
            return Signal.EXHAUSTED
        config, step = self.segments[len(self._done)]
        return Suggestion(
            self._space.unpack(config),
            {MEMBER: 0, GENERATION: len(self._done)},
            parent=None if before is None else before.number,
            from_step=None if before is None else before.last_step,
            until=step,
        )

    def tell(self, trial: Trial) -> None:
        """Note a segment that has ended."""
        self._num_told += 1
        if trial.slot is not None:
            self._done.append(trial)


def _has_reached_its_end(trial: Trial) -> bool:
    is_through = trial.last_step is not None and trial.until is not None and trial.last_step >= trial.until
    return trial.status is Status.COMPLETED and is_through
