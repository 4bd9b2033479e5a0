"""The simulated runtime: a discrete-event simulation in which a day of tuning on a thousand workers takes seconds.

The objective is called when its trial starts, and says how long it takes: each report and the result have a metric
(``cost``) of virtual seconds since the trial began. Its reports reach the optimizer at their virtual times, between those
of the other workers, so everything asynchronous happens as it would on a cluster, and the same way every time. An objective
that saves checkpoints is run in stretches, each when its time has come.
"""

from __future__ import annotations

import heapq
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from raytune_hpo.analysis.failures import reason_of_failure
from raytune_hpo.checkpoints.record import Checkpoint
from raytune_hpo.checkpoints.store import BriefStore
from raytune_hpo.checkpoints.temporary import temporary_place
from raytune_hpo.core.collector import rarely_collected
from raytune_hpo.core.ledger import Ledger, StudyStatus
from raytune_hpo.core.messages import (
    Answer,
    AskTrials,
    Assignment,
    Command,
    EndTrial,
    KeepCheckpoint,
    Lease,
    OfferCheckpoint,
    Parameter,
    Reply,
    ReportMetrics,
)
from raytune_hpo.core.snapshot import Snapshot
from raytune_hpo.errors import HpoError, ObjectiveError, SpecError
from raytune_hpo.facts import Fact, Status, Verdict
from raytune_hpo.journal import open_storage
from raytune_hpo.options import is_real
from raytune_hpo.runtime.desk import Desk
from raytune_hpo.runtime.output import routed
from raytune_hpo.runtime.plan import RunPlan
from raytune_hpo.runtime.resuming import open_study
from raytune_hpo.runtime.threads import inherited
from raytune_hpo.runtime.trial_run import TrialRun, timed_out
from raytune_hpo.runtime.wire import ReportRow
from raytune_hpo.spec import Limits, StudySpec

_MOST_TIMELESS = 1_000  # trials in a row that take no virtual time, in a study that only time ends
COST = "cost_s"


class VirtualClock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        return self._now

    def set(self, at: float) -> None:
        self._now = at


def _checked_costs(costs: Any) -> tuple[float, float]:
    """The seconds for saving and for loading a checkpoint.

    Raises:
        SpecError: they are anything else.
    """
    is_pair = isinstance(costs, Sequence) and len(costs) == 2 and all(is_real(value) for value in costs)
    if not is_pair or not all(0 <= value < math.inf for value in costs):
        raise SpecError(
            f"checkpoint_cost_s is a pair: the virtual seconds to save a checkpoint, and to resume from one, each at least "
            f"0, as in (2.0, 0.5); got {costs!r}"
        )
    save_s, load_s = costs
    return float(save_s), float(load_s)


@dataclass(slots=True)
class _Running:
    """A running trial: its future events, in the order of their times, and the worker that it occupies.

    The objective runs stretch by stretch: up to the next step at which there may be a verdict, if it can resume there, and
    otherwise to its end. The last event of a stretch that reached the end is an EndTrial.

    Attributes:
        begun: the assignment that its worker got; ``assignment``: that of the stretch; ``checkpoint``: saved at its end.
        started_at: virtual time; ``base_s``: the seconds in its reports that passed before that, less those that it takes
            to load its checkpoint; ``passed_s``: those up to the end of the newest stretch.
    """

    worker: str
    begun: Assignment
    assignment: Assignment
    started_at: float
    base_s: float
    passed_s: float
    events: Iterator[Command] = field(default_factory=lambda: iter(()))
    checkpoint: Mapping[str, Any] | None = None
    next: Command | None = None
    verdict: Verdict = Verdict.CONTINUE

    def advance(self) -> Command | None:
        self.next = next(self.events, None)
        return self.next

    def goes_on(self, answer: Answer) -> bool:
        """Whether it continues after the answer to its newest report; not if it reports after its last step."""
        was, self.verdict = self.verdict, answer.verdict
        if was is Verdict.COMPLETE or answer.verdict in (Verdict.STOP, Verdict.PAUSE):
            return False
        return answer.verdict is not Verdict.COMPLETE or (self.checkpoint is None and answer.next_step is None)

    def left_at(self, at: float) -> EndTrial:
        """The trial's end, if it does not continue."""
        return EndTrial(
            number=self.assignment.number,
            attempt=self.assignment.attempt,
            status=Status.PAUSED if self.verdict is Verdict.PAUSE else Status.PRUNED,
            at=at,
            checkpoint=None if self.verdict is Verdict.STOP else self.checkpoint,
            started_at=self.started_at,
            duration_s=at - self.started_at,
        )


