"""Prefetching of suggestions: ahead of need, in a thread of the optimizer or, if they are slow, in another process."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raytune_hpo.cluster.environment import optimizer_needs
from raytune_hpo.cluster.shells import PREFETCHER, hire, is_gone, packed, pickler, plain, title, was_restarted
from raytune_hpo.core.asking import Telling, ask, recall
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.core.messages import PreparedSuggestion, SuggestionRequest
from raytune_hpo.core.optimizer import Optimizer
from raytune_hpo.core.suggestions import to_pending
from raytune_hpo.errors import ClusterError
from raytune_hpo.facts import Recalled
from raytune_hpo.protocols import Continue, Sampler, Signal, Suggestion, bound_sampler
from raytune_hpo.runtime.async_desk import AsyncDesk
from raytune_hpo.runtime.attendance import is_unusual
from raytune_hpo.runtime.plan import RunPlan
from raytune_hpo.spec import StudySpec
from raytune_hpo.trial import Trial

LOOK_S = 30.0  # the interval of checks whether a suggestion takes unusually long
MAX_CRASHES = 5  # in a row, before the study fails
HERE_S = 1.0  # of computing, after which it moves to another process
Sent = TypeVar("Sent", Trial, Suggestion)
Outcome = Suggestion | Continue | Signal
_log = logging.getLogger("raytune_hpo")


class SamplerReplica:
    """A replica of the sampler. Runs in a thread of the optimizer or in its own Shell, on the optimizer's node."""

    def __init__(self, spec: StudySpec, sampler: Sampler, earlier: Sequence[Recalled] = ()) -> None:
        self._seed, self._space = spec.seed, spec.space
        self._sampler = bound_sampler(sampler, spec.space, spec.goals, spec.seed, spec.constraints)
        self._tell = Telling(self._sampler)
        for source in earlier:
            recall(self._sampler, source)

    def suggest(self, request: SuggestionRequest, told: Sequence[Trial]) -> list[Outcome]:
        """Learn from further pauses and ends of trials, then compute suggestions, until an outcome is not a suggestion."""
        for trial in _of_space(told, self._space.received):
            self._tell(trial)
        pending, outcomes = _of_space(request.pending, self._space.received), list[Outcome]()
        for index in range(request.count):
            single = request.following(index)
            outcome = ask(self._sampler, single.number, pending, self._seed, turn=single.turn)
            if not isinstance(outcome, Suggestion):
                return [*outcomes, outcome]
            outcomes += _of_space([outcome], self._space.to_send)
            pending.append(to_pending(single, outcome))
        return outcomes


def _of_space(things: Sequence[Sent], change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> list[Sent]:
    """Trials or suggestions with their configurations converted for sending or after receiving."""
    changed = [change(thing.config) for thing in things]
    return [t if t.config is config else replace(t, config=config) for t, config in zip(things, changed, strict=True)]


class _Replica:
    """A replica of the sampler somewhere.

    Args:
        ask: calls ``SamplerReplica.suggest`` there.
    """

    def __init__(self, ask: Callable[[SuggestionRequest, Sequence[Trial]], Awaitable[list[Outcome]]]) -> None:
        self._ask = ask
        self._known = 0  # results

    def suggest(self, request: SuggestionRequest, ledger: Ledger) -> asyncio.Future[list[Outcome]]:
        """Its suggestions. Requests must not be older than earlier ones."""
        results = ledger.told[self._known : request.history]  # only grows, so a slice needs no lock
        self._known = request.history
        to_send = ledger.spec.space.to_send
        sent = replace(request, pending=tuple(_of_space(request.pending, to_send)))
        return asyncio.ensure_future(self._ask(sent, _of_space(results, to_send)))


class _Replicas:
    """Where suggestions are computed: by one replica of the sampler after the other.

    A new study does not wait for another process: it begins with a replica in a thread of this one. Once that has computed
    for a second in all, imports aside, a process is started, and takes over when it has answered for the first time.
    """

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan
        self._packed = b""  # the arguments of ``SamplerReplica``
        self._replica: _Replica | None = None
        self._successor: tuple[_Replica, asyncio.Future[list[Outcome]]] | None = None  # and its first answer
        self._is_here = False
        # Once restarted it computes nothing here, or a sampler might crash this process again and again.
        self._left_s = 0.0 if was_restarted() else HERE_S

    def for_request(self, request: SuggestionRequest, ledger: Ledger) -> _Replica:
        """The replica to be asked now."""
        # Once, at the first request: if ``bind`` returns the sampler itself, later ones would know results already.
        self._packed = self._packed or packed(ledger.spec, self._plan.sampler, ledger.recalled)
        if self._replica is None:
            self._is_here = self._left_s > 0 and not request.history
            self._replica = _here(self._packed) if self._is_here else _elsewhere(self._packed, self._plan)
        if self._is_here and self._left_s <= 0 and self._successor is None:
            successor = _elsewhere(self._packed, self._plan)
            first = successor.suggest(request, ledger)
            first.add_done_callback(lambda done: done.cancelled() or done.exception())  # raised again by the next one
            self._successor = successor, first
        if self._successor is not None and self._successor[1].done():
            self._replica, self._successor, self._is_here = self._successor[0], None, False
        return self._replica

    def spent(self, seconds: float) -> None:
        """Note for how long the present replica has computed."""
        self._left_s -= seconds

    def lost(self) -> None:
        """Note that the present replica's process is gone: the next request gets another."""
        self._replica = None


def _here(args: bytes) -> _Replica:
    replica = SamplerReplica(*pickler.loads(args))
    return _Replica(lambda request, told: asyncio.to_thread(replica.suggest, request, told))


def _elsewhere(args: bytes, plan: RunPlan) -> _Replica:
    actor = hire(
        PREFETCHER,
        f"{__name__}:SamplerReplica",
        args,
        needs=optimizer_needs("memory", plan.sampler),
        num_cpus=0,
        max_restarts=0,
        scheduling_strategy=NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False),
    )
    name = title(PREFETCHER, plan.spec.name)

    def ask(request: SuggestionRequest, told: Sequence[Trial]) -> Awaitable[list[Outcome]]:
        coming: Awaitable[list[Outcome]] = actor.call.options(name=name).remote("suggest", request, told)
        return coming

    return _Replica(ask)


