"""Thinning of sequences, for figures, messages and forests whose size must not grow with the study.

losses  (n,)  minimised; without NaN
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

_Item = TypeVar("_Item")
_BEST = 0.2  # share of the best ones among the entries that are kept


def strided(length: int, most: int) -> range:
    """At most ``most`` positions of a growing sequence, evenly spaced from the first on.

    The stride is a power of two: positions stay the same until the sequence has doubled, so that a figure that is redrawn
    often does not flicker.
    """
    stride = 1
    while length > most * stride:
        stride *= 2
    return range(0, length, stride)


def evenly_spaced(length: int, most: int) -> npt.NDArray[np.intp]:
    """At most ``most`` positions of a sequence, evenly spaced, the first and the last among them."""
    if length <= most:
        return np.arange(length)
    # The product is exact and rounded once: positions must not depend on the last digit of a step.
    exact: npt.NDArray[np.float64] = np.arange(most) * (length - 1) / max(most - 1, 1)
    return np.rint(exact).astype(np.intp)


def evenly_chosen(items: Sequence[_Item], most: int) -> list[_Item]:
    """At most ``most`` of the items in their order, evenly spaced, the first and the last among them."""
    return [items[index] for index in evenly_spaced(len(items), most).tolist()]


def best_and_others(losses: npt.NDArray[np.float64], most: int) -> npt.NDArray[np.intp]:
    """At most ``most`` positions, in order, that represent all: a fifth are the best, the others are evenly spaced."""
    if len(losses) <= most:
        return np.arange(len(losses))
    kept = np.zeros(len(losses), dtype=bool)
    kept[np.argsort(losses, kind="stable")[: round(_BEST * most)]] = True
    others = np.flatnonzero(~kept)
    kept[others[evenly_spaced(len(others), most - int(kept.sum()))]] = True
    return np.flatnonzero(kept)
