"""``ray.tune.search.hebo``: HEBOSearch, as ``others`` has it."""

from raytune_hpo.compat.ray_tune.search.others import HEBOSearch

__all__ = ["HEBOSearch"]
