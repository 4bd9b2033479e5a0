"""Coding: domains whose coordinates mean the same codes, so that their columns can be computed together.

A space of two hundred parameters has only a few kinds of them. What numpy is asked for once for each column takes most of
its time for the asking; asked for once for each kind, it takes the time of the arithmetic.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.space.choices import Choice, Ordinal
from raytune_hpo.space.domain import Domain
from raytune_hpo.space.numeric import Float, Int


class CodedAlike(NamedTuple):
    """Columns whose domains have the same ``codes`` and ``units``.

    Attributes:
        domain: one of theirs.
        columns: (g,) their numbers, rising.
    """

    domain: Domain
    columns: Array

    def codes(self, unit: Array) -> Array:
        """Of these columns of rows (n, d), (n, g); anything where a coordinate is NaN."""
        block = unit[:, self.columns]
        known = ~np.isnan(block)
        if known.all():
            return self.domain.codes(block.reshape(-1)).reshape(block.shape)
        found = self.domain.codes(block[known])
        codes = np.zeros(block.shape, dtype=found.dtype)
        codes[known] = found
        return codes

    def snap(self, X: Array) -> None:
        """Put coordinates of these columns of rows X (n, d) where configurations come back to; NaN stays NaN."""
        block = X[:, self.columns]
        known = ~np.isnan(block)
        if known.all():
            block = self.domain.units(self.domain.codes(block.reshape(-1))).reshape(block.shape)
        else:
            block[known] = self.domain.units(self.domain.codes(block[known]))
        X[:, self.columns] = block


class Coding:
    """The columns of a space in groups of those that are coded alike.

    Attributes:
        groups: of all columns.
        group_of: (d,) in which of them each column is.
    """

    def __init__(self, domains: Sequence[Domain]) -> None:
        columns: dict[Hashable, list[int]] = {}
        for j, domain in enumerate(domains):
            columns.setdefault(_coding(domain), []).append(j)
        self.groups = tuple(CodedAlike(domains[js[0]], np.array(js, dtype=np.intp)) for js in columns.values())
        place = {j: position for position, group in enumerate(self.groups) for j in group.columns.tolist()}
        self.group_of = tuple(place[j] for j in range(len(domains)))


def _coding(domain: Domain) -> Hashable:
    """Equal for domains with the same ``codes`` and ``units``. What those of a user's own depend on only he knows."""
    kind = type(domain)
    if kind is Float or kind is Int:
        assert isinstance(domain, (Float, Int))
        return kind, domain.lo, domain.hi, domain.log, domain.step
    if kind is Choice:
        assert isinstance(domain, Choice)
        return kind, domain.size, domain.weights
    return (kind, domain.size) if kind is Ordinal else id(domain)
