"""Early stopping: one rule, one file."""

from raytune_hpo.schedulers.asha import ASHA
from raytune_hpo.schedulers.median import Median

__all__ = ["ASHA", "Median"]
