"""Suggestions that take their time are computed beside the event loop, in another process, and ahead of need."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Collection, Sequence
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raytune_hpo.cluster.environment import optimizer_needs
from raytune_hpo.cluster.shells import hire, is_gone, packed, plain
from raytune_hpo.core.asking import ask
from raytune_hpo.core.messages import Idea, Job
from raytune_hpo.core.optimizer import Optimizer
from raytune_hpo.errors import ClusterError
from raytune_hpo.protocols import Sampler, Signal, Suggestion
from raytune_hpo.runtime.group_commit import Clerk
from raytune_hpo.runtime.plan import Plan
from raytune_hpo.runtime.waiting_workers import Parking
from raytune_hpo.spec import StudySpec
from raytune_hpo.trial import Trial

MAX_CRASHES = 5  # in a row, before the study is given up
_log = logging.getLogger("raytune_hpo")


class Thinker:
    """A replica of the sampler. Lives in a Shell of its own, beside the optimizer."""

    def __init__(self, spec: StudySpec, sampler: Sampler) -> None:
        self._seed = spec.seed
        self._sampler = sampler.bind(spec.space, spec.goals, spec.seed)

    def think(self, number: int, pending: Sequence[Trial], finished: Sequence[Trial]) -> Suggestion | Signal:
        """The suggestion for a trial, after these further results."""
        for trial in finished:
            self._sampler.tell(trial)
        return ask(self._sampler, number, pending, self._seed)


class Foresight:
    """Has suggestions computed while workers wait, and ahead of need.

    A suggestion computed ahead misses the results that came after it. That costs quality, so there are only as many on
    the shelf as may be handed out while the next one is computed; none when there is one worker; and one that has missed
    more results than there are workers is thrown away (OptimizerCore.drop_stale).

    Args:
        workers: the names of those that are at work.
    """

    def __init__(self, plan: Plan, clerk: Clerk, parking: Parking, workers: Collection[str]) -> None:
        self._plan, self._clerk, self._parking, self._workers = plan, clerk, parking, workers
        self._thinker: Any = None
        self._known = 0  # results that the replica knows
        self._duration_s = 0.0
        self._pace: deque[tuple[float, int]] = deque(maxlen=16)  # when there were how many results

    async def run(self, optimizer: Optimizer) -> None:
        if self._plan.sampler.traits.history_free:
            return
        while True:
            await self._parking.changed.wait()
            self._parking.changed.clear()
            while await self._think_once(optimizer):
                pass

    async def _think_once(self, optimizer: Optimizer) -> bool:
        """Compute one suggestion, if one is wanted."""
        job = await self._clerk.do(self._wanted, optimizer)
        if job is None:
            return False
        begin = time.monotonic()
        outcome = await self._outcome(optimizer, job)
        took_s = time.monotonic() - begin
        self._duration_s = took_s if self._duration_s == 0.0 else 0.7 * self._duration_s + 0.3 * took_s
        await self._clerk.do(self._shelve, optimizer, Idea(job=job, outcome=outcome))
        self._parking.wake(1)
        return True

    def _wanted(self, optimizer: Optimizer) -> Job | None:
        core = optimizer.core
        self._pace.append((time.monotonic(), len(core.ledger.finished)))
        core.shelf.drop_stale(max(1, len(self._workers)))
        core.shelf.ahead = self._ahead()
        return core.shelf.job(len(self._parking))

    def _shelve(self, optimizer: Optimizer, idea: Idea) -> None:
        optimizer.core.shelf.put(idea)

    def _ahead(self) -> int:
        """As many as results come in while one suggestion is computed, and a standard deviation more, for bursts."""
        (begin, first), (end, last) = self._pace[0], self._pace[-1]
        if self._plan.max_concurrent == 1 or len(self._workers) < 2 or end <= begin:
            return 0
        expected = (last - first) / (end - begin) * self._duration_s
        return min(round(expected + math.sqrt(expected)), len(self._workers))

    async def _outcome(self, optimizer: Optimizer, job: Job) -> Suggestion | Signal:
        for crash in range(1, MAX_CRASHES + 1):
            try:
                return await self._ask_thinker(optimizer, job)
            except Exception as error:
                if not is_gone(error):
                    raise plain(error) from None
                self._thinker = None
                _log.warning("the process that computes suggestions died (%d of %d): %s", crash, MAX_CRASHES, error)
        raise ClusterError(
            f"the process that computes suggestions died {MAX_CRASHES} times in a row; "
            f"give the head node more memory, or use a lighter sampler"
        )

    async def _ask_thinker(self, optimizer: Optimizer, job: Job) -> Suggestion | Signal:
        if self._thinker is None:
            self._thinker, self._known = _new_thinker(optimizer.ledger.spec, self._plan), 0
        results = optimizer.ledger.finished[self._known : job.history]  # only grows, so a slice needs no lock
        outcome: Suggestion | Signal = await self._thinker.call.remote("think", job.number, job.pending, results)
        self._known = job.history
        return outcome


def _new_thinker(spec: StudySpec, plan: Plan) -> Any:
    return hire(
        f"{__name__}:Thinker",
        packed(spec, plan.sampler),
        needs=optimizer_needs("memory", plan.sampler),
        num_cpus=0,
        max_restarts=0,
        scheduling_strategy=NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False),
    )
