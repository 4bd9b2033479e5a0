"""Studies on Ray: the only folder that imports it, and only inside the functions that are called.

A study on a cluster is an OptimizerActor (one, on the head node), a WorkerPool (one) and TrialWorkers (many). All of
them live in shells (bootstrap.py) that carry this package to machines which do not have it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from raytune_hpo.cluster.parameters import WithParameters, with_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raytune_hpo.cluster.calls import RayCalls
    from raytune_hpo.cluster.handle import ClusterHandle
    from raytune_hpo.cluster.remote import RemoteStorage
    from raytune_hpo.runtime.calls import Function
    from raytune_hpo.runtime.plan import RunPlan

__all__ = [
    "WithParameters",
    "attach",
    "connect",
    "is_remote",
    "remote_storage",
    "running",
    "start",
    "start_calls",
    "with_parameters",
]


def connect(address: str | None = None) -> None:
    """Connect this process to a Ray cluster; does nothing where Ray is initialised already.

    Without an address: RAY_ADDRESS, then RAY_HEAD_SERVICE_HOST (as Kubernetes sets it), then a new local cluster.

    Raises:
        ClusterError: it cannot be reached, refuses us, or runs another Python or Ray.
    """
    from raytune_hpo.cluster import connecting

    connecting.connect(address)


def start(plan: RunPlan, *, detached: bool) -> ClusterHandle:
    """Run a study on the cluster. Detached: it goes on when this process has gone.

    Raises:
        StudyExists: a study of this name runs there already.
        SpecMismatch: it is stored with other settings.
        SpecError: the objective cannot be sent to other processes.
        ClusterError: Ray cannot be reached.
    """
    from raytune_hpo.cluster import launching

    return launching.start(plan, detached=detached)


def start_calls(
    function: Function, shared: Any, *, resources: Mapping[str, float], max_slots: int | None = None
) -> RayCalls:
    """Calls of a function as Ray tasks, each of which needs these resources; see ``runtime.calls``.

    Raises:
        SpecError: what is shared cannot be sent to other processes.
        ClusterError: Ray cannot be reached.
    """
    from raytune_hpo.cluster.calls import RayCalls

    return RayCalls(function, shared, resources=resources, max_slots=max_slots)


def attach(name: str) -> ClusterHandle:
    """The handle of a study that runs on the cluster.

    Raises:
        StudyNotFound: naming the nearest of those that run.
    """
    from raytune_hpo.cluster import launching

    return launching.attach(name)


def running() -> list[str]:
    """The names of the studies that run on the cluster."""
    from raytune_hpo.cluster import launching

    return launching.running()


def is_remote() -> bool:
    """Whether this process reaches its cluster from outside (Ray Client), so that files there are not files here."""
    ray = sys.modules.get("ray")
    return ray is not None and ray.util.client.ray.is_connected()


def remote_storage(storage: Any = None) -> RemoteStorage:
    """Stored studies, read where the optimizer would write them: on the cluster's head node."""
    from raytune_hpo.cluster import remote

    return remote.open_remote(storage)
