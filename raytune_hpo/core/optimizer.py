"""The optimizer: the core with a journal and a clock. It decides, appends in one transaction, and only then replies."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from raytune_hpo.checkpoints.record import Checkpoint
from raytune_hpo.core.ledger import Ledger, StudyStatus, damaged_at
from raytune_hpo.core.machine import OptimizerCore
from raytune_hpo.core.messages import Command, EnqueueConfig, Reply, StopStudy, StopTrial
from raytune_hpo.core.snapshot import Snapshot, snapshot_of
from raytune_hpo.core.versions import installed_versions
from raytune_hpo.display.text import counted
from raytune_hpo.errors import HpoError, InvalidTransition, SpecError
from raytune_hpo.facts import Enqueued, Fact, Recalled, StudyCreated
from raytune_hpo.options import is_integral
from raytune_hpo.protocols import Clock, Journal, Sampler, Scheduler
from raytune_hpo.spec import StudySpec


class WallClock:
    """The time of day, in epoch seconds; read once, then advanced by a monotonic clock, so that clock changes do no harm."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        return self._offset + time.monotonic()


class Optimizer:
    """A running study: the core with its journal and a clock. Not thread-safe.

    Args:
        spec: the live spec, whose space has its functions.
        ahead, keep_checkpoints, grace_s: see OptimizerCore.
        delete: called with the checkpoints that are no longer kept, once that is in the journal.
    """

    def __init__(
        self,
        spec: StudySpec,
        sampler: Sampler,
        scheduler: Scheduler | None,
        journal: Journal,
        clock: Clock,
        *,
        ahead: bool = False,
        keep_checkpoints: int = 1,
        delete: Callable[[Checkpoint], object] | None = None,
        grace_s: float = 0.0,
    ) -> None:
        self._spec, self._sampler, self._scheduler, self._ahead = spec, sampler, scheduler, ahead
        self._keep_checkpoints, self._delete, self._grace_s = keep_checkpoints, delete, grace_s
        self._journal, self.clock = journal, clock
        self._core: OptimizerCore | None = None
        self._process = os.getpid()

    @property
    def core(self) -> OptimizerCore:
        """The state machine. It is dropped when an append fails, and then replayed before it is used again."""
        if self._core is None:
            self.replay()
        assert self._core is not None
        return self._core

    def replay(self) -> None:
        """Rebuild the state from the journal.

        Raises:
            JournalError: the journal cannot be read, or is damaged.
        """
        core = OptimizerCore(
            self._spec,
            self._sampler,
            self._scheduler,
            ahead=self._ahead,
            keep_checkpoints=self._keep_checkpoints,
            grace_s=self._grace_s,
        )
        for position, fact in enumerate(self._journal.read()):
            try:
                core.apply(fact)
            except InvalidTransition as error:
                raise damaged_at(position, fact, error) from error
        self._core = core

    @property
    def ledger(self) -> Ledger:
        return self.core.ledger

    def now(self) -> float:
        return self.clock.now()

    def create(self, points: Iterable[Mapping[str, Any]] = (), recalled: Iterable[Recalled] = ()) -> None:
        """Begin a study in an empty journal, with results of earlier ones, and the user's points to try first."""
        at, spec = self.now(), self._spec
        self._journal.append(
            [
                StudyCreated(spec=spec.to_json(), at=at),
                *recalled,
                *(Enqueued(config=spec.packed_point(point), at=at) for point in points),
            ],
            expect=0,
        )

    def open(self, *, suspect: bool = False, blame: bool = False, retry_failed: bool = False) -> None:
        """Replay, and begin a session: requeue what an earlier one left running; the spec's limits hold from now on.

        Args:
            suspect, blame, retry_failed: see ``OptimizerCore.open``.
        """
        self.replay()
        facts = self.core.open(
            self.now(),
            self._spec,
            suspect=suspect,
            blame=blame,
            retry_failed=retry_failed,
            versions=installed_versions(),
        )
        self._append(facts)

    def handle(self, commands: Sequence[Command]) -> list[Reply]:
        """Decide on all commands, in order and in one transaction, and return the replies once it is committed.

        Raises:
            JournalError: the facts could not be written; the commands have had no effect, and may be sent again.
        """
        if os.getpid() != self._process:  # in a fork, all of this is a copy, which must not write
            raise HpoError(
                f"study {self._spec.name!r} was opened in process {self._process}, this is process {os.getpid()}, a fork "
                f"of it; ask and tell in the process that opened it, or close it there and open it here"
            )
        core = self.core
        try:
            decisions = [core.step(command) for command in commands]
        except BaseException:
            self._core = None  # it may be half applied: rebuild it from the journal
            raise
        self._append([fact for decision in decisions for fact in decision.facts])
        return [decision.reply for decision in decisions]

    def enqueue(self, config: Mapping[str, Any]) -> None:
        """Enqueue a configuration, to be tried before the next suggestion; constants and derived values may be left out.

        Raises:
            SpaceError: it is not in the space.
        """
        self.handle([EnqueueConfig(config=self.ledger.spec.packed_point(config), at=self.now())])

    def stop_trial(self, number: int) -> None:
        """Stop one trial: it is pruned at its next report, or at once if it is not running.

        Raises:
            SpecError: the study has no such trial.
        """
        num_trials = len(self.ledger.trials)
        if not is_integral(number) or not 0 <= number < num_trials:
            trials = counted(num_trials, "trial")
            raise SpecError(f"study {self._spec.name!r} has {trials}, numbered from 0; got {number!r}")
        self.handle([StopTrial(number=int(number), at=self.now())])

    def stop(self, reason: str, *, at_once: bool = False) -> bool:
        """Stop the study; returns whether it has stopped. If not, running trials are saving: call this again, soon."""
        self.handle([StopStudy(reason=reason, at=self.now(), at_once=at_once)])
        return self.ledger.stopped is not None

    def status(self) -> StudyStatus:
        return self.ledger.status(self.now())

    def snapshot(self) -> Snapshot:
        return snapshot_of(self.ledger, self.now())

    def close(self) -> None:
        self._journal.close()

    def _append(self, facts: Sequence[Fact]) -> None:
        if not facts:
            return
        try:
            self._journal.append(facts, expect=self.ledger.seen - len(facts))
        except BaseException:
            self._core = None
            raise
        if self._delete is not None and self.core.released:
            for checkpoint in self.core.released:
                self._delete(checkpoint)
            self.core.released.clear()
