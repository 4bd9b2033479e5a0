"""``ray.tune.search.skopt``: SkOptSearch, as ``others`` has it."""

from raytune_hpo.compat.ray_tune.search.others import SkOptSearch

__all__ = ["SkOptSearch"]
