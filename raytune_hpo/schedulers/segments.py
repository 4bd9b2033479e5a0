"""Segments of populations: a trial ends at the step that its sampler set, and later trials continue from it.

Jaderberg, Dalibard, Osindero, Czarnecki, Donahue, Razavi, Vinyals, Green, Dunning, Simonyan, Fernando, Kavukcuoglu:
Population Based Training of Neural Networks. arXiv:1711.09846, 2017. A member of a population is here a chain of
segments, each a trial of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status, Verdict
from raytune_hpo.goals import Goal
from raytune_hpo.options import integer_option
from raytune_hpo.protocols import Continue
from raytune_hpo.registry import shown
from raytune_hpo.trial import Trial, member_of


class Segments:
    """Completes each trial at the step that its sampler set, and keeps its checkpoint while another may continue from it.

    The samplers ``pbt`` and ``pb2`` use it as their scheduler. The checkpoint of each member's newest segment is kept
    while there are steps left, and the one before it while some member has not come further: at most two per member. A
    trial that a user enqueued has no step of its own: if its number is below ``population``, it founds a member and ends
    after ``interval`` steps; otherwise it runs to ``max_steps``.

    Args:
        max_steps: the last step of a member: no trial continues from there.
        population: the number of members.
        interval: the number of steps of a member's first segment.

    Raises:
        SpecError: an option below 1, or ``interval`` above ``max_steps``.
    """

    version: ClassVar[int] = 1
    __repr__ = shown

    def __init__(self, *, max_steps: int, population: int = 10, interval: int = 1) -> None:
        self.max_steps = integer_option(
            "segments", "max_steps", max_steps, least=1, way_out="say how long training takes"
        )
        self.population = integer_option("segments", "population", population, least=1)
        self.interval = integer_option("segments", "interval", interval, least=1)
        if self.interval > self.max_steps:
            raise SpecError(f"segments needs interval <= max_steps, got interval={interval}, max_steps={max_steps}")
        self._newest: dict[int, Trial] = {}  # the newest segment of each member, by slot
        self._ended: set[int] = set()  # the slots of members that nothing can follow
        self._kept: set[int] = set()  # the segments that others may continue from

    def bind(self, goals: Sequence[Goal]) -> Segments:
        """A fresh Segments for one study."""
        return Segments(max_steps=self.max_steps, population=self.population, interval=self.interval)

    def judge(self, trial: Trial) -> Verdict:
        """COMPLETE at the end of the segment."""
        return Verdict.COMPLETE if self._has_reached_its_end(trial) else Verdict.CONTINUE

    def observe(self, trial: Trial) -> None:
        """Make a segment that has completed its member's newest one."""
        slot = member_of(trial, self.population)
        if slot is None or trial.status is not Status.COMPLETED:
            return
        self._newest[slot] = trial
        if not self._may_be_gone_on_from(trial):
            self._ended.add(slot)
        self._kept = self._wanted()

    def next_step(self, trial: Trial) -> int | None:
        """The end of the segment."""
        return None if self._has_reached_its_end(trial) else self._end(trial)

    def promote(self, *, final: bool) -> Continue | None:
        """None, since no trial pauses."""
        return None

    def keeps(self, trial: Trial) -> bool:
        """Whether a member may continue from this segment, which has completed or is about to."""
        if trial.status is Status.RUNNING:
            return member_of(trial, self.population) is not None and self._may_be_gone_on_from(trial)
        return trial.number in self._kept

    def _wanted(self) -> set[int]:
        """The segments that members may continue from: the newest of each, and earlier ones for members further behind."""
        training = [slot for slot in range(self.population) if slot not in self._ended]
        if not training:
            return set()
        furthest_behind = min(_generation(self._newest[s]) if s in self._newest else -1 for s in training)
        wanted = {trial.number for slot, trial in self._newest.items() if slot not in self._ended}
        before = ((trial.parent, _generation(trial) - 1) for trial in self._newest.values())
        return wanted | {number for number, g in before if number is not None and g >= furthest_behind}

    def _end(self, trial: Trial) -> int:
        if trial.until is not None:
            return trial.until
        return self.max_steps if member_of(trial, self.population) is None else self.interval

    def _has_reached_its_end(self, trial: Trial) -> bool:
        return trial.last_step is not None and trial.last_step >= self._end(trial)

    def _may_be_gone_on_from(self, trial: Trial) -> bool:
        return self._has_reached_its_end(trial) and trial.last_step is not None and trial.last_step < self.max_steps


def _generation(trial: Trial) -> int:
    return int(trial.meta.get("generation", 0))
