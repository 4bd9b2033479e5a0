"""A worker as a Ray actor: the loop of runtime.worker, a channel through Ray, and a watchdog for each trial's time limit."""

from __future__ import annotations

import atexit
import faulthandler
import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ray.exceptions import ActorUnavailableError

from raytune_hpo.checkpoints.store import CheckpointStore
from raytune_hpo.cluster.direct import Address, Connection, MessageTooBig
from raytune_hpo.cluster.nodes import know_nodes, this_node
from raytune_hpo.cluster.resources import limit_threads
from raytune_hpo.cluster.shells import get, pickler
from raytune_hpo.cluster.shipping import Parcel, unpack_objective
from raytune_hpo.core.messages import Answer, EndTrial, Lease, Parameter
from raytune_hpo.metrics import MetricRules
from raytune_hpo.runtime.output import routed
from raytune_hpo.runtime.threads import inherited
from raytune_hpo.runtime.trial_run import timed_out
from raytune_hpo.runtime.wire import ReportRow, pack_ended, unpack_answer, unpack_lease, unpack_parameter
from raytune_hpo.runtime.worker import MAX_LEASE, Worker

BACKSTOP_S = 10.0  # how much later a trial is ended that keeps even the watchdog from running
TELL_S = 10.0  # how long the watchdog tries to tell why
TIMED_OUT, TERMINATED = 3, 143  # exit codes
_STDERR = 2
_UNAVAILABLE_S = 0.5
_log = logging.getLogger("raytune_hpo")


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """The settings of a worker.

    Attributes:
        once: whether it runs a single trial and ends.
        checkpoint_every_s: see ``Tuner``.
        num_threads: the limit for numeric libraries that were loaded before the environment could limit them.
    """

    parcel: Parcel
    rules: MetricRules
    once: bool
    checkpoint_every_s: float | None
    trial_timeout_s: float | None
    num_threads: int


class TrialWorker:
    """Runs trials in a Shell.

    Args:
        optimizer: the optimizer's actor handle.
        refs: references to the objects of the holder.
    """

    def __init__(self, name: str, settings: WorkerSettings, optimizer: Any, refs: Mapping[str, Any]) -> None:
        self._name, self._settings, self._refs = name, settings, refs
        self._channel = RayChannel(optimizer, once=settings.once)
        self._worker: Worker | None = None

    def ready(self) -> None:
        """Unpack the objective.

        Raises:
            ClusterError: it cannot be imported here, or its data is gone.
        """
        limits = self._settings
        limit_threads(limits.num_threads)
        objective = unpack_objective(limits.parcel, self._refs)
        know_nodes()
        self._worker = Worker(
            self._name,
            objective,
            limits.rules,
            self._channel,
            max_lease=1 if limits.once else MAX_LEASE,
            store=CheckpointStore(self._channel.call("checkpoint_place"), node=this_node()),
            checkpoint_every_s=limits.checkpoint_every_s,
        )

    def work(self) -> None:
        """Run trials until the study is over."""
        assert self._worker is not None
        # Ray sends SIGTERM when a worker's node or pool goes. Its own handler would raise SystemExit inside the objective,
        # which would look like a failure of the trial; this way the trial is handed out again.
        signal.signal(signal.SIGTERM, lambda number, frame: os._exit(TERMINATED))
        if self._settings.trial_timeout_s is not None:
            watch = _Watch(self._worker, self._channel, self._settings.trial_timeout_s)
            threading.Thread(target=watch.run, name="raytune_hpo-watch", daemon=True).start()
        with routed(), inherited():
            self._worker.loop()

    def leave(self) -> None:
        """Do what a process does at its end, as the pool kills this one: exit handlers, then the objective's destructors.

        Ray's own way, ``exit_actor``, gives the CPUs and GPUs to the next worker first, and cannot end a handler that hangs.
        """
        atexit._run_exitfuncs()
        self._worker = None
        gc.collect()


