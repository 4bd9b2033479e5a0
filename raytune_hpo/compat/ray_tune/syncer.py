"""``ray.tune.syncer``: SyncConfig; there is nothing to bring anywhere."""

from raytune_hpo.compat.ray_tune.config import SyncConfig
from raytune_hpo.compat.ray_tune.not_carried import stand_ins

__all__ = ["SyncConfig"]

__getattr__ = stand_ins(
    "ray.tune.syncer", "trials write into storage_path themselves; give a folder that all nodes share"
)
