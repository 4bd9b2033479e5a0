"""``ray.tune.search.dragonfly``: DragonflySearch, as ``others`` has it."""

from raytune_hpo.compat.ray_tune.search.others import DragonflySearch

__all__ = ["DragonflySearch"]
