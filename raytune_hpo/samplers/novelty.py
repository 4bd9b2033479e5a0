"""Nothing twice: the first of some rows that is not known yet."""

from __future__ import annotations

from typing import Any

import numpy as np

from raytune_hpo.samplers.cube import Cube
from raytune_hpo.space.domain import Array

_DRAWS = 256  # rows drawn at once in search of a new one
_MOST_LISTED = 10_000  # a space of so many configurations is searched to its last one


def first_new(cube: Cube, rows: Array, known: Array, rng: np.random.Generator) -> Any:
    """The first feasible row (d,) that is not known, looking among drawn ones and at last through the whole space.

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
    drawn = cube.draw(_DRAWS, rng)
    new = next((x for x in drawn if not is_among(x, known)), None)
    if new is None and size is not None and size <= _MOST_LISTED:
        listed = cube.space.encode([cube.space.at(int(i)) for i in rng.permutation(size)])
        new = next((x for x in listed if not is_among(x, known) and cube.feasible(x[None, :])[0]), None)
    return drawn[0] if new is None else new


def num_distinct(rows: Array) -> int:
    """How many different rows there are; NaN equals NaN."""
    return len(np.unique(np.nan_to_num(rows, nan=-1.0), axis=0))  # proper rows are in [0, 1]


def is_among(x: Array, rows: Array) -> bool:
    """Whether the row x (d,) is one of the rows (n, d); NaN equals NaN."""
    same = rows == x
    inactive = np.flatnonzero(np.isnan(x))
    same[:, inactive] = np.isnan(rows[:, inactive])
    return bool(same.all(axis=1).any())
