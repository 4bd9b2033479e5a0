"""Results of studies: the trials, the best of them, their records, and ways to show them and to take them elsewhere."""

from raytune_hpo.results.results import Results

__all__ = ["Results"]
