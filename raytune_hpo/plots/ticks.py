"""Ticks of axes that plotly does not draw by itself: those of parallel coordinates, and of colours in decades."""

from __future__ import annotations

from math import ceil, floor, log10
from typing import NamedTuple

import numpy as np

from raytune_hpo.display.text import numbers

_NUM = 5  # approximate number for an axis
_FEWEST, _MOST = 3, 7  # powers of ten
_LEAST_STEP = 1e-300  # below, floats lose their digits, and round numbers are none


class Ticks(NamedTuple):
    """The places of ticks on an axis, and their labels."""

    places: list[float]
    labels: list[str]


def linear_ticks(low: float, high: float) -> Ticks:
    """Ticks at round numbers from low to high."""
    values = _round_numbers(low, high)
    return Ticks(values, numbers(values))


def log_ticks(low: float, high: float) -> Ticks:
    """Ticks from low to high, which are decimal logarithms, as the places of the ticks are: at powers of ten if they can."""
    if not high - low > 1:
        values = _round_numbers(10**low, 10**high)
        return Ticks(np.log10(values).tolist(), numbers(values))
    found = np.arange(np.ceil(low), np.floor(high) + 1)
    found = found[:: -(-len(found) // _MOST)]
    if len(found) < _FEWEST:  # between powers of ten, 2 and 5 times one
        between = [power + step for power in range(floor(low), ceil(high)) for step in (0.0, log10(2), log10(5))]
        found = np.array([tick for tick in [*between, ceil(high)] if low <= tick <= high])
    return Ticks(found.tolist(), numbers([10.0**tick for tick in found.tolist()]))


def _round_numbers(low: float, high: float) -> list[float]:
    """About five round numbers from low to high, or the number itself if they are equal."""
    if not high > low:
        return [low]
    rough = high / _NUM - low / _NUM  # a difference of huge numbers may be infinite
    if rough < _LEAST_STEP:
        return [low, high]
    size = 10 ** floor(log10(rough))
    step = next((size * factor for factor in (1, 2, 5) if size * factor >= rough), 10 * size)
    return [float(tick) for tick in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step + 0.0]
