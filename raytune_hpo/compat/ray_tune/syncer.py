"""``ray.tune.syncer``: SyncConfig, and the base of syncers; nothing is uploaded here."""

from __future__ import annotations

from raytune_hpo.compat.ray_tune.config import SyncConfig
from raytune_hpo.compat.ray_tune.not_carried import stand_ins

__all__ = ["SyncConfig", "Syncer"]


class Syncer:
    """The base of uploads of trials' files to remote storage: accepted by ``SyncConfig``, and never called.

    Args:
        sync_period: seconds between two uploads.
    """

    def __init__(self, sync_period: float = 300.0) -> None:
        self.sync_period = sync_period


__getattr__ = stand_ins(
    "ray.tune.syncer", "trials write into storage_path themselves; give a folder that all nodes share"
)
