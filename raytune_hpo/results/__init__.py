"""Results of studies: the trials, the best of them, their records, displays and exports."""

from raytune_hpo.results.results import Results

__all__ = ["Results"]
