"""``ray.air.integrations.keras``: can be imported, but not used."""

from raytune_hpo.compat.ray_tune.not_carried import stand_ins

__getattr__ = stand_ins(
    "ray.air.integrations.keras", "write a LoggerCallback, or use a logger of raytune_hpo.integrations"
)
