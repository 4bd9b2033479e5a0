"""Arithmetic of unit coordinates: cells of a grid, exact round trips, decimals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

import numpy as np

from raytune_hpo.arrays import Array

_NEIGHBOURS = 16  # floats on either side among which an exact coordinate is looked for
FINEST = 2.0**48
_EXACT_DECIMALS = 12  # numpy rounds by multiplying, which is exact as long as few decimals make no large numbers
_EXACT = 2.0**50


def settle(unit: Array, codes: Array, decode: Callable[[Array], Array], apart: float = 0.0) -> Array:
    """Unit coordinates that decode to exactly these codes, searched among the neighbours of the given ones: the adjacent
    floats or, for a domain that snaps, the adjacent multiples of ``apart``.

    A coordinate computed by inverting the decoder is off by a few roundings at most, so if a code was decoded from some
    float, the search finds such a float. A code that no float decodes to keeps the coordinate it came with.
    """
    unit = unit.clip(0.0, 1.0)
    open_rows = np.flatnonzero(decode(unit) != codes)
    below = above = unit[open_rows]
    for _ in range(_NEIGHBOURS):
        if not len(open_rows):
            break
        below, above = np.nextafter(below - apart, 0.0), np.nextafter(above + apart, 1.0)
        for near in (np.clip(below, 0.0, 1.0), np.clip(above, 0.0, 1.0)):
            hit = decode(near) == codes[open_rows]
            unit[open_rows[hit]] = near[hit]
        missed = decode(unit[open_rows]) != codes[open_rows]
        open_rows, below, above = open_rows[missed], below[missed], above[missed]
    return unit


def snap(unit: Array) -> Array:
    """Coordinates rounded to multiples of 2**-48, without 0 and 1: a normal domain then ends at 7.9 standard deviations.

    Probabilities computed back from values are off by less than half of that, so a domain that decodes only snapped
    coordinates recovers them exactly. No sampler needs a finer grid.
    """
    return np.clip(np.rint(unit * FINEST), 1, FINEST - 1) / FINEST


def equal_cells(unit: Array, num: int) -> Array:
    """The cell, of ``num`` of equal width, in which each coordinate lies; the last cell includes 1."""
    return np.minimum((unit.clip(0.0, 1.0) * num).astype(np.int64), num - 1)


def decimals_of(*numbers: float, largest: float) -> int | None:
    """The number of decimals that all the numbers need; None if values as large as ``largest`` have no room for them."""
    most = max(-int(Decimal(str(x)).normalize().as_tuple().exponent) for x in numbers)
    return max(most, 0) if most <= _EXACT_DECIMALS and abs(largest) * 10.0**most < _EXACT else None


def on_decimals(values: Array, decimals: int | None) -> Array:
    """Multiples of a decimal step as they are written: 0.3 instead of 0.30000000000000004, and 0.0 instead of -0.0."""
    return (values if decimals is None else np.round(values, decimals)) + 0.0


@dataclass(frozen=True)
class Cells:
    """The cells of the grid lo, lo + step, ...: of equal width, or on a log scale from each value to the next."""

    lo: float
    step: float
    num: int
    log: bool

    def positions(self, unit: Array) -> Array:
        if not self.log:
            return equal_cells(unit, self.num)
        cell = np.expm1(unit.clip(0.0, 1.0) * self._span) * (self.lo / self.step)
        return np.clip(cell.astype(np.int64), 0, self.num - 1)

    def centres(self, positions: Array) -> Array:
        if not self.log:
            return (positions + 0.5) / self.num
        left, right = self._log(positions), self._log(positions + 1)
        return (left + right) / (2 * self._span)

    def _log(self, positions: Array) -> Array:
        return np.log1p(positions * (self.step / self.lo))

    @cached_property
    def _span(self) -> float:
        return math.log1p(self.num * (self.step / self.lo))
