"""Total violations: by how much points break several constraints together.

C  (n, c)  by how much each constraint is broken; 0 or less where it is kept, NaN where that is not known
"""

from __future__ import annotations

import numpy as np

from raytune_hpo.arrays import Array


def total_violations(C: Array) -> Array:
    """The total violation (n,) of each row: 0 if all constraints are kept, NaN if none is known to be broken and one is
    not known.

    Each constraint counts in units of the median of its violations, so that seconds and shares count alike.
    """
    broken = np.maximum(C, 0.0)
    units = [np.median(column[column > 0]) if (column > 0).any() else 1.0 for column in broken.T]
    total = np.nansum(broken / np.array(units), axis=1)
    return np.where((total == 0) & np.isnan(C).any(axis=1), np.nan, total)


def by_feasibility(violations: Array) -> Array:
    """The group (n,) of each row, the lower the better: 0 if feasible, 1 if not known, 2 and up in the order of violations.

    (Deb, Comput. Methods Appl. Mech. Engrg. 186, 2000)
    """
    levels = np.unique(violations[violations > 0])
    group = np.where(np.isnan(violations), 1, 0)
    return np.where(violations > 0, 2 + np.searchsorted(levels, violations), group)
