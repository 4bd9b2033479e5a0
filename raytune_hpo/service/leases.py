"""Leases of workers over HTTP: the time within which a worker must send a heartbeat. No I/O; in memory only.

A lease's id is part of the name under which its worker stands in the journal, ``http-NAME.LEASE``: after a restart of the
service, leases are recovered from the facts, and each gets its full term. The clock stands still while the service is down,
so that no lease ends because of that.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from raytune_hpo.runtime.attendance import MAX_STEP_S
from raytune_hpo.runtime.desk import FREE

TERM_S = 60.0
HEARTBEATS = 3  # in a term


@dataclass
class Lease:
    """A worker's lease.

    Attributes:
        worker: the name that the worker gave itself.
        ends_at: on the book's clock, in seconds.
    """

    id: str
    worker: str
    ttl_s: float
    ends_at: float

    @property
    def name(self) -> str:
        """The worker's name in the journal."""
        return f"{FREE}{self.worker}.{self.id}"

    @property
    def heartbeat_s(self) -> float:
        """The interval at which heartbeats should be sent, in seconds."""
        return self.ttl_s / HEARTBEATS


class LeaseBook:
    """The leases of one study's workers, one for each worker.

    Attributes:
        now_s: the book's clock.
        num_expired: how many leases have expired.
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        self.num_expired = 0
        self._leases: dict[str, Lease] = {}
        self._by_worker: dict[str, Lease] = {}

    def pass_time(self, elapsed_s: float) -> None:
        """Advance the book's clock by ``elapsed_s`` seconds."""
        self.now_s += min(elapsed_s, MAX_STEP_S)

    def find_again(self, names: Iterable[str]) -> None:
        """Recover the leases of workers from their names in the journal, each with its full term."""
        for name in names:
            if worker := worker_of(name):
                self._enter(Lease(name.rpartition(".")[2], worker, TERM_S, self.now_s + TERM_S))

    def of_worker(self, worker: str, ttl_s: float) -> Lease:
        """The lease of a worker, renewed; a new one where it has none."""
        lease = self._by_worker.get(worker)
        if lease is None:
            lease = Lease(secrets.token_hex(6), worker, ttl_s, 0.0)
            self._enter(lease)
        return self._renewed(lease, ttl_s)

    def renew(self, key: str, ttl_s: float | None = None) -> Lease | None:
        """Renew a lease after a heartbeat; None: there is no such lease, or it has ended."""
        lease = self._leases.get(key)
        return None if lease is None else self._renewed(lease, lease.ttl_s if ttl_s is None else ttl_s)

    def named(self, name: str | None) -> Lease | None:
        """The lease of a worker, by its name in the journal."""
        return self._leases.get((name or "").rpartition(".")[2])

    def end(self, key: str) -> Lease | None:
        """End a lease; None where there is none."""
        lease = self._leases.pop(key, None)
        if lease is not None and self._by_worker.get(lease.worker) is lease:
            del self._by_worker[lease.worker]
        return lease

    def expire(self) -> list[Lease]:
        """End the leases whose terms are over, and return them."""
        over = [lease for lease in self._leases.values() if lease.ends_at <= self.now_s]
        for lease in over:
            self.end(lease.id)
        self.num_expired += len(over)
        return over

    def all(self) -> list[Lease]:
        return list(self._leases.values())

    def _enter(self, lease: Lease) -> None:
        self._leases[lease.id] = self._by_worker[lease.worker] = lease

    def _renewed(self, lease: Lease, ttl_s: float) -> Lease:
        lease.ttl_s, lease.ends_at = ttl_s, self.now_s + ttl_s
        return lease


def worker_of(name: str) -> str | None:
    """A worker's own name, from its name in the journal; None if it is not a worker over HTTP."""
    return name.removeprefix(FREE).rpartition(".")[0] or None if name.startswith(FREE) else None
