"""Features: numbers that a user computes from a configuration for models only, such as operation counts, sizes, depths.

They extend the features of a row beyond its coordinates, each with its own length scale. A model that is given what
configurations have in common needs fewer trials. Nothing is searched along a feature: no configuration follows from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.errors import SpaceError
from raytune_hpo.numerics.axes import row_keys
from raytune_hpo.numerics.kernels import Embedding
from raytune_hpo.rng import derive
from raytune_hpo.space import Space
from raytune_hpo.space.values import show

_DRAWN = 256  # configurations whose features set the scale of each feature
_MOST_KEPT = 20_000  # rows


class FeaturedEmbedding(Embedding):
    """An embedding with the user's features added, as quantiles from 0 to 1 among those of draws from the space."""

    def __init__(self, plain: Embedding, space: Space) -> None:
        self._plain, self._space = plain, space
        self._known: dict[bytes, Array] = {}
        self.slots = plain.slots
        self.owner = np.concatenate([plain.owner, len(plain.slots) + np.arange(len(self._names))])

    def __call__(self, X: Array) -> Array:
        """The features (n, q) of rows (n, d)."""
        keys = row_keys(X)
        new = [i for i, key in enumerate(keys) if key not in self._known]
        if len(self._known) + len(new) > _MOST_KEPT:
            self._known, new = {}, list(range(len(keys)))
        for i, levels in zip(new, self._levels(self._values(X[new])), strict=True):
            self._known[keys[i]] = levels
        extra = [self._known[key] for key in keys]
        return np.column_stack([self._plain(X), np.reshape(extra, (len(X), len(self._names)))])

    def by_column(self, X: Array, gradient: Array) -> Array:
        """Gradients (n, d) by the columns, with the user's features held constant."""
        return self._plain.by_column(X, gradient[:, : len(self._plain.owner)])

    @cached_property
    def _names(self) -> Sequence[str]:
        return tuple(self._features_of(self._drawn[0]))

    @cached_property
    def _drawn(self) -> Sequence[Mapping[str, Any]]:
        return self._space.sample(_DRAWN, derive(0, "features"))

    @cached_property
    def _sorted(self) -> Array:
        """Features of draws (256, k), each column sorted."""
        return np.sort([self._row(config) for config in self._drawn], axis=0)

    def _levels(self, values: Array) -> Array:
        ranks = np.linspace(0.0, 1.0, len(self._sorted))
        columns = []
        for drawn, column in zip(self._sorted.T, values.T, strict=True):
            known, first, counts = np.unique(drawn, return_index=True, return_counts=True)
            columns.append(np.interp(column, known, ranks[first + counts // 2]))  # ties share a rank
        return np.column_stack(columns) if columns else np.empty((len(values), 0))

    def _values(self, X: Array) -> Array:
        rows = [self._row(config) for config in self._space.decode(X)]
        return np.reshape(rows, (len(X), len(self._names)))

    def _row(self, config: Mapping[str, Any]) -> list[float]:
        features = self._features_of(config)
        if tuple(features) != tuple(self._names):
            raise SpaceError(
                f"features are the same for every configuration, got {list(features)} for {show(dict(config))} and "
                f"{list(self._names)} for another one; give 0 for what is not there"
            )
        return list(features.values())

    def _features_of(self, config: Mapping[str, Any]) -> dict[str, float]:
        """The result of the user's function for a configuration.

        Raises:
            SpaceError: the function raised, or returned anything but a dict of finite numbers.
        """
        assert self._space.features is not None
        try:
            features = self._space.features(dict(config))
            numbers = {str(name): float(value) for name, value in features.items()}
        except SpaceError:
            raise
        except Exception as error:
            raise SpaceError(
                f"features is a function of a configuration that returns a dict of numbers; for "
                f"{show(dict(config))} it raised, or its result led to, {error!r}"
            ) from error
        if not all(map(math.isfinite, numbers.values())):
            raise SpaceError(f"features are finite numbers, got {show(numbers)} for {show(dict(config))}")
        return numbers
