"""A worker's loop: ask for a lease, run its trials, tell how they ended, ask again. Knows no Ray."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from raytune_hpo.checkpoints.store import CheckpointStore
from raytune_hpo.core.messages import Answer, Assignment, EndTrial, Lease, Parameter
from raytune_hpo.facts import Verdict
from raytune_hpo.metrics import MetricRules
from raytune_hpo.runtime.flushing import Flushing
from raytune_hpo.runtime.trial_run import Objective, TrialRun
from raytune_hpo.runtime.wire import ReportRow

LEASE_S = 0.25  # a lease holds about this much work: short enough to lose, long enough to hide a round trip
LONG_S = 0.05  # trials that take longer are handed out one at a time: a round trip is negligible for them
MAX_LEASE = 512


class Channel(Protocol):
    """A worker's connection to the optimizer. The transport may repeat every call."""

    def exchange(
        self, worker: str, ended: Sequence[EndTrial], returned: Sequence[int], limit: int, holding: Sequence[int]
    ) -> Lease:
        """Tell how trials ended, give back others, and ask for up to ``limit`` new ones.

        A worker that is ``holding`` no trials waits for some, but not for ever: an empty lease that is not over means that
        it should ask again.
        """
        ...

    def report(self, number: int, attempt: int, reports: Sequence[ReportRow]) -> Answer:
        """Send reports in order; the answer is to the last one, or the first that is final."""
        ...

    def keep(self, number: int, attempt: int, step: int, checkpoint: Mapping[str, Any]) -> Answer:
        """Tell that a running trial has saved a checkpoint of a step that it has reported."""
        ...

    def draw(self, number: int, attempt: int, name: str, domain: Mapping[str, Any]) -> Parameter:
        """Ask for the value of a parameter of a running trial."""
        ...

    def offer(self, number: int, attempt: int, metrics: Mapping[str, Any]) -> bool:
        """Whether a trial that is about to end with these metrics shall save a checkpoint."""
        ...

    def hold(self, number: int) -> bool:
        """Tell that a trial waits for room on a full disk, so that no more are handed out; whether the study continues."""
        ...


class Worker:
    """Runs trials of one study until there are no more.

    Args:
        store, checkpoint_every_s: see ``Saving``.

    Attributes:
        run: the current trial, for the thread that enforces time limits; None between trials.
    """

    def __init__(
        self,
        name: str,
        objective: Objective,
        rules: MetricRules,
        channel: Channel,
        *,
        max_lease: int = MAX_LEASE,
        store: CheckpointStore | None = None,
        checkpoint_every_s: float | None = None,
    ) -> None:
        self.name = name
        self.run: TrialRun | None = None
        self._objective, self._rules, self._channel = objective, rules, channel
        self._max_lease = max_lease
        self._store, self._checkpoint_every_s = store, checkpoint_every_s
        self._limit = 1
        self._flushing = Flushing()

    def loop(self) -> None:
        """Work until the study is over.

        Several trials in a lease mean that they are short, and that the sampler needs no results. Then the worker asks for
        the next lease while it runs this one, and tells the results of the previous one in the same call.
        """
        lease, ended, returned = Lease(), list[EndTrial](), list[int]()
        with ThreadPoolExecutor(1, thread_name_prefix="raytune_hpo-ahead") as aside:
            while not lease.is_over:
                if len(lease.assignments) > 1:
                    held = [assignment.number for assignment in lease.assignments]
                    coming = aside.submit(self._exchange, ended, returned, held)
                    ended, returned = self._work(lease.assignments)
                    lease = coming.result()
                else:
                    if lease.assignments:
                        done, back = self._work(lease.assignments)
                        ended, returned = ended + done, returned + back
                    lease = self._exchange(ended, returned, [])
                    ended, returned = [], []

    def _exchange(self, ended: list[EndTrial], returned: list[int], holding: list[int]) -> Lease:
        return self._channel.exchange(self.name, ended, returned, self._limit, holding)

    def _work(self, assignments: Sequence[Assignment]) -> tuple[list[EndTrial], list[int]]:
        """Run the lease's trials; those not begun after twice the intended time of a lease are returned."""
        begin = time.perf_counter()
        ended: list[EndTrial] = []
        for index, assignment in enumerate(assignments):
            elapsed = time.perf_counter() - begin
            if elapsed > 2 * LEASE_S:
                self._limit = 1
                return ended, [a.number for a in assignments[index:]]
            ended.append(self._run(assignment))
        # As many trials next time as fill a lease at this speed, but no more than twice as many as before: a few quick
        # trials may be chance, and a lease that is too long has to be returned in part.
        trial_s = (time.perf_counter() - begin) / len(assignments)
        fitting = int(LEASE_S / max(trial_s, 1e-9)) if trial_s <= LONG_S else 1
        self._limit = max(1, min(fitting, 2 * self._limit, self._max_lease))
        return ended, []

    def _run(self, assignment: Assignment) -> EndTrial:
        reporter = BufferedReporter(self._channel, assignment, self._flushing)
        run = TrialRun(assignment, self._objective, self._rules, reporter, self._store, self._checkpoint_every_s)
        self.run = run
        try:
            return run()
        finally:
            self.run = None
            reporter.close()


