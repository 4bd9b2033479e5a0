"""``ray.air.session``: the running trial, as functions."""

from raytune_hpo.compat.ray_tune.context import get_context
from raytune_hpo.compat.ray_tune.session import get_checkpoint, report

__all__ = [
    "get_checkpoint",
    "get_experiment_name",
    "get_local_rank",
    "get_trial_dir",
    "get_trial_id",
    "get_trial_name",
    "get_trial_resources",
    "get_world_rank",
    "get_world_size",
    "report",
]

_context = get_context()
get_experiment_name = _context.get_experiment_name
get_trial_id, get_trial_name = _context.get_trial_id, _context.get_trial_name
get_trial_dir, get_trial_resources = _context.get_trial_dir, _context.get_trial_resources
get_world_size, get_world_rank, get_local_rank = (
    _context.get_world_size,
    _context.get_world_rank,
    _context.get_local_rank,
)
