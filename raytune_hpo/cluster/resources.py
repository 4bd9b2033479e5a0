"""Resources of trials as Ray's bundles, and how many trials fit."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import ray

_WORDS = {"cpu": "CPU", "gpu": "GPU", "memory": "memory"}
_THREAD_LIMITS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "POLARS_MAX_THREADS",
)

_log = logging.getLogger("raytune_hpo")

Bundles = Sequence[Mapping[str, float]]


def as_bundles(resources: Mapping[str, float] | Bundles) -> list[dict[str, float]]:
    """The resources of one trial as Ray's bundles; the objective's process gets the first."""
    bundles = [resources] if isinstance(resources, Mapping) else resources
    return [{_WORDS.get(name, name): amount for name, amount in b.items() if amount > 0} for b in bundles]


def actor_options(bundle: Mapping[str, float]) -> dict[str, Any]:
    """The options of an actor that takes a bundle."""
    rest = {name: amount for name, amount in bundle.items() if name not in _WORDS.values()}
    options = {"num_cpus": bundle.get("CPU", 0), "num_gpus": bundle.get("GPU", 0), "resources": rest}
    return {**options, "memory": bundle["memory"]} if "memory" in bundle else options


def thread_limits(bundle: Mapping[str, float], already: Mapping[str, str]) -> dict[str, str]:
    """Environment variables that limit numeric libraries to the trial's CPUs; those set by the user stay."""
    threads = str(max(1, int(bundle.get("CPU", 1))))
    return {name: threads for name in _THREAD_LIMITS if name not in already}


def limit_threads(number: int) -> None:
    """Limit the threads of numeric libraries that are loaded already, if threadpoolctl is installed."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return
    threadpool_limits(number)


def room(bundles: Bundles, available: Mapping[str, float]) -> int:
    """How many trials fit into the available resources; a trial that needs none counts as one CPU."""
    needed: dict[str, float] = {}
    for bundle in bundles:
        for name, amount in bundle.items():
            needed[name] = needed.get(name, 0.0) + amount
    needed = needed or {"CPU": 1.0}
    return min(int((available.get(name, 0.0) + 1e-9) / amount) for name, amount in needed.items())


def warn_if_infeasible(what: str, resources: Mapping[str, float] | Bundles) -> None:
    """Warn if some bundle fits on no node of the current cluster, even on an empty one."""
    untyped: Any = ray
    nodes = [node["Resources"] for node in untyped.nodes() if node["Alive"]]
    has_room = [
        any(all(node.get(name, 0.0) >= amount for name, amount in bundle.items()) for node in nodes)
        for bundle in as_bundles(resources)
    ]
    if not all(has_room):
        text = f"no node of the cluster has room for {what} with resources={resources}; it waits until one joins"
        warnings.warn(text, stacklevel=3)


def num_requests() -> int:
    """How many tasks and actors of the whole cluster wait for room; 0 if this version of Ray does not say."""
    try:
        sdk = importlib.import_module("ray.autoscaler.v2.sdk")
        state = sdk.get_cluster_resource_state(sdk.GcsClient(ray.get_runtime_context().gcs_address))
        return sum(request.count for request in state.pending_resource_requests)
    except Exception:  # not a public API of Ray: without it, only a hint is missing
        _log.debug("this Ray does not say what waits for room", exc_info=True)
        return 0
