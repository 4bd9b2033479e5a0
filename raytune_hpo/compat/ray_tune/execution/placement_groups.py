"""``ray.tune.execution.placement_groups``: PlacementGroupFactory."""

from raytune_hpo.compat.ray_tune.resources import PlacementGroupFactory

__all__ = ["PlacementGroupFactory"]
