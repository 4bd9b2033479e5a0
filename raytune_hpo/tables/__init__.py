"""Lookup tables: configurations with their learning curves and durations, so that a search needs no training."""

from raytune_hpo.tables.design import tabulate
from raytune_hpo.tables.lookup_table import LookupTable

__all__ = ["LookupTable", "tabulate"]