class BufferedReporter:
    """Sends a trial's reports, and waits for an answer only at steps at which a verdict is possible.

    The others are collected for at most FLUSH_S and sent from another thread.

    Attributes:
        is_closed: whether the trial has ended.
        is_last_call: see Reporter; set by the first answer that says so, and until a checkpoint is saved.
    """

    def __init__(self, channel: Channel, assignment: Assignment, flushing: Flushing) -> None:
        self._channel, self._assignment, self._flushing = channel, assignment, flushing
        self.is_closed = False
        self._next_step = assignment.next_step
        self._waiting: list[ReportRow] = []
        self._verdict = Verdict.CONTINUE
        self._has_heard_last_call = False
        self.is_last_call = False
        self._error: BaseException | None = None
        self._lock = threading.RLock()  # held while sending, so that reports stay in order
        self._is_due = False  # whether the flushing thread will send the buffer

    @property
    def next_step(self) -> int | None:
        return self._next_step

    def report(self, step: int, metrics: Mapping[str, Any], saves: bool) -> Verdict:
        with self._lock:
            if self._error is not None:
                raise self._error
            self._waiting.append((step, metrics, saves))
            if self._next_step is not None and step >= self._next_step:
                self._flush()
            elif not self._is_due:
                self._is_due = True
                self._flushing.add(self)
            return self._verdict

    def keep(self, step: int, checkpoint: Mapping[str, Any]) -> None:
        with self._lock:
            self._flush()
            self._hear(self._channel.keep(self._assignment.number, self._assignment.attempt, step, checkpoint))
            self.is_last_call = False

    def draw(self, name: str, domain: Mapping[str, Any]) -> Parameter:
        with self._lock:
            self._flush()
            return self._channel.draw(self._assignment.number, self._assignment.attempt, name, domain)

    def offer(self, metrics: Mapping[str, Any]) -> bool:
        with self._lock:
            self._flush()
            return self._channel.offer(self._assignment.number, self._assignment.attempt, metrics)

    def hold(self) -> bool:
        return self._channel.hold(self._assignment.number)

    def close(self) -> None:
        """Send the rest of the buffer; the trial has ended."""
        with self._lock:
            self.is_closed = True
            self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        sending, self._waiting = self._waiting, []
        self._hear(self._channel.report(self._assignment.number, self._assignment.attempt, sending))

    def _hear(self, answer: Answer) -> None:
        self._next_step = answer.next_step
        if answer.is_last_call and not self._has_heard_last_call:
            self._has_heard_last_call = self.is_last_call = True
        if answer.verdict.is_final:
            self._verdict = answer.verdict

    def flush_late(self) -> None:
        """Send the buffer, if it is due."""
        with self._lock:
            self._is_due = False
            try:
                self._flush()
            except BaseException as error:  # raised at the next report, in the trial's own thread
                self._error = error
