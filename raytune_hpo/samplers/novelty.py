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
    for x in rows:
        if not is_among(x, known) and cube.feasible(x[None, :])[0]:
            return x
    drawn = cube.draw(_DRAWS, rng)
    new = next((x for x in drawn if not is_among(x, known)), None)
    if new is None and cube.space.cardinality is not None and cube.space.cardinality <= _MOST_LISTED:
        listed = cube.space.encode([cube.space.at(int(i)) for i in rng.permutation(cube.space.cardinality)])
        new = next((x for x in listed if not is_among(x, known) and cube.feasible(x[None, :])[0]), None)
    return drawn[0] if new is None else new


def is_among(x: Array, rows: Array) -> bool:
    """Whether the row x (d,) is one of the rows (n, d); NaN equals NaN."""
    return bool(((rows == x) | (np.isnan(rows) & np.isnan(x))).all(axis=1).any())
