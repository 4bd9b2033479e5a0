"""The empirical distribution of a metric: the share of trials up to each value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raytune_hpo.analysis.series import Floats
from raytune_hpo.numerics.thinning import evenly_spaced

_MIN_FOR_HALVES = 20  # values: halves of fewer are not worth comparing


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """An empirical distribution, as a step function.

    Attributes:
        values: (k,) in increasing order.
        shares: (k,) the share of all values that are at most this.
        num: the number of values.
    """

    values: Floats
    shares: Floats
    num: int


def empirical_distribution(values: Floats, points: int = 500) -> Distribution:
    """The empirical distribution of the values (n,) that are not NaN, at its steps or at ``points`` of them."""
    known = np.sort(values[np.isfinite(values)])
    n = len(known)
    last = np.append(np.flatnonzero(np.diff(known) > 0), n - 1) if n else np.empty(0, dtype=np.intp)
    last = last[evenly_spaced(len(last), points)]
    return Distribution(values=known[last], shares=(last + 1) / max(n, 1), num=n)


def halves(values: Floats) -> list[tuple[str, Distribution]]:
    """The distribution of all values and, given at least 20, those of the first and the second half of the study."""
    known = values[np.isfinite(values)]
    found = [("all trials", empirical_distribution(known))]
    if len(known) >= _MIN_FOR_HALVES:
        middle = len(known) // 2
        found.append(("first half", empirical_distribution(known[:middle])))
        found.append(("second half", empirical_distribution(known[middle:])))
    return found
