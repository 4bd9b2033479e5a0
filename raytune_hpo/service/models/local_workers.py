"""Local workers: they run the trials of a study on the service's own machine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from raytune_hpo.core.messages import Answer, Assignment, EndTrial
from raytune_hpo.errors import HpoError, JournalError
from raytune_hpo.service.hosting import HostedStudy
from raytune_hpo.service.models.measuring import Measurer, NotReady

WAIT_S = 10.0  # how long one request waits for a trial
AGAIN_S = 2.0  # until the next try after the storage has failed
SPARE_S = 60.0  # by how much a lease is longer than the longest trial
_log = logging.getLogger("raytune_hpo")


class LocalWorkers:
    """Workers that run the trials of a hosted study until it has ended.

    Args:
        table: the file of the table that models are trained on, if there is one.
        folder: the folder of installed objectives, if there is one.
    """

    def __init__(self, study: HostedStudy, *, table: Path | None, folder: Path | None) -> None:
        spec = study.plan.spec
        asked: Mapping[str, Any] = spec.settings["objective"]
        task = {
            "spec": spec.to_json(),
            "table": None if table is None else str(table),
            "folder": None if folder is None else str(folder),
        }
        self._study, self._timeout_s = study, float(asked["trial_timeout_s"])
        self._measurers = [
            Measurer(task, timeout_s=self._timeout_s, memory_bytes=int(asked["memory_mb"]) << 20)
            for _ in range(int(asked["num_workers"]))
        ]
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._work(f"local-{index}", measurer))
            for index, measurer in enumerate(self._measurers, 1)
        ]

    async def close(self) -> None:
        """End the workers; their trials are run again once the study is taken up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(measurer.close() for measurer in self._measurers))

    async def _work(self, worker: str, measurer: Measurer) -> None:
        try:
            await self._run_trials(worker, measurer)
        except NotReady as error:
            await self._study.stop(str(error))
        except HpoError as error:
            _log.error("a worker of study %r has ended: %s", self._study.name, error)
        except Exception:
            _log.exception("a worker of study %r has ended", self._study.name)
        finally:
            await measurer.close()

    async def _run_trials(self, worker: str, measurer: Measurer) -> None:
        workers, ended = self._study.workers, list[EndTrial]()
        while True:
            held = workers.leases.of_worker(worker, self._timeout_s + SPARE_S)
            try:
                _, lease = await workers.exchange(held.name, ended, 1, [], WAIT_S)
            except JournalError:  # nothing was written, so the message may be repeated
                await asyncio.sleep(AGAIN_S)
                continue
            ended = []
            if lease.is_over:
                return
            for trial in lease.assignments:
                packed = replace(trial, config=self._study.plan.spec.space.pack(trial.config))
                ended.append(await measurer.measure(packed, partial(self._report, worker, trial)))

    async def _report(self, worker: str, given: Assignment, step: int, metrics: Mapping[str, Any]) -> Answer:
        workers = self._study.workers
        trial = await workers.trial(given.number)
        assert trial is not None
        while True:
            try:
                answer, _, _ = await workers.report(trial, given.attempt, [(step, metrics)], None, late=worker)
            except JournalError:
                await asyncio.sleep(AGAIN_S)
            else:
                return answer
