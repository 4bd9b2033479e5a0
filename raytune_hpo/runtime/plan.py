"""The contract of runtimes: the plan that a runtime is given, and the handle that it returns."""

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

_ENDING = {"Grid", "PBT", "PB2", "Schedule"}  # samplers that run out of suggestions


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """A study to be run: its spec with the live parts, its objective, and the user's settings.

    Attributes:
        sampler, scheduler: with their options, not bound to the study yet.
        settings: the user's settings.
    """

    objective: Objective
    spec: StudySpec
    sampler: Sampler
    scheduler: Scheduler | None
    settings: Settings

    @classmethod
    def of(cls, space: Any, settings: Settings, objective: Objective | None = None) -> RunPlan:
        """The plan for a space and a user's settings.

        Args:
            objective: None for a study whose trials are run elsewhere.

        Raises:
            SpecError, SpaceError: an argument breaks a rule; the message has the rule, the value, and the way out.
        """
        sampler, scheduler = settings.make_parts()
        spec = settings.make_spec(space, sampler, scheduler, default_name=default_name(objective or cls))
        return cls(
            objective=objective or not_called, spec=spec, sampler=sampler, scheduler=scheduler, settings=settings
        )

    @property
    def ends_by_itself(self) -> bool:
        """Whether the sampler runs out of suggestions, so that the study needs no limit."""
        return not _ENDING.isdisjoint(kind.__name__ for kind in type(self.sampler).__mro__)

    @property
    def rules(self) -> MetricRules:
        """The checks of the study's metrics."""
        return rules_of(self.spec)


def rules_of(spec: StudySpec) -> MetricRules:
    """The checks of a study's metrics; with a scheduler or instances, every report must have the goals' metrics."""
    is_needed = spec.scheduler is not None or bool(spec.instances)
    return MetricRules(spec.goals, spec.valid_ranges, every_report=is_needed, constraints=spec.constraints)


def not_called(config: dict[str, Any]) -> None:
    """A placeholder for an objective that is never called."""


class Handle(Protocol):
    """A running study, whatever its runtime."""

    @property
    def name(self) -> str: ...

    def status(self) -> StudyStatus:
        """Counts, the best so far, and whether and why it has stopped."""
        ...

    def snapshot(self) -> Snapshot:
        """The status, the running trials, and the history of the best value; small, whatever the study's size.

        Raises:
            HpoError: the study cannot continue; what was recorded is safe.
        """
        ...

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the study has ended; False if it has not by the timeout.

        Raises:
            HpoError: the study cannot continue; what was recorded is safe.
        """
        ...

    def facts(self, start: int = 0) -> Iterator[Fact]:
        """The study's facts from position ``start`` up to now."""
        ...

    def ledger(self, spec: StudySpec | None) -> Ledger:
        """The fold of all facts up to now, under the live spec if there is one; read-only."""
        ...

    def stop(self, reason: str) -> None:
        """End the study; its running trials wait until it is taken up again."""
        ...

    def stop_trial(self, number: int) -> None:
        """End one trial as pruned, at its next report."""
        ...

    def enqueue(self, config: Mapping[str, Any]) -> None:
        """Enqueue a configuration, to be tried next."""
        ...

    def close(self) -> None:
        """Release all resources of the run. The study stays in its storage."""
        ...
