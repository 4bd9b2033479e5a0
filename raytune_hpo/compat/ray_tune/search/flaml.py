"""``ray.tune.search.flaml``: BlendSearch and CFO, as ``others`` has them."""

from raytune_hpo.compat.ray_tune.search.others import CFO, BlendSearch

__all__ = ["CFO", "BlendSearch"]
