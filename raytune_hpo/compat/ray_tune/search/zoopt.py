"""``ray.tune.search.zoopt``: ZOOptSearch, as ``others`` has it."""

from raytune_hpo.compat.ray_tune.search.others import ZOOptSearch

__all__ = ["ZOOptSearch"]
