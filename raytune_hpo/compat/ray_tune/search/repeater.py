"""``ray.tune.search.repeater``: Repeater, which says what to do instead."""

from raytune_hpo.compat.ray_tune.search.searcher import Repeater

__all__ = ["Repeater"]
