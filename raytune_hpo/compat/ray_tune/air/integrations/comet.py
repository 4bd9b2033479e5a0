"""``ray.air.integrations.comet``: can be imported, but not used."""

from raytune_hpo.compat.ray_tune.not_carried import stand_ins

__getattr__ = stand_ins(
    "ray.air.integrations.comet", "write a LoggerCallback, or use a logger of raytune_hpo.integrations"
)
