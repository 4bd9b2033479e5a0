"""``ray.tune.experiment``: Trial, as callbacks see it, and Experiment, for ``run_experiments``."""

from raytune_hpo.compat.ray_tune.trials import Trial
from raytune_hpo.compat.ray_tune.tune import Experiment

__all__ = ["Experiment", "Trial"]
