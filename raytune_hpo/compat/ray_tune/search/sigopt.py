"""``ray.tune.search.sigopt``: SigOptSearch, as ``others`` has it."""

from raytune_hpo.compat.ray_tune.search.others import SigOptSearch

__all__ = ["SigOptSearch"]
