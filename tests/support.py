"""What many tests need: a small core to feed, and a study's facts in a plain list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import raytune_hpo as hpo
from raytune_hpo.core.machine import OptimizerCore
from raytune_hpo.core.messages import Command, Decision
from raytune_hpo.errors import JournalError, SequenceConflict
from raytune_hpo.facts import Enqueued, Fact, StudyCreated
from raytune_hpo.runtime.plan import RunPlan
from raytune_hpo.runtime.settings import Settings
from raytune_hpo.spec import StudySpec

SPACE = {"x": hpo.uniform(0, 1), "n": hpo.randint(0, 10)}


def make_plan(objective: Any = None, space: Any = None, **settings: Any) -> RunPlan:
    """A plan as the Tuner would make it, with small defaults."""
    defaults = {"sampler": "random", "seed": 1, "name": "study", "storage": "memory"}
    plan = RunPlan.of(SPACE if space is None else space, Settings(**{**defaults, **settings}), objective)
    return plan if objective is not None else replace(plan, objective=lambda config: config["x"])


class Feed:
    """A core with the facts that came out of it, as a journal would hold them."""

    _grace_s = 0.0

    def __init__(
        self, *, ahead: bool = False, points: Sequence[dict[str, Any]] = (), grace_s: float = 0.0, **settings: Any
    ) -> None:
        self.plan, self._grace_s = make_plan(**settings), grace_s
        self.core = self._new(self.plan.spec, ahead)
        self.ahead = ahead
        self.facts: list[Fact] = []
        self._take(StudyCreated(spec=self.plan.spec.to_json(), at=0.0))
        for point in points:
            self._take(Enqueued(config=point, at=0.0))
        self.facts.extend(self.core.open(0.0, self.plan.spec))

    def __call__(self, event: Command) -> Decision:
        decision = self.core.step(event)
        self.facts.extend(decision.facts)
        return decision

    def replayed(self, num_facts: int | None = None) -> OptimizerCore:
        """Another core, told the same facts."""
        core = self._new(self.plan.spec, self.ahead)
        for fact in self.facts[:num_facts]:
            core.apply(fact)
        return core

    def resumed(self, num_facts: int, at: float) -> Feed:
        """The study as another session takes it up from the first facts."""
        other = object.__new__(Feed)
        other.plan, other.ahead, other._grace_s = self.plan, self.ahead, self._grace_s
        other.facts = self.facts[:num_facts]
        other.core = self.replayed(num_facts)
        other.facts.extend(other.core.open(at, self.plan.spec))
        return other

    def _new(self, spec: StudySpec, ahead: bool) -> OptimizerCore:
        return OptimizerCore(spec, self.plan.sampler, self.plan.scheduler, ahead=ahead, grace_s=self._grace_s)

    def _take(self, fact: Fact) -> None:
        self.core.apply(fact)
        self.facts.append(fact)


class BreakingJournal:
    """A journal in a list that can be told to fail."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.broken = False

    def append(self, facts: Sequence[Fact], *, expect: int) -> None:
        if self.broken:
            raise JournalError("the disk is gone")
        if expect != len(self.facts):
            raise SequenceConflict(f"expected {expect} facts, the journal holds {len(self.facts)}")
        self.facts.extend(facts)

    def read(self, start: int = 0) -> Iterator[Fact]:
        return iter(self.facts[start:])

    def close(self) -> None:
        pass
