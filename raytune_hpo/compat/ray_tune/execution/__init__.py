"""``ray.tune.execution``: the parts that scripts import of the machinery that runs trials."""

from raytune_hpo.compat.ray_tune.execution import placement_groups, tune_controller

__all__ = ["placement_groups", "tune_controller"]
