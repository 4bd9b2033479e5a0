"""``ray.tune.experiment.trial``: Trial, as callbacks see it."""

from raytune_hpo.compat.ray_tune.trials import Trial

__all__ = ["Trial"]
