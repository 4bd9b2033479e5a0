"""Trials on a virtual clock: an event heap in which a day of tuning on a thousand workers takes seconds.

The objective is called when its trial starts and says how long it takes: each report and the result carry a metric
(``cost``) of virtual seconds since the trial began. Its reports reach the optimizer at their virtual times, between those
of the other workers, so everything asynchronous happens as it would on a cluster, and the same way every time.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from raytune_hpo.core.collector import rarely_collected
from raytune_hpo.core.ledger import StudyStatus
from raytune_hpo.core.messages import Answer, AskTrials, Assignment, Command, EndTrial, Lease, ReportMetrics
from raytune_hpo.core.snapshot import Snapshot
from raytune_hpo.errors import ObjectiveError
from raytune_hpo.facts import Fact, Status, Verdict
from raytune_hpo.journal import open_storage
from raytune_hpo.protocols import last_step
from raytune_hpo.runtime.output import routed
from raytune_hpo.runtime.plan import RunPlan
from raytune_hpo.runtime.resuming import open_study
from raytune_hpo.runtime.threads import inherited
from raytune_hpo.runtime.trial_run import TrialRun, timed_out

COST = "cost_s"


class VirtualClock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        return self._now

    def set(self, at: float) -> None:
        self._now = at


@dataclass(slots=True)
class _Running:
    """A trial under way: its events still to come, in the order of their times, and the worker it occupies."""

    worker: str
    events: Iterator[Command]
    assignment: Assignment
    next: Command | None = None
    verdict: Verdict = Verdict.CONTINUE
    started_at: float = field(default=0.0)

    def advance(self) -> Command | None:
        self.next = next(self.events, None)
        return self.next

    def has_said_its_last(self, answer: Answer) -> bool:
        """Whether it reports although its last report was the last one wanted."""
        was, self.verdict = self.verdict, answer.verdict
        return was is Verdict.COMPLETE

    def stopped_at(self, at: float) -> EndTrial:
        """How it ends when the scheduler has stopped it."""
        return EndTrial(
            number=self.assignment.number,
            attempt=self.assignment.attempt,
            status=Status.PRUNED,
            at=at,
            started_at=self.started_at,
            duration_s=at - self.started_at,
        )


class SimulatedHandle:
    """A study whose workers and clock are simulated, in the thread that waits for it. See Handle.

    Args:
        cost: the metric in which the objective says how many virtual seconds have passed in its trial.
        on_suggestion: see ``simulate``.
    """

    def __init__(
        self, plan: RunPlan, *, cost: str = COST, on_suggestion: Callable[[int, float], object] | None = None
    ) -> None:
        self._plan, self._cost, self._on_suggestion = plan, cost, on_suggestion
        self._clock = VirtualClock()
        self._storage = open_storage(plan.settings.storage)
        self._optimizer = open_study(plan, self._storage, self._clock)
        self._clock.set(self._optimizer.ledger.elapsed_s(0.0))
        self._heap: list[tuple[float, int, _Running]] = []
        self._lock = threading.Lock()  # pictures are taken from other threads
        self._order = 0  # breaks ties in the order in which things were put on the heap
        self._idle = [f"virtual-{index}" for index in range(plan.settings.max_concurrent or 1, 0, -1)]

    @property
    def name(self) -> str:
        return self._plan.spec.name

    def status(self) -> StudyStatus:
        return self._optimizer.status()

    def snapshot(self) -> Snapshot:
        with self._lock:
            return self._optimizer.snapshot()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Simulate, for at most ``timeout_s`` seconds of real time."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with routed(), inherited(), rarely_collected():
            with self._lock:
                self._put_to_work()
            while self._optimizer.ledger.stopped is None and self._heap:
                with self._lock:
                    self._next_moment()
                if deadline is not None and time.monotonic() >= deadline:
                    break
        return self._optimizer.ledger.stopped is not None

    def facts(self, start: int = 0) -> Iterator[Fact]:
        return self._storage.read(self.name, start)

    def stop(self, reason: str) -> None:
        self._optimizer.stop(reason)

    def stop_trial(self, number: int) -> None:
        self._optimizer.stop_trial(number)

    def enqueue(self, config: Mapping[str, Any]) -> None:
        self._optimizer.enqueue(config)

    def close(self) -> None:
        self._optimizer.close()

    # -------------------------------------------------------------------------------------------- the event loop

    def _next_moment(self) -> None:
        """Everything that happens at the next time on the heap."""
        at = self._heap[0][0]
        self._clock.set(at)
        running = []
        while self._heap and self._heap[0][0] == at:
            running.append(heapq.heappop(self._heap)[2])
        events = [r.next for r in running if r.next is not None]
        stopped = []
        for run, event, reply in zip(running, events, self._optimizer.handle(events), strict=True):
            if isinstance(event, EndTrial):
                self._idle.append(run.worker)
            elif isinstance(reply, Answer) and (reply.verdict is Verdict.STOP or run.has_said_its_last(reply)):
                stopped.append(run)
            else:
                self._push(run)
        if stopped:
            self._optimizer.handle([run.stopped_at(at) for run in stopped])
            self._idle.extend(run.worker for run in stopped)
        self._put_to_work()

    def _put_to_work(self) -> None:
        """Give the idle workers something to do; when one gets nothing, the others would get nothing either."""
        while self._idle and self._optimizer.ledger.stopped is None:
            at = self._clock.now()
            begin = time.thread_time()
            (lease,) = self._optimizer.handle([AskTrials(worker=self._idle[-1], at=at)])
            assert isinstance(lease, Lease)
            if not lease.assignments:
                return
            worker = self._idle.pop()
            (assignment,) = lease.assignments
            if self._on_suggestion is not None:
                self._on_suggestion(assignment.number, time.thread_time() - begin)
            self._push(
                _Running(worker=worker, events=self._script(assignment, at), assignment=assignment, started_at=at)
            )

    def _push(self, run: _Running) -> None:
        event = run.advance()
        if event is not None:
            self._order += 1
            heapq.heappush(self._heap, (event.at, self._order, run))

    # -------------------------------------------------------------------------------------------- a trial's script

    def _script(self, assignment: Assignment, at: float) -> Iterator[Command]:
        """Run the objective now; its reports and its end, at the virtual times it gave, up to the time limit."""
        recorder = _Recorder(last_step(self._plan.scheduler))
        run = TrialRun(assignment, self._plan.objective, self._plan.rules, recorder)
        ended = run()
        events = self._timed(assignment, at, recorder.reports, ended)
        limit = self._plan.settings.trial_timeout_s
        if limit is not None and events[-1].at > at + limit:
            in_time = [event for event in events if event.at <= at + limit]
            events = [*in_time, timed_out(assignment.number, assignment.attempt, limit, at)]
        return iter(events)

    def _timed(
        self, assignment: Assignment, at: float, reports: list[tuple[int, Mapping[str, Any]]], ended: EndTrial
    ) -> list[Command]:
        events: list[Command] = []
        passed = 0.0
        try:
            for step, metrics in reports:
                passed = self._passed(metrics, passed)
                events.append(
                    ReportMetrics(
                        number=assignment.number,
                        attempt=assignment.attempt,
                        step=step,
                        metrics=metrics,
                        at=at + passed,
                    )
                )
            if ended.status is Status.COMPLETED:
                passed = self._passed(ended.metrics, passed)
        except ObjectiveError as error:
            ended = replace(ended, status=Status.FAILED, metrics={}, error=f"ObjectiveError: {error}")
        events.append(replace(ended, at=at + passed, started_at=at, duration_s=passed))
        return events

    def _passed(self, metrics: Mapping[str, Any], before: float) -> float:
        cost = metrics.get(self._cost)
        if not isinstance(cost, (int, float)) or not before <= cost < float("inf"):
            raise ObjectiveError(
                f"a simulated objective gives the seconds since its trial began as metric {self._cost!r}, growing from "
                f"report to report; got {cost!r} after {before:g}"
            )
        return float(cost)


class _Recorder:
    """Takes reports down instead of sending them."""

    def __init__(self, last_step: int | None) -> None:
        self.reports: list[tuple[int, Mapping[str, Any]]] = []
        self._last_step = last_step

    def report(self, step: int, metrics: Mapping[str, Any]) -> Verdict:
        self.reports.append((step, metrics))
        is_last = self._last_step is not None and step >= self._last_step
        return Verdict.COMPLETE if is_last else Verdict.CONTINUE  # an objective without end would be run for ever
