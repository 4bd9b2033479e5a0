"""``ray.air.config``: the settings of a run."""

from raytune_hpo.compat.ray_tune.config import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig

__all__ = ["CheckpointConfig", "FailureConfig", "RunConfig", "ScalingConfig"]
