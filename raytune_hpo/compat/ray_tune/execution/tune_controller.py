"""``ray.tune.execution.tune_controller``: Ray Tune's own loop; it can be imported, but not used."""

from raytune_hpo.compat.ray_tune.not_carried import stand_ins

__getattr__ = stand_ins("ray.tune.execution.tune_controller", "experiments are run by Tuner.fit alone")
