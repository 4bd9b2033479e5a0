"""What a runtime is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from raytune_hpo.core.ledger import StudyStatus
from raytune_hpo.core.snapshot import Snapshot
from raytune_hpo.facts import Fact
from raytune_hpo.protocols import Sampler, Scheduler
from raytune_hpo.runtime.trial_run import Objective
from raytune_hpo.spec import StudySpec


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study to be run: what it is (the spec and its live parts) and how it shall run.

    Attributes:
        sampler, scheduler: with their options, not bound yet.
        seed_given: False where the spec's seed was drawn, so that a stored study's seed is taken over.
        points: configurations to try first, when the study is new.
        storage: as ``journal.open_storage`` takes it.
        resume: "auto" continues a stored study of the same name and spec, "never" refuses.
        max_concurrent: how many trials run at the same time; None: as many as the runtime has room for.
        resources: of one trial: {"cpu": 1, "gpu": 0.5, "memory": bytes, any custom name: amount}, or a list of such
            bundles, of which the objective's process gets the first.
        isolation: "actor" (processes are used again) or "process" (a fresh one for each trial).
    """

    objective: Objective
    spec: StudySpec
    sampler: Sampler
    scheduler: Scheduler | None = None
    seed_given: bool = True
    points: Sequence[Mapping[str, Any]] = ()
    storage: Any = None
    resume: str = "auto"
    max_concurrent: int | None = None
    resources: Mapping[str, float] | Sequence[Mapping[str, float]] = field(default_factory=lambda: {"cpu": 1})
    isolation: str = "actor"
    trial_timeout_s: float | None = None

    @property
    def is_judged(self) -> bool:
        """Whether reports must carry every goal, because a scheduler judges by them."""
        return self.scheduler is not None


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

    def stop(self, reason: str) -> None:
        """End the study; running trials are left waiting for it to be taken up again."""
        ...

    def enqueue(self, config: Mapping[str, Any]) -> None:
        """Have a configuration tried next."""
        ...

    def close(self) -> None:
        """Let go of everything that was taken for the run. The study stays in its storage."""
        ...
