"""The members of a population that trains on: chains of segments, each a finished trial, and how they compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raytune_hpo.numerics.pareto import crowding, fronts

MEMBER, GENERATION = "slot", "generation"  # keys in ``meta``
_MOST_FAILURES = 5  # in a row: then an objective is broken, and a study without another limit has to end


@dataclass(frozen=True, eq=False)
class Segment:
    """A stretch of training with settings that did not change: a completed trial.

    Attributes:
        number: of the trial.
        generation: how many segments its weights have been through before this one.
        losses: at its end; ``step``: where that is.
        before: the segment that it went on from, of this member or another; None: it began at the start.
    """

    number: int
    generation: int
    config: Mapping[str, Any]
    losses: tuple[float, ...]
    step: int
    before: Segment | None

    def at(self, generation: int) -> Segment:
        """The segment of an earlier generation that led to this one."""
        segment = self
        while segment.generation > generation:
            assert segment.before is not None, "generations count from 0"
            segment = segment.before
        return segment


@dataclass(eq=False)
class Member:
    """One of a population.

    Attributes:
        newest: its last segment; None before there is one.
        num_failed: how many segments have failed since, or were stopped by a user.
        has_ended: whether nothing can follow: its training returned by itself, is at its last step, or fails every time.
        is_compared: whether others are compared with it; not with one whose training returned by itself.
    """

    newest: Segment | None = None
    num_failed: int = 0
    has_ended: bool = False
    is_compared: bool = True

    def fail(self) -> None:
        """Its segment has come to nothing."""
        self.num_failed += 1
        self.has_ended = self.num_failed >= _MOST_FAILURES

    @property
    def has_failed(self) -> bool:
        return self.num_failed > 0

    @property
    def generation(self) -> int:
        """Of its last segment; -1 before there is one."""
        return -1 if self.newest is None else self.newest.generation


def donors(members: Sequence[Member], member: Member, quantile: float) -> list[Segment]:
    """The segments that a member may copy; none where it is to go on from its own.

    Members are compared by their losses at one and the same generation: the newest that at least half of them have reached,
    and this one too. If it is among the worst there, its donors are as many of the best. One that has failed counts as the
    worst. What is copied is the donor's segment of that generation, so that nobody skips training that others have had, or
    its last but one, if that is newer: no older checkpoints are kept.

    Args:
        quantile: which share of the members are the worst, and the best; at least one is.
    """
    compared = [other for other in members if other.is_compared]
    generation = sorted((other.generation for other in compared), reverse=True)[(len(compared) - 1) // 2]
    if not member.has_failed:
        generation = min(generation, member.generation)
    if generation < 0:
        return []
    rivals = [other for other in compared if other.generation >= generation]
    ranked = [rivals[i] for i in _best_first([other.newest.at(generation) for other in rivals if other.newest])]
    share = max(1, int(quantile * len(ranked)))
    is_worst = member.has_failed or (member in ranked[-share:] and len(ranked) > 1)
    best = [(other.newest, other.generation) for other in ranked[:share] if is_worst]
    return [newest.at(max(generation, last - 1)) for newest, last in best if newest is not None]


def _best_first(segments: Sequence[Segment]) -> list[int]:
    """Positions in the order of fronts; within one, those with more room around them first, then lower numbers."""
    Y = np.array([segment.losses for segment in segments], dtype=np.float64)
    front = fronts(Y)
    room = crowding(Y, front)
    return sorted(range(len(segments)), key=lambda i: (front[i], -room[i], segments[i].number))
