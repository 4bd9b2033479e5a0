"""What to try next: glue between trials and numerics; one paper, one file."""

from raytune_hpo.samplers.grid import Grid
from raytune_hpo.samplers.hyperopt import Hyperopt
from raytune_hpo.samplers.random import Random
from raytune_hpo.samplers.sobol import Sobol

__all__ = ["Grid", "Hyperopt", "Random", "Sobol"]
