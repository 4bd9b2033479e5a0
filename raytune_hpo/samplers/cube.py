"""The unit cube of a space, as samplers that model it need it.

X  (n, d)  coordinates; NaN where a parameter is not active. "Proper" rows stand at the centres of cells where there are
           cells, and have NaN exactly where they are not active: as ``Space.encode`` returns them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.axes import Axis
from raytune_hpo.numerics.quasi import sobol
from raytune_hpo.space import Space
from raytune_hpo.space.axis import axis_of
from raytune_hpo.trial import Trial

_SOBOL_BATCH = 64
_MOST_LISTED = 10_000  # a space of so many configurations is searched to its last one


class Cube:
    """What a model sees of a space."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.axes: tuple[Axis, ...] = tuple(axis_of(column.domain) for column in space.columns)

    def proper(self, X: Array) -> Array:
        """Any rows as proper ones: snapped to cells, NaN where not active."""
        X = np.clip(X, 0.0, 1.0)
        if (listing := self.space.candidates) is not None:
            return listing.unit[listing.nearest(np.where(self.space.active(X), X, np.nan))]
        for j in self._celled:
            domain = self.space.columns[j].domain
            known = ~np.isnan(X[:, j])
            X[known, j] = domain.units(domain.codes(X[known, j]))
        if self.space.is_conditional:
            X[~self.space.active(X)] = np.nan
        return X

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """n proper rows from the prior; they meet the constraints."""
        if (listing := self.space.candidates) is not None:
            return listing.unit[rng.integers(len(listing), size=n)]
        if self.space.has_constraints:
            return self.space.encode(self.space.sample(n, rng))
        return self.scattered(n, rng)

    def scattered(self, n: int, rng: np.random.Generator) -> Array:
        """n proper rows from the prior, whether they meet the constraints or not: who asks for many of them at a time
        would wait long where few do.
        """
        return self.proper(rng.random((n, self.space.num_columns)))

    def spread(self, index: int, seed: int, rng: np.random.Generator) -> Array:
        """Row number ``index`` (1, d) of a design that covers the cube evenly; a draw where that breaks a constraint."""
        start = index - index % _SOBOL_BATCH
        X = self.proper(sobol(self.space.num_columns, start, _SOBOL_BATCH, seed)[index - start :][:1])
        return X if self.feasible(X)[0] else self.draw(1, rng)

    def feasible(self, X: Array) -> Array:
        """Which rows meet the constraints, (n,) of bool. Calls them one row at a time: for few rows."""
        if not self.space.has_constraints:
            return np.ones(len(X), dtype=bool)
        return self.space.is_feasible(self.space.decode(X))

    @property
    def listed(self) -> Array | None:
        """Where the candidates (n, d) stand that the space is restricted to; None where it is not.

        A model has to search for what it cannot list.
        """
        return None if self.space.candidates is None else self.space.candidates.unit

    def untried(self, known: Array) -> Array:
        """The positions (k,) of the listed rows that are not among known ones, or of all if none is left."""
        listing = self.space.candidates
        assert listing is not None
        left = np.ones(len(listing), dtype=bool)
        left[(tried := listing.positions(known))[tried >= 0]] = False
        return np.flatnonzero(left if left.any() else ~left)

    @cached_property
    def everything(self) -> Array | None:
        """All proper rows (n, d) that meet the constraints, of a space of few configurations; None of another one."""
        size = self.space.cardinality
        if size is None or size > _MOST_LISTED:
            return None
        X = self.space.encode([self.space.at(i) for i in range(size)])
        return X[self.feasible(X)]

    def encode(self, trials: Sequence[Trial]) -> Array:
        """Where trials stand, (n, d)."""
        return self.space.encode([trial.config for trial in trials])

    def config(self, x: Array) -> Mapping[str, Any]:
        """The configuration at a row (d,)."""
        return self.space.decode(x[None, :])[0]

    @cached_property
    def _celled(self) -> tuple[int, ...]:
        return tuple(j for j, column in enumerate(self.space.columns) if column.domain.size is not None)


def keys(X: Array) -> list[bytes]:
    """A key for each row; equal rows have equal keys."""
    rows = np.ascontiguousarray(np.where(np.isnan(X), -1.0, X))
    return [row.tobytes() for row in rows]
