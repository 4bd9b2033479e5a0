"""Checkpoints on the disks of a cluster's nodes, read and deleted by Ray tasks on those nodes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raytune_hpo.checkpoints import fetching
from raytune_hpo.checkpoints.fetching import NODE, URL
from raytune_hpo.checkpoints.folders import removed


class ClusterNodes:
    """Access to the nodes' disks by Ray tasks; see ``checkpoints.fetching.Nodes``."""

    def bring(self, record: Mapping[str, Any], folder: Path) -> None:
        try:
            packed: bytes | None = ray.get(_on(record[NODE], _packed, record[URL]))
        except RayError as error:
            raise FileNotFoundError(f"node {record[NODE]}, on whose disk it was, cannot be reached: {error}") from error
        if packed is None:
            raise FileNotFoundError(f"it is not on node {record[NODE]} any more")
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extraction_filter = getattr(tarfile, "data_filter", None)  # since 3.10.12
            archive.extractall(folder)

    def delete(self, record: Mapping[str, Any]) -> None:
        _on(record[NODE], _removed, record[URL])  # not awaited; if the node is gone, so is the checkpoint


def know_nodes() -> None:
    """Give this process, which is connected to a cluster, access to the disks of all nodes."""
    if not fetching.nodes:
        fetching.nodes.append(ClusterNodes())


def this_node() -> str:
    """The id of the node that this process runs on."""
    return str(ray.get_runtime_context().get_node_id())


def _on(node: str, function: Callable[..., Any], *args: Any) -> Any:
    strategy = NodeAffinitySchedulingStrategy(node, soft=False)
    task = ray.remote(num_cpus=0, max_retries=2, scheduling_strategy=strategy)(function)  # type: ignore[call-overload]
    return task.remote(*args)


def _packed(path: str) -> bytes | None:
    """A folder as a tar archive; None if it does not exist."""
    if not Path(path).is_dir():
        return None
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(path, arcname=".")
    return packed.getvalue()


def _removed(path: str) -> None:
    removed(Path(path))
