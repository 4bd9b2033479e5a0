"""The driver's handle of a study on a cluster."""

from __future__ import annotations

import pickle
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError

from raytune_hpo.cluster import is_remote
from raytune_hpo.cluster.connecting import connection
from raytune_hpo.cluster.environment import is_movable
from raytune_hpo.cluster.failures import gone_from_memory
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
        self._connection = connection()
        self._owned, self._pool = dict(owned or {}), pool
        self._ends_with_driver = bool(owned)
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
            status = self._ended(error).status(time.time())
        return status

    def snapshot(self) -> Snapshot:
        try:
            snapshot: Snapshot = pickle.loads(self._call("snapshot"))
        except RayError as error:
            snapshot = snapshot_of(self._ended(error), time.time())
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
        self._require_connection()
        if self._end is None:
            self._end = self._ask("wait", POLL_S, self._num_notes)
        try:
            with self._staying():
                ended, notes = get(self._end, timeout_s)
        except GetTimeoutError:
            return False
        except RayError as error:
            self._end = None
            self._ended(error)
            return True
        except HpoError:
            self._end = None
            raise
        self._end = None
        self._num_notes += len(notes)
        for note in notes:
            warnings.warn(note, stacklevel=4)
        return bool(ended)

    def _ended(self, error: RayError) -> Ledger:
        """The study as it is stored, once its optimizer has gone.

        Raises:
            ClusterError: the study had not ended.
        """
        ledger = Ledger.fold(self._stored(error).read(self._name))
        if ledger.stopped is None:
            raise ClusterError(
                f"the optimizer of study {self._name!r} is gone; what was recorded is safe, run the study again to continue"
            ) from error
        return ledger

    def facts(self, start: int = 0) -> Iterator[Fact]:
        coming = self._ask("facts", start, CHUNK)
        while True:
            self._require_connection()
            try:
                with self._staying():
                    rows = answer_of(coming)
            except RayError as error:
                yield from self._stored(error).read(self._name, start)
                return
            start += len(rows)
            is_last = len(rows) < CHUNK
            if not is_last:
                coming = self._ask("facts", start, CHUNK)  # requested while these are decoded
            yield from (decode(*row) for row in rows)
            if is_last:
                return

    def ledger(self, spec: StudySpec | None) -> Ledger:
        return Ledger.fold(self.facts(), spec)

    def stop(self, reason: str) -> None:
        try:
            self._call("stop", reason)
        except RayError as error:
            self._ended(error)  # there is nothing left to stop

    def stop_trial(self, number: int) -> None:
        self._command("stop_trial", number)

    def enqueue(self, config: Mapping[str, Any]) -> None:
        if self._space is None:
            self._command("enqueue", config)
        else:  # a copy of an unnamed option, such as a lambda, would not be in the optimizer's space
            self._command("enqueue", self._space.to_send(self._space.complete(config)), True)

    def _command(self, method: str, *args: Any) -> None:
        """Call a method that only a running study has.

        Raises:
            ClusterError: the study has ended, or its optimizer is gone.
        """
        try:
            self._call(method, *args)
        except RayError as error:
            stopped = self._ended(error).stopped
            raise ClusterError(
                f"study {self._name!r} has ended ({stopped}); run it again to continue, with a larger num_trials if it "
                f"has reached that"
            ) from error

    def close(self) -> None:
        owned, self._owned = self._owned, {}
        if not self._is_connected():  # they ended with the connection of their driver
            owned = {}
        if self._reader is not None:
            self._reader.close()
        if self._pool is not None:
            self._pool.close()
        for actor in owned.values():
            with suppress(RayError):  # it will be killed, and what is durable is so already
                ray.get(actor.call.remote("close"), timeout=1.0)  # in order, if it can do so at once
            ray.kill(actor)
        if owned and self._end is not None:
            # Ray prints errors that nobody fetches, and another call has raised this one.
            with suppress(RayError, HpoError):
                get(self._end, CLOSE_S)
        deadline = time.monotonic() + CLOSE_S
        while any(exists(role, self._name) for role in owned) and time.monotonic() < deadline:
            time.sleep(0.01)

    def _call(self, method: str, *args: Any) -> Any:
        with self._staying():
            return answer_of(self._ask(method, *args))

    @contextmanager
    def _staying(self) -> Iterator[None]:
        """Explain what a call raises because another thread calls ``ray.shutdown()`` meanwhile.

        Raises:
            ClusterError: this process has left the cluster.
        """
        try:
            yield
        except (RayError, ClusterError):
            self._require_connection()
            raise

    def _ask(self, method: str, *args: Any) -> Any:
        """Call the optimizer, and return Ray's reference to the answer.

        Raises:
            ClusterError: this process has left the cluster.
        """
        self._require_connection()
        return self._optimizer.call.remote(method, *args)

    def _is_connected(self) -> bool:
        return self._connection is not None and self._connection == connection()

    def _require_connection(self) -> None:
        """Refuse what needs the cluster once this process has left it: Ray would start another, and ask that.

        Raises:
            ClusterError: this process has left, even if it has come back: Ray does not pass on handles of actors.
        """
        if not self._is_connected():
            way_out = (
                "the study has ended with that, and the same call continues it"
                if self._ends_with_driver
                else f"follow the study with hpo.attach({self._name!r})"
            )
            raise ClusterError(f"this process has left the cluster; {way_out}")

    def _stored(self, error: RayError) -> RemoteStorage | Storage:
        """The storage, once the optimizer has gone: opened here if it is on this node, since the node may be dying."""
        if not is_gone(error):
            raise error
        if self._storage == "memory":
            raise gone_from_memory(self._name) from error
        if self._reader is None:
            self._reader = open_storage(self._storage) if self._is_here else open_remote(self._storage)
        return self._reader
