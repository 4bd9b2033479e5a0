"""The driver's handle of a study on a cluster."""

from __future__ import annotations

import pickle
import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError

from raytune_hpo.cluster import is_remote
from raytune_hpo.cluster.environment import is_movable
from raytune_hpo.cluster.pool_here import PoolHere
from raytune_hpo.cluster.remote import RemoteStorage, open_remote
from raytune_hpo.cluster.shells import answer_of, exists, get, is_gone
from raytune_hpo.codec import decode
from raytune_hpo.core.ledger import Ledger, StudyStatus
from raytune_hpo.core.snapshot import Snapshot, snapshot_of
from raytune_hpo.errors import ClusterError, HpoError
from raytune_hpo.facts import Fact
from raytune_hpo.journal import Storage, open_storage
from raytune_hpo.space import Space
from raytune_hpo.spec import StudySpec

POLL_S = 10.0  # how long one call waits for the study's end
WAKE_S = 0.5  # the longest delay of Ctrl-C
CHUNK = 5_000  # facts per call
CLOSE_S = 5.0


class ClusterHandle:
    """The handle of a study on a cluster; see ``Handle``.

    Args:
        storage: where the study is read after its actors have gone; ``node``: the id of the storage's node.
        owned: the actors that ``close`` ends, by role, the pool first; empty if the study outlives its driver.
        pool: the pool in this process, if there is one, which ``close`` ends as well.
        space: the study's space, if this process has started the study; None if it is attached to it.
    """

    def __init__(
        self,
        name: str,
        optimizer: Any,
        storage: Any,
        node: str,
        owned: Mapping[str, Any] | None = None,
        pool: PoolHere | None = None,
        space: Space | None = None,
    ) -> None:
        self._name, self._optimizer, self._storage, self._space = name, optimizer, storage, space
        self._is_here = not is_remote() and (is_movable(storage) or ray.get_runtime_context().get_node_id() == node)
        self._owned, self._pool = dict(owned or {}), pool
        self._end: Any = None  # the call that waits for the end
        self._num_notes = 0  # that were shown already
        self._reader: RemoteStorage | Storage | None = None

    @property
    def name(self) -> str:
        return self._name

    def status(self) -> StudyStatus:
        try:
            status: StudyStatus = self._call("status")
        except RayError as error:
            status = self._folded(error).status(time.time())
        return status

    def snapshot(self) -> Snapshot:
        if not ray.is_initialized():  # a call would start a new cluster
            raise ClusterError(f"this process has left the cluster; follow the study with hpo.attach({self._name!r})")
        try:
            snapshot: Snapshot = pickle.loads(self._call("snapshot"))
        except RayError as error:
            ledger = self._folded(error)
            if ledger.stopped is None:  # a stopped study does not change: fold it once only
                raise self._lost() from error
            snapshot = snapshot_of(ledger, time.time())
        return snapshot

    def wait(self, timeout_s: float | None = None) -> bool:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left = WAKE_S if deadline is None else min(WAKE_S, deadline - time.monotonic())
            if self._has_ended(max(left, 0.0)):
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False

    def _has_ended(self, timeout_s: float) -> bool:
        """Whether the study ends within ``timeout_s``, which should be short: Ray delays Ctrl-C that long."""
        if self._end is None:
            self._end = self._optimizer.call.remote("wait", POLL_S, self._num_notes)
        try:
            ended, notes = get(self._end, timeout_s)
        except GetTimeoutError:
            return False
        except RayError as error:
            self._end = None
            if not is_gone(error):
                raise
            if self.status().is_running:  # the optimizer is gone, though the study had not ended
                raise self._lost() from error
            return True
        except HpoError:
            self._end = None
            raise
        self._end = None
        self._num_notes += len(notes)
        for note in notes:
            warnings.warn(note, stacklevel=4)
        return bool(ended)

    def _lost(self) -> ClusterError:
        return ClusterError(
            f"the optimizer of study {self._name!r} is gone; what was recorded is safe, run the study again to continue"
        )

    def _folded(self, error: RayError) -> Ledger:
        return Ledger.fold(self._stored(error).read(self._name))

    def facts(self, start: int = 0) -> Iterator[Fact]:
        coming = self._ask_for_facts(start)
        while True:
            try:
                rows = answer_of(coming)
            except RayError as error:
                yield from self._stored(error).read(self._name, start)
                return
            start += len(rows)
            is_last = len(rows) < CHUNK
            if not is_last:
                coming = self._ask_for_facts(start)  # requested while these are decoded
            yield from (decode(*row) for row in rows)
            if is_last:
                return

    def ledger(self, spec: StudySpec | None) -> Ledger:
        return Ledger.fold(self.facts(), spec)

    def _ask_for_facts(self, start: int) -> Any:
        return self._optimizer.call.remote("facts", start, CHUNK)

    def stop(self, reason: str) -> None:
        self._call("stop", reason)

    def stop_trial(self, number: int) -> None:
        self._call("stop_trial", number)

    def enqueue(self, config: Mapping[str, Any]) -> None:
        if self._space is None:
            self._call("enqueue", config)
        else:  # a copy of an unnamed option, such as a lambda, would not be in the optimizer's space
            self._call("enqueue", self._space.to_send(self._space.complete(config)), True)

    def close(self) -> None:
        owned, self._owned = self._owned, {}
        if self._reader is not None:
            self._reader.close()
        if self._pool is not None:
            self._pool.close()
        for actor in owned.values():
            try:
                ray.get(actor.call.remote("close"), timeout=1.0)  # in order, if it can do so at once
            except RayError:
                pass  # it will be killed, and what is durable is so already
            ray.kill(actor)
        deadline = time.monotonic() + CLOSE_S
        while any(exists(role, self._name) for role in owned) and time.monotonic() < deadline:
            time.sleep(0.01)

    def _call(self, method: str, *args: Any) -> Any:
        return answer_of(self._optimizer.call.remote(method, *args))

    def _stored(self, error: RayError) -> RemoteStorage | Storage:
        """The storage, once the optimizer has gone: opened here if it is on this node, since the node may be dying."""
        if not is_gone(error):
            raise error
        if self._storage == "memory":
            raise ClusterError(f"study {self._name!r} was kept in memory, and is gone with its optimizer") from error
        if self._reader is None:
            self._reader = open_storage(self._storage) if self._is_here else open_remote(self._storage)
        return self._reader
