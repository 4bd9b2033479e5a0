"""``ray.tune.syncer``: SyncConfig, and the base of syncers; there is nothing to bring anywhere."""

from __future__ import annotations

from raytune_hpo.compat.ray_tune.config import SyncConfig
from raytune_hpo.compat.ray_tune.not_carried import stand_ins

__all__ = ["SyncConfig", "Syncer"]


class Syncer:
    """The base of what brings a trial's files to remote storage: it can be given to ``SyncConfig``, and is not called.

    Args:
        sync_period: seconds between two times.
    """

    def __init__(self, sync_period: float = 300.0) -> None:
        self.sync_period = sync_period


__getattr__ = stand_ins(
    "ray.tune.syncer", "trials write into storage_path themselves; give a folder that all nodes share"
)