class SimulatedHandle:
    """The handle of a study whose workers and clock are simulated, in the thread that calls ``wait``. See ``Handle``.

    Args:
        cost: the name of the metric that has the virtual seconds since the trial began.
        on_suggestion, checkpoint_cost_s: see ``simulate``.

    Raises:
        SpecError: one of these is not valid.
    """

    def __init__(
        self,
        plan: RunPlan,
        *,
        cost: str = COST,
        on_suggestion: Callable[[int, float], object] | None = None,
        checkpoint_cost_s: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        if not isinstance(cost, str) or not cost:
            raise SpecError(f"cost is the name of the metric with the virtual seconds of a trial, got {cost!r}")
        if on_suggestion is not None and not callable(on_suggestion):
            raise SpecError(f"on_suggestion is called with a trial's number and seconds, got {on_suggestion!r}")
        self._plan, self._cost, self._on_suggestion = plan, cost, on_suggestion
        self._save_s, self._load_s = _checked_costs(checkpoint_cost_s)
        self._clock = VirtualClock()
        self._storage = open_storage(plan.settings.storage)
        self._store = BriefStore(temporary_place(in_memory=True))
        self._optimizer = open_study(plan, self._storage, self._clock, delete=self._delete)
        self._clock.set(self._optimizer.ledger.elapsed_s(0.0))
        self._heap: list[tuple[float, int, _Running]] = []
        self._lock = threading.Lock()  # snapshots are taken from other threads
        self._order = 0  # breaks ties of time by the order of insertion
        self._timeless = 0  # the newest trials that took no virtual time
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

    def ledger(self, spec: StudySpec | None) -> Ledger:
        if self._optimizer.ledger.stopped is None:  # the study goes on, and whoever gets this may write into its trials
            return Ledger.fold(self.facts(), spec)
        return self._optimizer.ledger

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
        """Process all events of the next time on the heap."""
        at = self._heap[0][0]
        self._clock.set(at)
        running = []
        while self._heap and self._heap[0][0] == at:
            running.append(heapq.heappop(self._heap)[2])
        events = [self._as_wanted(run.next) for run in running if run.next is not None]
        left = []
        for run, event, reply in zip(running, events, self._optimizer.handle(events), strict=True):
            if isinstance(event, EndTrial):
                self._free(run, at)
            elif isinstance(reply, Answer) and not run.goes_on(reply):
                left.append(run)
            else:
                self._push(run, reply)
        self._leave(left, at)
        self._put_to_work()

    def _leave(self, left: list[_Running], at: float) -> None:
        """End trials that do not continue; those that save a checkpoint occupy their workers until it is saved."""
        at_once = []
        for run in left:
            if run.checkpoint is not None and run.verdict is Verdict.STOP:
                self._store.delete(run.checkpoint)
            saves_s = self._save_s if run.left_at(at).checkpoint is not None else 0.0
            if saves_s > 0.0:
                run.events = iter([run.left_at(at + saves_s)])
                self._push(run)
            else:
                at_once.append(self._as_wanted(run.left_at(at)))
                self._free(run, at)
        if at_once:
            self._optimizer.handle(at_once)

    def _free(self, run: _Running, at: float) -> None:
        """A worker's trial has left it.

        Raises:
            HpoError: virtual time stands still, in a study that only time ends.
        """
        self._idle.append(run.worker)
        self._timeless = self._timeless + 1 if at == run.started_at else 0
        if self._timeless < _MOST_TIMELESS:
            return
        limits, failure = self._plan.spec.limits, self._optimizer.ledger.first_failure
        if limits == Limits(time_budget_s=limits.time_budget_s) and not self._plan.ends_by_itself:
            why = "" if failure is None else f"; trial {failure.number} failed with: {reason_of_failure(failure)}"
            raise HpoError(
                f"only time_budget_s ends this study, and its virtual time stands still: {self._timeless:,} trials in a row "
                f"took no time; return their seconds as metric {self._cost!r}, or give num_trials{why}"
            )

    def _as_wanted(self, event: Command) -> Command:
        """A trial's end, without its last checkpoint if that is not wanted."""
        if not isinstance(event, EndTrial) or event.checkpoint is None or event.status is Status.PAUSED:
            return event
        metrics = event.metrics or self._optimizer.ledger.trials[event.number].metrics
        offer = OfferCheckpoint(number=event.number, attempt=event.attempt, metrics=metrics, at=event.at)
        if Desk.is_wanted(self._optimizer.handle([offer])):
            return event
        self._store.delete(event.checkpoint)
        return replace(event, checkpoint=None)

    def _delete(self, checkpoint: Checkpoint) -> None:
        self._store.delete(checkpoint.record)

    def _put_to_work(self) -> None:
        """Hand trials to idle workers; once one gets none, the others would get none either."""
        while self._idle and self._optimizer.ledger.stopped is None:
            at = self._clock.now()
            begin = 0.0 if self._on_suggestion is None else time.thread_time()
            (lease,) = self._optimizer.handle([AskTrials(worker=self._idle[-1], at=at)])
            assert isinstance(lease, Lease)
            if not lease.assignments:
                return
            worker = self._idle.pop()
            (assignment,) = lease.assignments
            if self._on_suggestion is not None:
                self._on_suggestion(assignment.number, time.thread_time() - begin)
            load_s = self._load_s if assignment.checkpoint is not None else 0.0
            passed_s = self._passed_before(assignment)
            run = _Running(
                worker=worker,
                begun=assignment,
                assignment=assignment,
                started_at=at,
                base_s=passed_s - load_s,
                passed_s=passed_s,
            )
            self._run_stretch(run)
            self._push(run)

    def _push(self, run: _Running, reply: Reply | None = None) -> None:
        """Put a trial's next event on the heap; if its stretch is over, run the next one first."""
        last = run.next
        event = run.advance()
        if event is None and isinstance(last, ReportMetrics) and isinstance(reply, Answer):
            saved, number = run.checkpoint, run.assignment.number
            run.assignment = replace(
                run.assignment,
                from_step=last.step,
                checkpoint=None if saved is None else Checkpoint(number, last.step, saved),
                next_step=reply.next_step,
            )
            self._run_stretch(run)
            if saved is not None:
                self._store.delete(saved)  # it was only needed to resume the simulated trial, which never paused
            event = run.advance()
        if event is not None:
            self._order += 1
            heapq.heappush(self._heap, (event.at, self._order, run))

    # -------------------------------------------------------------------------------------------- a trial's script

    def _run_stretch(self, run: _Running) -> None:
        """Run the objective for one stretch; its events get the virtual times that it reports, up to the time limit."""
        recorder, ended = self._run(run.assignment)
        if ended.status is Status.WAITING and run.assignment is not run.begun:
            # The checkpoint of the simulated trial, which never paused, is gone: run it again, up to where it was.
            from_step, checkpoint = run.begun.from_step, run.begun.checkpoint
            again = replace(run.assignment, from_step=from_step, checkpoint=checkpoint)
            recorder, ended = self._run(again, said=run.assignment.from_step)
        run.checkpoint = ended.checkpoint if recorder.was_left else None
        events = self._timed(run, recorder, ended)
        limit = self._plan.settings.trial_timeout_s
        if limit is not None and events[-1].at > run.started_at + limit:
            in_time = [event for event in events if event.at <= run.started_at + limit]
            events = [*in_time, timed_out(run.assignment.number, run.assignment.attempt, limit, run.started_at)]
        run.events = iter(events)

    def _run(self, assignment: Assignment, said: int | None = None) -> tuple[_Recorder, EndTrial]:
        """Run the objective up to the end of the stretch, and record what it reports after the step ``said``."""
        recorder = _Recorder(assignment, self._drawn, said)
        return recorder, TrialRun(assignment, self._plan.objective, self._plan.rules, recorder, self._store)()

    def _drawn(self, assignment: Assignment, name: str, domain: Mapping[str, Any]) -> Parameter:
        """Draw a parameter that an objective asks for: at once, though the virtual clock is not there yet."""
        desk = Desk()
        asked = desk.draw(assignment.number, assignment.attempt, name, domain, self._clock.now())
        return desk.parameter(self._optimizer.handle(asked))

    def _timed(self, run: _Running, recorder: _Recorder, ended: EndTrial) -> list[Command]:
        events: list[Command] = []
        passed, each_alone = run.passed_s, bool(run.assignment.order)  # of instances, each has its own seconds
        try:
            for command in recorder.commands:
                if isinstance(command, KeepCheckpoint):
                    events.append(replace(command, at=run.started_at + passed - run.base_s))
                    continue
                step, metrics, saves = command
                passed = passed + self._passed(metrics, 0.0) if each_alone else self._passed(metrics, passed)
                events.append(
                    ReportMetrics(
                        number=run.assignment.number,
                        attempt=run.assignment.attempt,
                        step=step,
                        metrics=metrics,
                        saves=saves,
                        at=run.started_at + passed - run.base_s,
                    )
                )
            if ended.status is Status.COMPLETED and ended.metrics and not each_alone:
                passed = self._passed(ended.metrics, passed)
        except ObjectiveError as error:
            ended = replace(ended, status=Status.FAILED, metrics={}, error=f"ObjectiveError: {error}")
        run.passed_s = passed
        if ended.status is Status.FAILED or not recorder.was_left:
            took_s = passed - run.base_s
            end = replace(ended, at=run.started_at + took_s, started_at=run.started_at, duration_s=took_s)
            events.append(end)
        return events

    def _passed_before(self, assignment: Assignment) -> float:
        """The virtual seconds of the steps before the one from which a trial resumes."""
        if assignment.from_step is None:
            return 0.0
        owner = assignment.number if assignment.checkpoint is None else assignment.checkpoint.number
        reports = self._optimizer.ledger.trials[owner].reports
        if assignment.order:
            return sum(self._passed(r.own, 0.0) for r in reports)
        return next((self._passed(r.metrics, 0.0) for r in reports if r.step == assignment.from_step), 0.0)

    def _passed(self, metrics: Mapping[str, Any], before: float) -> float:
        cost = metrics.get(self._cost)
        if not isinstance(cost, (int, float)) or not before <= cost < math.inf:
            raise ObjectiveError(
                f"a simulated objective gives the seconds since its trial began as metric {self._cost!r}, growing from "
                f"report to report; got {cost!r} after {before:g}"
            )
        return float(cost)


_Drawn = Callable[[Assignment, str, Mapping[str, Any]], Parameter]


class _Recorder:
    """A reporter that records reports instead of sending them.

    Args:
        drawn: draws the parameters that the objective asks for.
        said: reports up to this step are repetitions.

    Attributes:
        was_left: whether the stretch ended at a report whose verdict may be other than "continue".
    """

    is_last_call = False  # no last checkpoints: a stopped study has those of its virtual time

    def __init__(self, assignment: Assignment, drawn: _Drawn, said: int | None = None) -> None:
        self.commands: list[ReportRow | KeepCheckpoint] = []
        self.was_left = False
        self.next_step = assignment.next_step
        self._assignment, self._drawn, self._said = assignment, drawn, said

    def report(self, step: int, metrics: Mapping[str, Any], saves: bool) -> Verdict:
        if self._said is not None and step <= self._said:
            return Verdict.CONTINUE
        self.commands.append((step, metrics, saves))
        goes_on_from_here = saves or step < len(self._assignment.order)
        if goes_on_from_here and self.next_step is not None and step >= self.next_step:
            self.was_left = True
            return Verdict.PAUSE
        if self._assignment.last_step is None or step < self._assignment.last_step:
            return Verdict.CONTINUE
        self.next_step = None
        return Verdict.COMPLETE  # otherwise an objective with an endless loop would never return

    def keep(self, step: int, checkpoint: Mapping[str, Any]) -> None:
        assignment = self._assignment
        self.commands.append(
            KeepCheckpoint(
                number=assignment.number, attempt=assignment.attempt, step=step, checkpoint=checkpoint, at=0.0
            )
        )

    def draw(self, name: str, domain: Mapping[str, Any]) -> Parameter:
        return self._drawn(self._assignment, name, domain)

    def offer(self, metrics: Mapping[str, Any]) -> bool:
        return True  # the optimizer decides at the virtual time of the trial's end

    def hold(self) -> bool:
        return True
