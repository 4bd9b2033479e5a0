"""What a study has found: its trials, the best of them, and ways to show them and to take them elsewhere."""

from raytune_hpo.results.results import Results

__all__ = ["Results"]
