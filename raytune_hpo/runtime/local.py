"""The local runtime: trials in threads of this process. Nothing to set up; objectives share the interpreter's lock."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raytune_hpo.checkpoints.deleting import Deleter
from raytune_hpo.checkpoints.places import place_of
from raytune_hpo.checkpoints.store import CheckpointStore
from raytune_hpo.core.keeping import kept_records
from raytune_hpo.core.last_call import LAST_CALL_S
from raytune_hpo.core.ledger import Ledger, StudyStatus
from raytune_hpo.core.messages import Answer, Command, EndTrial, Lease, Parameter, Reply, Tick
from raytune_hpo.core.optimizer import WallClock
from raytune_hpo.core.snapshot import Snapshot
from raytune_hpo.facts import Fact
from raytune_hpo.journal import open_storage
from raytune_hpo.runtime.desk import OVER, STOP, Desk
from raytune_hpo.runtime.output import routed
from raytune_hpo.runtime.plan import RunPlan
from raytune_hpo.runtime.resuming import open_study
from raytune_hpo.runtime.threads import inherited
from raytune_hpo.runtime.trial_run import timed_out
from raytune_hpo.runtime.wire import ReportRow
from raytune_hpo.runtime.worker import Worker
from raytune_hpo.spec import StudySpec

TICK_S = 0.2  # the interval of checks of time limits
WAIT_S = 1.0  # how long a worker waits for a trial before it asks again


class LocalHandle:
    """The handle of a study whose workers are threads; one lock guards its optimizer. See ``Handle``."""

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan
        self._storage = open_storage(plan.settings.storage)
        self._store = CheckpointStore(place_of(plan.settings.checkpoints, self._storage.url, plan.spec.name))
        self._deleter = Deleter(self._store)
        if plan.settings.checkpoints is not None:
            self._store.check()
        self._optimizer = open_study(
            plan, self._storage, WallClock(), blame=True, delete=self._deleter, grace_s=LAST_CALL_S
        )
        self._store.sweep_unknown(kept_records(self._optimizer.ledger))
        self._pauses = self._optimizer.core.promoter is not None
        self._desk = Desk()
        self._changed = threading.Condition()
        self._failure: BaseException | None = None
        self._workers: dict[str, Worker] = {}
        self._ended = threading.Event()
        self._timekeeper = threading.Thread(target=self._keep_time, name="raytune_hpo-timekeeper", daemon=True)
        try:
            for _ in range(self._num_workers()):
                self._hire()
            self._timekeeper.start()
        except BaseException:  # Ctrl-C: else the threads would continue without a handle
            self.close()
            raise

    @property
    def name(self) -> str:
        return self._plan.spec.name

    def status(self) -> StudyStatus:
        with self._changed:
            return self._optimizer.status()

    def snapshot(self) -> Snapshot:
        if self._failure is not None:
            raise self._failure
        with self._changed:
            return self._optimizer.snapshot()

    def wait(self, timeout_s: float | None = None) -> bool:
        ended = self._ended.wait(timeout_s)
        if self._failure is not None:
            raise self._failure
        return ended

    def facts(self, start: int = 0) -> Iterator[Fact]:
        return self._storage.read(self.name, start)

    def ledger(self, spec: StudySpec | None) -> Ledger:
        return Ledger.fold(self.facts(), spec)

    def stop(self, reason: str) -> None:
        with self._changed:
            try:
                while not self._optimizer.stop(reason):
                    self._changed.wait(TICK_S)
            finally:
                self._optimizer.stop(reason, at_once=True)  # also after a second Ctrl-C
                self._changed.notify_all()

    def stop_trial(self, number: int) -> None:
        with self._changed:
            self._optimizer.stop_trial(number)
            self._changed.notify_all()

    def enqueue(self, config: Mapping[str, Any]) -> None:
        with self._changed:
            self._optimizer.enqueue(config)
            self._changed.notify_all()

    def close(self) -> None:
        """Stop, and release the journal. Threads inside an objective end when it returns, or with this process."""
        with self._changed:
            self._end()
            self._workers.clear()
            self._optimizer.close()
        self._deleter.close()

    def _end(self) -> None:
        """Wake everything that waits, and wait no longer for objectives whose results are not wanted."""
        self._desk.is_over = True
        self._ended.set()
        self._changed.notify_all()

    # -------------------------------------------------------------------------------------------- the workers' channel

    def exchange(
        self, worker: str, ended: Sequence[EndTrial], returned: Sequence[int], limit: int, holding: Sequence[int]
    ) -> Lease:
        with self._changed:
            if not self._desk.serves(worker):
                return OVER
            commands = self._desk.exchange(worker, ended, returned, limit, holding, self._optimizer.now())
            lease = self._desk.lease(self._optimizer.handle(commands))
            if ended or returned:
                self._changed.notify_all()
            if not lease.assignments and not lease.is_over and not holding:
                self._changed.wait(WAIT_S)
            return lease

    def report(self, number: int, attempt: int, reports: Sequence[ReportRow]) -> Answer:
        with self._changed:
            replies = self._during_trial(self._desk.report(number, attempt, reports, self._optimizer.now()))
            if self._pauses:
                self._changed.notify_all()  # this report may have made another trial due for promotion
            return self._desk.answer(replies) if replies else STOP

    def keep(self, number: int, attempt: int, step: int, checkpoint: Mapping[str, Any]) -> Answer:
        with self._changed:
            replies = self._during_trial(self._desk.keep(number, attempt, step, checkpoint, self._optimizer.now()))
            self._changed.notify_all()  # the study may have waited for it to stop
            return self._desk.answer(replies) if replies else STOP

    def draw(self, number: int, attempt: int, name: str, domain: Mapping[str, Any]) -> Parameter:
        with self._changed:
            return self._desk.parameter(
                self._during_trial(self._desk.draw(number, attempt, name, domain, self._optimizer.now()))
            )

    def offer(self, number: int, attempt: int, metrics: Mapping[str, Any]) -> bool:
        with self._changed:
            return self._desk.is_wanted(
                self._during_trial(self._desk.offer(number, attempt, metrics, self._optimizer.now()))
            )

    def hold(self, number: int) -> bool:
        with self._changed:
            self._desk.hold(self._optimizer.now())
            return not self._desk.is_over and self._optimizer.ledger.stopped is None

    def _during_trial(self, commands: Sequence[Command]) -> Sequence[Reply]:
        """The replies to commands of a running trial; none if the study is over, or cannot continue."""
        if self._desk.is_over:
            return []
        try:
            return self._optimizer.handle(commands)
        except Exception as error:  # of a scheduler or a journal, not of the objective that reports
            self._fail(error)
            return []

    # -------------------------------------------------------------------------------------------- workers and their time

    def _num_workers(self) -> int:
        settings = self._plan.settings
        if settings.max_concurrent is not None:
            return settings.max_concurrent
        bundles = [settings.resources] if isinstance(settings.resources, Mapping) else settings.resources
        cpus = sum(bundle.get("cpu", 0.0) for bundle in bundles) or 1.0  # one that needs none counts as on Ray
        return max(1, int((os.cpu_count() or 1) / max(cpus, 1e-3)))

    def _hire(self) -> None:
        name = f"thread-{os.getpid()}-{time.monotonic_ns()}-{len(self._workers)}"
        plan = self._plan
        worker = Worker(
            name,
            plan.objective,
            plan.rules,
            self,
            store=self._store,
            checkpoint_every_s=plan.settings.checkpoint_every_s,
        )
        self._workers[name] = worker
        threading.Thread(target=self._work, args=(worker,), name=f"raytune_hpo-{name}", daemon=True).start()

    def _work(self, worker: Worker) -> None:
        try:
            with routed(), inherited():
                worker.loop()
        except BaseException as error:
            self._fail(error)
        with self._changed:
            self._workers.pop(worker.name, None)
            if not self._workers:
                self._end()

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        with self._changed:
            self._end()

    def _keep_time(self) -> None:
        """Enforce the time limits: that of the study by ``Tick``, those of trials by watching the running ones."""
        try:
            while not self._ended.wait(TICK_S):
                with self._changed:
                    self._optimizer.handle([Tick(at=self._optimizer.now())])
                    self._dismiss_late()
                    if self._optimizer.ledger.stopped is not None:
                        self._end()
        except BaseException as error:
            self._fail(error)

    def _dismiss_late(self) -> None:
        """Fail trials that exceed their time limit. Their threads cannot be killed: new ones take their place."""
        limit = self._plan.settings.trial_timeout_s
        if limit is None:
            return
        for name, worker in list(self._workers.items()):
            run = worker.run
            if run is not None and run.elapsed_s > limit:
                del self._workers[name]
                late = timed_out(run.assignment.number, run.assignment.attempt, limit, run.started_at)
                at = self._optimizer.now()
                self._optimizer.handle([late, *self._desk.lose(name, "its worker was dismissed", at, blameless=True)])
                self._hire()
