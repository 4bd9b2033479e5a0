"""Total violations: by how much points break several constraints together.

Y  (n, m)  losses, minimised
C  (n, c)  by how much each constraint is broken; 0 or less where it is kept, NaN where that is not known
"""

from __future__ import annotations

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.pareto import fronts


def total_violations(C: Array) -> Array:
    """The total violation (n,) of each row: 0 if all constraints are kept, NaN if none is known to be broken and one is
    not known.

    Each constraint counts in units of the median of its violations, so that seconds and shares count alike.
    """
    broken = np.clip(C, 0.0, np.finfo(np.float64).max / 2)  # the median of two of 1e308 would be infinite
    units = [np.median(column[column > 0]) if (column > 0).any() else 1.0 for column in broken.T]
    with np.errstate(over="ignore"):
        total = np.nansum(broken / np.array(units), axis=1)
    return np.where((total == 0) & np.isnan(C).any(axis=1), np.nan, total)


def by_feasibility(violations: Array) -> Array:
    """The group (n,) of each row, the lower the better: 0 if feasible, 1 if not known, 2 and up in the order of violations.

    (Deb, Comput. Methods Appl. Mech. Engrg. 186, 2000)
    """
    levels = np.unique(violations[violations > 0])
    group = np.where(np.isnan(violations), 1, 0)
    return np.where(violations > 0, 2 + np.searchsorted(levels, violations), group)


def feasible_fronts(Y: Array, C: Array) -> Array:
    """The place (n,) of each row, 0 the best: by feasibility, and within a group by Pareto front."""
    if not C.shape[1]:
        return fronts(Y)
    group = by_feasibility(total_violations(C))
    if Y.shape[1] == 1:
        _, place = np.unique(np.column_stack([group, Y]), axis=0, return_inverse=True)
        return np.asarray(place.reshape(-1))
    place, first = np.zeros(len(Y), dtype=int), 0
    for level in np.unique(group):
        members = np.flatnonzero(group == level)
        if len(members) > 1:  # violations are seldom equal
            place[members] = fronts(Y[members])
        place[members] += first
        first = int(place[members].max()) + 1
    return place
