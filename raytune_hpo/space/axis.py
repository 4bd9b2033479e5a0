"""Axes: what a model needs to know about each column of the unit cube."""

from __future__ import annotations

import numpy as np

from raytune_hpo.numerics.axes import Axis, Kind
from raytune_hpo.space.domain import Domain

_LONGEST_GRID = 64  # an ordered domain with more values counts as a continuum


def axis_of(domain: Domain) -> Axis:
    """The axis of a domain: real, a grid of a few ordered values, or nominal."""
    size = domain.size
    if size is None or (size > _LONGEST_GRID and domain.is_ordered):
        return Axis(Kind.REAL)
    centres = np.sort(domain.encode([domain.nth(position) for position in range(size)]))
    return Axis(Kind.GRID if domain.is_ordered else Kind.NOMINAL, centres)
