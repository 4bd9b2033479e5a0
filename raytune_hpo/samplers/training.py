"""Base of the samplers of training populations, pbt and pb2: chooses the next member and the segment that it continues.

A member of the population is a chain of segments, each a separate trial whose settings do not change. So the next segment
is a function of the finished and running ones, and a replay of the journal restores the population.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from raytune_hpo import registry
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.options import integer_option, number_option
from raytune_hpo.protocols import Scheduler, Signal, Suggestion, Traits
from raytune_hpo.samplers.base import BaseSampler
from raytune_hpo.samplers.members import GENERATION, MEMBER, Member, Segment, donors
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial, member_of

_Self = TypeVar("_Self", bound="TrainingPopulation")


class TrainingPopulation(BaseSampler, ABC):
    """A sampler whose trials are segments of the training of a population; a subclass says how settings are explored.

    A free worker takes the member that is furthest behind, so there may be more members than workers. Members begin with
    an even design, or with the points that a user enqueued before all of them have begun.
    """

    traits: ClassVar[Traits] = Traits(ahead=False, segments=True, whole_space=True, needs=("scipy",), version=2)
    population: int
    interval: int
    max_steps: int
    quantile: float
    _members: list[Member]
    _segments: dict[int, Segment]

    def _set(self, part: str, max_steps: int | None, population: int, interval: int, quantile: float) -> None:
        """Check and keep the options that all these samplers share."""
        if max_steps is None:
            raise SpecError(
                f'{part} needs max_steps, after how many steps training ends: {{"name": "{part}", "max_steps": 81}}'
            )
        out = "say how many steps training takes"
        self.max_steps = integer_option(part, "max_steps", max_steps, least=1, way_out=out)
        self.population = integer_option(part, "population", population, least=2)
        self.interval = integer_option(part, "interval", interval, least=1)
        if self.interval > self.max_steps:
            raise SpecError(f"{part} needs interval <= max_steps, got interval={interval}, max_steps={max_steps}")
        self.quantile = number_option(part, "quantile", quantile, above=0, most=0.5)

    @abstractmethod
    def explored(self, copied: Segment, running: Sequence[Trial], rng: np.random.Generator) -> Mapping[str, Any]:
        """The new settings of a member that has copied a segment."""

    def observe_segment(self, segment: Segment) -> None:
        """Learn from a segment that has completed."""

    # -------------------------------------------------------------------------------------------- the contract

    def bind(self: _Self, space: Space, goals: Sequence[Goal], seed: int) -> _Self:
        """A fresh sampler for one study."""
        bound = super().bind(space, goals, seed)
        bound._members = [Member() for _ in range(self.population)]
        bound._segments = {}
        return bound

    def brings(self) -> Scheduler:
        """The scheduler that ends segments and keeps their checkpoints."""
        options = {"max_steps": self.max_steps, "population": self.population, "interval": self.interval}
        scheduler: Scheduler = registry.make("scheduler", {"name": "segments", **options})
        return scheduler

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion | Signal:
        """The next segment of the member that is furthest behind; WAIT while all run, EXHAUSTED when all have ended."""
        running = {member_of(trial, self.population) for trial in pending} - {None}
        free = [
            (member.generation, slot)
            for slot, member in enumerate(self._members)
            if slot not in running and not member.has_ended
        ]
        if not free:
            return Signal.WAIT if running else Signal.EXHAUSTED
        _, slot = min(free)
        member = self._members[slot]
        found = [segment for segment in donors(self._members, member, self.quantile) if segment.step < self.max_steps]
        if found:
            return self._following(
                slot, (copied := found[rng.integers(len(found))]), self.explored(copied, pending, rng)
            )
        if member.newest is None:
            return self._founder(slot, rng)
        own = member.newest  # with other settings, if its own have just failed
        return self._following(slot, own, self.explored(own, pending, rng) if member.has_failed else own.config)

    def tell(self, trial: Trial) -> None:
        """Add a segment to the chain of its member."""
        slot = member_of(trial, self.population)
        if slot is None:
            return
        member = self._members[slot]
        if trial.status is not Status.COMPLETED or trial.losses is None:
            member.fail()
            return
        end = self.interval if trial.until is None else trial.until
        if trial.last_step is None or trial.last_step < end:
            member.has_ended, member.is_compared = True, False
            return
        before = None if trial.parent is None else self._segments[trial.parent]
        generation = 0 if before is None else before.generation + 1
        segment = Segment(trial.number, generation, trial.config, trial.losses, trial.last_step, before)
        self._segments[trial.number] = member.newest = segment
        member.num_failed, member.has_ended = 0, segment.step >= self.max_steps
        self.observe_segment(segment)

    # -------------------------------------------------------------------------------------------- what comes next

    def _founder(self, slot: int, rng: np.random.Generator) -> Suggestion:
        """A member's first segment: with a point of an even design or, after a failure, a random one."""
        cube = self._cube
        if not cube.axes:
            x = np.empty(0)
        elif self._members[slot].has_failed:
            x = cube.draw(1, rng)[0]
        else:
            x = cube.spread(slot, self._seed, rng)[0]
        meta = {MEMBER: slot, GENERATION: 0}
        return Suggestion(cube.config(x), meta, until=min(self.interval, self.max_steps))

    def _following(self, slot: int, base: Segment, config: Mapping[str, Any]) -> Suggestion:
        """A member's next segment, which continues from ``base`` to the next multiple of the interval."""
        until = min((base.step // self.interval + 1) * self.interval, self.max_steps)
        meta = {MEMBER: slot, GENERATION: base.generation + 1}
        return Suggestion(config, meta, parent=base.number, from_step=base.step, until=until)
