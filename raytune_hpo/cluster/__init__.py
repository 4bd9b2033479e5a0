"""Studies on Ray: the only folder that imports it.

A study on a cluster has one OptimizerActor (on the head node), one WorkerPool and many TrialWorkers. If a study ends with
its driver, the pool runs in the driver; everything else runs in shells (bootstrap.py), which carry this package to machines
that do not have it.

Names are resolved when they are first used: importing this package does not load Ray.
"""

from __future__ import annotations

import importlib
import logging
import sys
import warnings
from typing import TYPE_CHECKING, Any

from raytune_hpo.cluster.parameters import WithParameters, with_parameters

if TYPE_CHECKING:
    from raytune_hpo.cluster.calls import RayCalls as start_calls
    from raytune_hpo.cluster.connecting import connect, is_connected
    from raytune_hpo.cluster.conversations import Conversations as start_conversations
    from raytune_hpo.cluster.launching import attach, running, start
    from raytune_hpo.cluster.remote import open_remote as remote_storage

# Importing Ray logs that a notebook has no ipywidgets, which neither Ray's own output nor ours needs.
logging.getLogger("ray.widgets.util").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", message="IProgress not found")

_HOMES = {
    "attach": "launching:attach",
    "connect": "connecting:connect",
    "is_connected": "connecting:is_connected",
    "remote_storage": "remote:open_remote",
    "running": "launching:running",
    "start": "launching:start",
    "start_calls": "calls:RayCalls",
    "start_conversations": "conversations:Conversations",
}

__all__ = [
    "WithParameters",
    "attach",
    "connect",
    "is_connected",
    "is_remote",
    "remote_storage",
    "running",
    "start",
    "start_calls",
    "start_conversations",
    "with_parameters",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, home_name = _HOMES[name].partition(":")
    return getattr(importlib.import_module(f"{__name__}.{module}"), home_name)


def is_remote() -> bool:
    """Whether this process reaches its cluster from outside (Ray Client), so that files there are not files here."""
    ray = sys.modules.get("ray")
    return ray is not None and ray.util.client.ray.is_connected()
