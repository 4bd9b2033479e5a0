"""``ray.train`` as scripts for Ray Tune use it: reports, checkpoints and settings, without distributed training."""

from __future__ import annotations

from raytune_hpo.compat.ray_tune.checkpoint import Checkpoint
from raytune_hpo.compat.ray_tune.config import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig, SyncConfig
from raytune_hpo.compat.ray_tune.context import TuneContext as TrainContext
from raytune_hpo.compat.ray_tune.context import get_context
from raytune_hpo.compat.ray_tune.not_carried import stand_ins
from raytune_hpo.compat.ray_tune.result import Result
from raytune_hpo.compat.ray_tune.session import get_checkpoint, report

__all__ = [
    "Checkpoint",
    "CheckpointConfig",
    "FailureConfig",
    "Result",
    "RunConfig",
    "ScalingConfig",
    "SyncConfig",
    "TrainContext",
    "get_checkpoint",
    "get_context",
    "report",
]

__getattr__ = stand_ins("ray.train", "training with several workers stays with Ray Train, and its tuning with Ray Tune")
