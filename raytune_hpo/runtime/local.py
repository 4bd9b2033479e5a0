"""Trials in threads of this process: no Ray, nothing to set up, and a slow objective shares the interpreter's lock."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from raytune_hpo.core.ledger import StudyStatus
from raytune_hpo.core.messages import Answer, Asked, Ended, Lease, Lost, Measured, Reply, Returned, Ticked
from raytune_hpo.core.optimizer import WallClock
from raytune_hpo.core.snapshot import Snapshot
from raytune_hpo.facts import Fact, Verdict
from raytune_hpo.journal import open_storage
from raytune_hpo.runtime.output import routed
from raytune_hpo.runtime.plan import Plan
from raytune_hpo.runtime.resuming import open_study
from raytune_hpo.runtime.trial_run import timed_out
from raytune_hpo.runtime.worker import Worker, first_stop

TICK_S = 0.2  # how closely time limits are kept
PARK_S = 1.0  # how long a worker waits for something to do before it asks again


class LocalHandle:
    """A study whose workers are threads; one lock guards its optimizer. See Handle."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._storage = open_storage(plan.storage)
        self._optimizer = open_study(plan, self._storage, WallClock())
        self._changed = threading.Condition()
        self._failure: BaseException | None = None
        self._workers: dict[str, Worker] = {}
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="raytune_hpo-keeper", daemon=True)
        for _ in range(self._num_workers()):
            self._hire()
        self._keeper.start()

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

    def stop(self, reason: str) -> None:
        with self._changed:
            self._optimizer.stop(reason)
            self._changed.notify_all()

    def enqueue(self, config: Mapping[str, Any]) -> None:
        with self._changed:
            self._optimizer.enqueue(config)
            self._changed.notify_all()

    def close(self) -> None:
        """Stop, and give the journal back. Threads inside an objective end with it, or with this process."""
        self._ended.set()
        with self._changed:
            self._workers.clear()
            self._changed.notify_all()
            self._optimizer.close()

    # -------------------------------------------------------------------------------------------- the workers' channel

    def exchange(
        self, worker: str, ended: Sequence[Ended], returned: Sequence[int], limit: int, holding: Sequence[int]
    ) -> Lease:
        with self._changed:
            if worker not in self._workers:  # dismissed: its trial took too long, or the study was closed
                return Lease(is_over=True)
            at = self._optimizer.now()
            told = [replace(event, at=at) for event in ended]
            back = [Returned(worker=worker, numbers=tuple(returned), at=at)] if returned else []
            lease = self._ask(worker, limit, holding, [*told, *back])
            if told or back:
                self._changed.notify_all()
            if not lease.assignments and not lease.is_over and not holding:
                self._changed.wait(PARK_S)
            return lease

    def _ask(self, worker: str, limit: int, holding: Sequence[int], events: list[Any]) -> Lease:
        asked = Asked(worker=worker, at=self._optimizer.now(), limit=limit, holding=frozenset(holding))
        lease: Reply = self._optimizer.handle([*events, asked])[-1]
        assert isinstance(lease, Lease)
        return lease

    def report(self, number: int, attempt: int, reports: Sequence[tuple[int, Mapping[str, Any]]]) -> Answer:
        with self._changed:
            if self._ended.is_set():
                return Answer(verdict=Verdict.STOP)
            at = self._optimizer.now()
            answers = self._optimizer.handle(
                [Measured(number=number, attempt=attempt, step=s, metrics=m, at=at) for s, m in reports]
            )
        return first_stop([answer for answer in answers if isinstance(answer, Answer)])

    # -------------------------------------------------------------------------------------------- workers and their time

    def _num_workers(self) -> int:
        if self._plan.max_concurrent is not None:
            return self._plan.max_concurrent
        resources = self._plan.resources
        cpus = resources.get("cpu", 1) if isinstance(resources, Mapping) else 1
        return max(1, int((os.cpu_count() or 1) / max(cpus, 1e-3)))

    def _hire(self) -> None:
        name = f"thread-{os.getpid()}-{time.monotonic_ns()}-{len(self._workers)}"
        plan = self._plan
        worker = Worker(name, plan.objective, plan.spec.goals, self, judged=plan.is_judged)
        self._workers[name] = worker
        threading.Thread(target=self._work, args=(worker,), name=f"raytune_hpo-{name}", daemon=True).start()

    def _work(self, worker: Worker) -> None:
        try:
            with routed():
                worker.loop()
        except BaseException as error:
            self._failure = error
            self._ended.set()
        with self._changed:
            self._workers.pop(worker.name, None)
            if not self._workers:
                self._ended.set()

    def _keep(self) -> None:
        """Time limits: the study's through Ticked, the trials' by watching what runs."""
        try:
            while not self._ended.wait(TICK_S):
                with self._changed:
                    self._optimizer.handle([Ticked(at=self._optimizer.now())])
                    self._dismiss_late()
                    if self._optimizer.ledger.stopped is not None:
                        self._dismiss_all()
        except BaseException as error:
            self._failure = error
            self._ended.set()

    def _dismiss_all(self) -> None:
        """The study has stopped: nobody waits for an objective whose result is not wanted any more."""
        self._ended.set()
        self._changed.notify_all()

    def _dismiss_late(self) -> None:
        """A thread cannot be killed: its trial fails, another thread takes its place, and it ends when it returns."""
        limit = self._plan.trial_timeout_s
        for name, worker in list(self._workers.items()) if limit is not None else []:
            run = worker.run
            if run is not None and limit is not None and time.time() - run.started_at > limit:
                del self._workers[name]
                late = timed_out(run.assignment.number, run.assignment.attempt, limit, run.started_at)
                rest = Lost(worker=name, at=self._optimizer.now(), reason="its worker was dismissed", blameless=True)
                self._optimizer.handle([late, rest])
                self._hire()