class Prefetcher:
    """Has a replica of the sampler compute suggestions, ahead of need and for workers that wait.

    A suggestion computed ahead misses the results that came after it. That costs quality, so only as many are prepared as
    may be handed out while the next one is computed; none if there is one worker; and one that has missed more results than
    there are workers is discarded (``Suggestions.drop_stale``).

    Args:
        note: called with notes for users who follow the study.
    """

    def __init__(self, plan: RunPlan, desk: AsyncDesk, note: Callable[[str], None]) -> None:
        self._plan, self._desk, self._note = plan, desk, note
        self._replicas = _Replicas(plan)
        self._duration_s = 0.0
        self._pace: deque[tuple[float, int]] = deque(maxlen=16)  # (time, number of results)

    async def run(self, optimizer: Optimizer) -> None:
        if self._plan.sampler.traits.history_free:
            return
        changed = self._desk.waiting.changed
        while True:
            await changed.wait()
            changed.clear()
            while await self._prepare(optimizer):
                pass

    async def _prepare(self, optimizer: Optimizer) -> bool:
        """Compute suggestions, if any are needed."""
        request = await self._desk.commit.do(self._wanted, optimizer)
        if request is None:
            return False
        begin = time.monotonic()
        outcomes = await self._outcomes(optimizer, request)
        took_s = time.monotonic() - begin
        self._duration_s = took_s if self._duration_s == 0.0 else 0.7 * self._duration_s + 0.3 * took_s
        prepared = [
            PreparedSuggestion(request=request.following(index), outcome=outcome)
            for index, outcome in enumerate(outcomes)
        ]
        await self._desk.commit.do(self._keep, optimizer, prepared)
        self._desk.waiting.wake(len(prepared))
        return True

    @staticmethod
    def _keep(optimizer: Optimizer, prepared: Sequence[PreparedSuggestion]) -> None:
        for one in prepared:
            optimizer.core.suggestions.put(one)

    def _wanted(self, optimizer: Optimizer) -> SuggestionRequest | None:
        core, num_workers = optimizer.core, len(self._desk.at_work)
        self._pace.append((time.monotonic(), len(core.ledger.told)))
        core.suggestions.drop_stale(max(1, num_workers))
        core.suggestions.num_ahead = self._num_ahead(num_workers)
        return core.suggestions.request(len(self._desk.waiting))

    def _num_ahead(self, num_workers: int) -> int:
        """The expected number of results during one computation of suggestions, plus one standard deviation for bursts."""
        (begin, first), (end, last) = self._pace[0], self._pace[-1]
        if self._plan.settings.max_concurrent == 1 or num_workers < 2 or end <= begin:
            return 0
        expected = (last - first) / (end - begin) * self._duration_s
        return min(round(expected + math.sqrt(expected)), num_workers)

    async def _outcomes(self, optimizer: Optimizer, request: SuggestionRequest) -> list[Outcome]:
        for crash in range(1, MAX_CRASHES + 1):
            try:
                return await self._ask_replica(optimizer, request)
            except Exception as error:
                if not is_gone(error):
                    raise plain(error) from None
                self._replicas.lost()
                _log.warning("the process that computes suggestions died (%d of %d): %s", crash, MAX_CRASHES, error)
        raise ClusterError(
            f"the process that computes suggestions died {MAX_CRASHES} times in a row; "
            f"give the head node more memory, or use a lighter sampler"
        )

    async def _ask_replica(self, optimizer: Optimizer, request: SuggestionRequest) -> list[Outcome]:
        replica = self._replicas.for_request(request, optimizer.ledger)
        coming = replica.suggest(request, optimizer.ledger)
        begin = time.monotonic()
        while not (await asyncio.wait([coming], timeout=LOOK_S))[0]:
            took_s = time.monotonic() - begin
            if is_unusual(took_s, self._duration_s):
                self._note(f"suggestion {request.turn} has been in computation for {took_s / 60:.0f} minutes")
                break
        outcomes = await coming
        if self._duration_s:  # the first one has imported libraries
            self._replicas.spent(time.monotonic() - begin)
        received = optimizer.ledger.spec.space.received
        return [_of_space([o], received)[0] if isinstance(o, Suggestion) else o for o in outcomes]
