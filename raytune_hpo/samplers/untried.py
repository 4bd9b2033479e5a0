"""Nothing twice: the first of some rows that is not known yet."""

from __future__ import annotations

from typing import Any

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.samplers.cube import Cube, keys

_DRAWS = 256  # rows drawn at once in search of a new one


def first_new(cube: Cube, rows: Array, known: Array, rng: np.random.Generator) -> Any:
    """The first feasible row (d,) that is not known; if all are, one of the whole space where it is small, else a draw.

    Args:
        rows: (k, d) proper, in order of preference.
        known: (n, d) proper.
    """
    size = cube.space.cardinality
    if size is not None and len(known) >= size and num_distinct(known) >= size:  # there is none: no use in looking
        return cube.draw(_DRAWS, rng)[0]
    for x in rows:
        if not is_among(x, known) and cube.feasible(x[None, :])[0]:
            return x
    if (everything := cube.everything) is not None and len(everything):
        tried = set(keys(known))
        new = [i for i, key in enumerate(keys(everything)) if key not in tried]
        return everything[rng.choice(new) if new else rng.integers(len(everything))]
    drawn = cube.draw(_DRAWS, rng)
    return next((x for x in drawn if not is_among(x, known)), drawn[0])


def num_distinct(rows: Array) -> int:
    """How many different rows there are; NaN equals NaN."""
    return len(np.unique(np.nan_to_num(rows, nan=-1.0), axis=0))  # proper rows are in [0, 1]


def is_among(x: Array, rows: Array) -> bool:
    """Whether the row x (d,) is one of the rows (n, d); NaN equals NaN."""
    same = rows == x
    inactive = np.flatnonzero(np.isnan(x))
    same[:, inactive] = np.isnan(rows[:, inactive])
    return bool(same.all(axis=1).any())
