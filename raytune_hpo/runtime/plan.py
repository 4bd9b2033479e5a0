"""What a runtime is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from raytune_hpo.core.ledger import Ledger, StudyStatus
from raytune_hpo.core.snapshot import Snapshot
from raytune_hpo.facts import Fact
from raytune_hpo.metrics import MetricRules
from raytune_hpo.protocols import Sampler, Scheduler
from raytune_hpo.runtime.settings import Settings, default_name
from raytune_hpo.runtime.trial_run import Objective
from raytune_hpo.spec import StudySpec


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """A study to be run: what it is (the spec and its live parts), and how it shall run.

    Attributes:
        sampler, scheduler: with their options, not bound yet.
        settings: as the user gave them.
    """

    objective: Objective
    spec: StudySpec
    sampler: Sampler
    scheduler: Scheduler | None
    settings: Settings

    @classmethod
    def of(cls, space: Any, settings: Settings, objective: Objective | None = None) -> RunPlan:
        """The plan that a user's settings lead to.

        Args:
            objective: None for a study whose trials are run by someone else.

        Raises:
            SpecError, SpaceError: naming the rule, what came, and the way out.
        """
        sampler, scheduler = settings.make_parts()
        spec = settings.make_spec(space, sampler, scheduler, default_name=default_name(objective or cls))
        return cls(
            objective=objective or not_called, spec=spec, sampler=sampler, scheduler=scheduler, settings=settings
        )

    @property
    def rules(self) -> MetricRules:
        """What metrics must keep."""
        return rules_of(self.spec)


def rules_of(spec: StudySpec) -> MetricRules:
    """What metrics must keep; where a scheduler judges, or a mean is taken, every report carries the goals."""
    is_needed = spec.scheduler is not None or bool(spec.instances)
    return MetricRules(spec.goals, spec.valid_ranges, every_report=is_needed, constraints=spec.constraints)


def not_called(config: dict[str, Any]) -> None:
    """Stands for an objective where it is never called."""


class Handle(Protocol):
    """A study that runs somewhere."""

    @property
    def name(self) -> str: ...

    def status(self) -> StudyStatus:
        """Counts, the best so far, and whether and why it has stopped."""
        ...

    def snapshot(self) -> Snapshot:
        """The status, what runs, and how the best came about: one call, and small whatever the study's size.

        Raises:
            HpoError: the study cannot go on; what was recorded is safe.
        """
        ...

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the study has ended; False if it has not within the time.

        Raises:
            HpoError: the study cannot go on; what was recorded is safe.
        """
        ...

    def facts(self, start: int = 0) -> Iterator[Fact]:
        """The study's facts from position ``start`` up to now."""
        ...

    def ledger(self, spec: StudySpec | None) -> Ledger:
        """What the facts up to now add up to, under the live spec where there is one; it is read, and not changed."""
        ...

    def stop(self, reason: str) -> None:
        """End the study; running trials are left waiting for it to be taken up again."""
        ...

    def stop_trial(self, number: int) -> None:
        """End one trial as pruned, at its next report."""
        ...

    def enqueue(self, config: Mapping[str, Any]) -> None:
        """Have a configuration tried next."""
        ...

    def close(self) -> None:
        """Let go of everything that was taken for the run. The study stays in its storage."""
        ...