class RayChannel:
    """Carries messages to the optimizer: over a direct connection where there is one, and otherwise through Ray.

    Ray repeats them while the optimizer is being restarted; each is safe to repeat.

    Args:
        once: whether to tell the worker after its first trial that the study is over.
    """

    def __init__(self, optimizer: Any, *, once: bool) -> None:
        self._optimizer, self._once = optimizer, once
        self._had_one = False
        self._connection: Connection | None = None
        self._wants_connection = not once

    def exchange(
        self, worker: str, ended: Sequence[EndTrial], returned: Sequence[int], limit: int, holding: Sequence[int]
    ) -> Lease:
        if self._had_one:
            self.call("tell", worker, pack_ended(ended), list(returned))
            return Lease(is_over=True)
        lease = unpack_lease(self._say("exchange", worker, pack_ended(ended), list(returned), limit, list(holding)))
        self._had_one = self._once and bool(lease.assignments)
        return lease

    def report(self, number: int, attempt: int, reports: Sequence[ReportRow]) -> Answer:
        return unpack_answer(self._say("report", number, attempt, list(reports)))

    def keep(self, number: int, attempt: int, step: int, checkpoint: Mapping[str, Any]) -> Answer:
        return unpack_answer(self._say("keep", number, attempt, step, checkpoint))

    def draw(self, number: int, attempt: int, name: str, domain: Mapping[str, Any]) -> Parameter:
        return unpack_parameter(self._say("draw", number, attempt, name, domain))

    def offer(self, number: int, attempt: int, metrics: Mapping[str, Any]) -> bool:
        return bool(self._say("offer", number, attempt, metrics))

    def hold(self, number: int) -> bool:
        return bool(self._say("hold", number))

    def call(self, method: str, *args: Any, timeout_s: float | None = None) -> Any:
        """Call the optimizer through Ray."""
        while True:
            try:
                return get(self._optimizer.call.remote(method, *args), timeout_s)
            except ActorUnavailableError:  # it is being restarted, or the network has a bad moment
                time.sleep(_UNAVAILABLE_S)

    def _say(self, method: str, *args: Any) -> Any:
        """Call the optimizer over the direct connection; if it breaks, through Ray, and next time over a new connection."""
        if self._connection is None and self._wants_connection:
            self._connect()
        connection = self._connection
        if connection is not None:
            try:
                return connection.call(method, args)
            except MessageTooBig:
                pass  # through Ray, this one
            except OSError:
                connection.close()
                self._connection = None
        return self.call(method, *args)

    def _connect(self) -> None:
        address: Address | None = self.call("address")
        try:
            self._connection = None if address is None else Connection(address, pickler.dumps)
        except OSError as error:
            _log.warning("no direct connection to the optimizer (%s): messages go through Ray", error)
        self._wants_connection = self._connection is not None


class _Watch:
    """A watchdog, which ends this process when a trial takes too long; the others of its lease are handed out again."""

    def __init__(self, worker: Worker, channel: RayChannel, limit_s: float) -> None:
        self._worker, self._channel, self._limit_s = worker, channel, limit_s

    def run(self) -> None:
        while True:
            # The backstop: an objective that holds the interpreter's lock keeps this thread from running.
            faulthandler.dump_traceback_later(self._limit_s + BACKSTOP_S, exit=True, file=_STDERR)
            run = self._worker.run
            left_s = self._limit_s if run is None else self._limit_s - run.elapsed_s
            if run is not None and left_s <= 0:
                self._end(run.assignment.number, run.assignment.attempt, run.started_at, str(run.output))
            time.sleep(min(max(left_s, 0.001), 0.2))

    def _end(self, number: int, attempt: int, started_at: float, output: str) -> None:
        ended = replace(timed_out(number, attempt, self._limit_s, started_at), output=output)
        try:
            self._channel.call("leave", self._worker.name, pack_ended([ended]), ended.error, timeout_s=TELL_S)
        finally:
            os._exit(TIMED_OUT)
