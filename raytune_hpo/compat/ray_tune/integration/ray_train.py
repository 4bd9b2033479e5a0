"""``ray.tune.integration.ray_train``: can be imported, but not used."""

from raytune_hpo.compat.ray_tune.not_carried import stand_ins

__getattr__ = stand_ins(
    "ray.tune.integration.ray_train", "call tune.report from a callback of your own, or use raytune_hpo.integrations"
)
