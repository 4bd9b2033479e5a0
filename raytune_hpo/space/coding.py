"""Coding: domains whose coordinates mean the same codes, so that their columns can be computed together.

A space of two hundred parameters has only a few kinds of them. What numpy is asked for once for each column takes most of
its time for the asking; asked for once for each kind, it takes the time of the arithmetic.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
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

    def snap(self, X: Array) -> None:
        """Put coordinates of these columns of rows X (n, d) where configurations come back to; NaN stays NaN."""
        block = X[:, self.columns]
        known = ~np.isnan(block)
        block[known] = self.domain.units(self.domain.codes(block[known]))
        X[:, self.columns] = block


def coded_alike(domains: Sequence[Domain], columns: Iterable[int]) -> tuple[CodedAlike, ...]:
    """These columns in groups; ``domains`` are those of all columns."""
    groups: dict[Hashable, list[int]] = {}
    for j in columns:
        groups.setdefault(_coding(domains[j]), []).append(j)
    return tuple(CodedAlike(domains[group[0]], np.array(group, dtype=np.intp)) for group in groups.values())


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
