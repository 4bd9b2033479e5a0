"""Jobs: work that takes longer than a request may, in a process beside the server."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import active_children, get_context
from typing import Any

from raytune_hpo.core.audit import audit
from raytune_hpo.errors import HpoError
from raytune_hpo.journal import integrity_of, open_storage
from raytune_hpo.protocols import Clock
from raytune_hpo.results.records import error_record, plain
from raytune_hpo.service.models.measuring import end_with_parent

MAX_JOBS = 100  # that are remembered
AT_ONCE = 1  # the others wait, so that trials on the same machine are not slowed down
_log = logging.getLogger("raytune_hpo")


@dataclass
class Job:
    """A piece of work.

    Attributes:
        kind, study: what is done, and to which study.
        state: "running", "done" or "failed".
        result: what came of it, as JSON; of one that has failed, the error.
    """

    id: str
    kind: str
    study: str
    begun_at: float
    state: str = "running"
    ended_at: float | None = None
    result: Any = None

    def record(self) -> dict[str, Any]:
        return asdict(self)


class Jobs:
    """The jobs of one service, in memory only: a restart forgets them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._process: ProcessPoolExecutor | None = None

    def begin(self, kind: str, study: str, work: Callable[..., Any], *args: Any, is_aside: bool = True) -> Job:
        """Begin a job: call a function in another process. Arguments and result must be picklable.

        Args:
            is_aside: False: in a thread of this process instead, for data that no other process can reach.
        """
        job = Job(id=secrets.token_hex(8), kind=kind, study=study, begun_at=self._clock.now())
        while len(self._jobs) >= MAX_JOBS:
            self._jobs.pop(next(iter(self._jobs)))
        self._jobs[job.id] = job
        task = asyncio.get_running_loop().create_task(self._do(job, is_aside, work, args))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    def find(self, key: str) -> Job | None:
        """The job of this id, while it is remembered."""
        return self._jobs.get(key)

    def newest(self, kind: str, study: str) -> Job | None:
        """The last job of this kind that was begun for a study, while it is remembered."""
        return next((job for job in reversed(self._jobs.values()) if (job.kind, job.study) == (kind, study)), None)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._process is not None:
            self._process.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.kill()  # what a job has recorded is durable; the server does not wait for the rest

    async def _do(self, job: Job, is_aside: bool, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
        if is_aside and self._process is None:
            self._process = ProcessPoolExecutor(AT_ONCE, mp_context=get_context("spawn"), initializer=end_with_parent)
        executor = self._process if is_aside else None
        try:
            job.result = await asyncio.get_running_loop().run_in_executor(executor, work, *args)
            job.state = "done"
        except HpoError as error:
            job.state, job.result = "failed", error_record(error)
        except BrokenExecutor:  # a broken pool takes no further work
            self._process = None
            job.state, job.result = "failed", error_record(HpoError("the process that did it was lost; begin again"))
        except Exception:
            _log.exception("%s of study %r", job.kind, job.study)
            job.state, job.result = "failed", error_record(HpoError("it met an error that stands in the server's log"))
        job.ended_at = self._clock.now()


def audited(storage: Any, name: str) -> dict[str, Any]:
    """The audit of a stored study as JSON.

    Args:
        storage: a URL or path, or the storage itself.
    """
    store = open_storage(storage)
    try:
        found = audit(store.read(name), integrity=integrity_of(store, name))
    finally:
        if store is not storage:
            store.close()
    record = {**asdict(found), "is_clean": found.is_clean, "text": str(found)}
    made: dict[str, Any] = plain(record)
    return made
