"""``ray.air`` as scripts for Ray Tune used it before version 2.7."""

from __future__ import annotations

from raytune_hpo.compat.ray_tune.air import session
from raytune_hpo.compat.ray_tune.checkpoint import Checkpoint
from raytune_hpo.compat.ray_tune.config import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from raytune_hpo.compat.ray_tune.not_carried import stand_ins
from raytune_hpo.compat.ray_tune.result import Result

__all__ = ["Checkpoint", "CheckpointConfig", "FailureConfig", "Result", "RunConfig", "ScalingConfig", "session"]

__getattr__ = stand_ins("ray.air", "training with several workers stays with Ray Train, and its tuning with Ray Tune")
