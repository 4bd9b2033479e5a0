"""Results of studies: the trials, the best of them, summaries, JSON records and exports."""

from raytune_hpo.results.results import Results

__all__ = ["Results"]
