"""``ray.air.checkpoint``: Checkpoint, which may contain a dict."""

from raytune_hpo.compat.ray_tune.checkpoint import Checkpoint

__all__ = ["Checkpoint"]
