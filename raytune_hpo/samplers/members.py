"""The members of a training population: chains of segments, each a finished trial, and their comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raytune_hpo.numerics.pareto import crowding, fronts

MEMBER, GENERATION = "slot", "generation"  # keys in ``meta``
_MOST_FAILURES = 5  # in a row; after them the objective must be broken, and a study without another limit has to end


@dataclass(frozen=True, eq=False)
class Segment:
    """A stretch of training with settings that did not change: a completed trial.

    Attributes:
        number: of the trial.
        generation: how many segments its weights have been through before this one.
        losses: at its end, which is at ``step``.
        before: the segment, of this member or another, from which it continued; None if it began from scratch.
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
    """A member of a population.

    Attributes:
        newest: its last completed segment; None before there is one.
        num_failed: how many segments have failed since, or were stopped by a user.
        has_ended: whether no segment can follow: its training returned early, is at its last step, or fails every time.
        is_compared: whether others are compared with it; they are not if its training returned early.
    """

    newest: Segment | None = None
    num_failed: int = 0
    has_ended: bool = False
    is_compared: bool = True

    def fail(self) -> None:
        """Count a segment that has failed; after five in a row the member has ended."""
        self.num_failed += 1
        self.has_ended = self.num_failed >= _MOST_FAILURES

    @property
    def has_failed(self) -> bool:
        return self.num_failed > 0

    @property
    def generation(self) -> int:
        """The generation of its last segment; -1 before there is one."""
        return -1 if self.newest is None else self.newest.generation


def donors(members: Sequence[Member], member: Member, quantile: float) -> list[Segment]:
    """The segments that a member may copy; none if it is to continue from its own.

    Members are compared by their losses at the same generation: the newest one that at least half of them, and this
    member, have reached. If it is among the worst there, its donors are equally many of the best. A member that has
    failed counts as the worst. It copies the donor's segment of that generation, so that no member skips training that
    others have had, or the donor's last but one, if that is newer: no older checkpoints are kept.

    Args:
        quantile: which share of the members counts as the worst, and as the best; at least one member each.
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
    """Positions in the order of Pareto fronts; within a front by crowding distance, largest first, then by number."""
    Y = np.array([segment.losses for segment in segments], dtype=np.float64)
    front = fronts(Y)
    room = crowding(Y, front)
    return sorted(range(len(segments)), key=lambda i: (front[i], -room[i], segments[i].number))
