"""Candidates: the only configurations of a space that can be tried, such as the rows of a table.

unit  (n, d)  their coordinates in the unit cube; NaN where a parameter is not active
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.errors import SpaceError
from raytune_hpo.numerics.axes import row_keys
from raytune_hpo.space.values import fresh, plain, show

_AT_ONCE = 2**22  # distances that are computed at the same time


class Listing:
    """Configurations in the order in which they were given.

    Attributes:
        configs: the configurations; they must not be changed.
        unit: (n, d) their coordinates.

    Raises:
        SpaceError: there are no candidates, or two of them are the same.
    """

    def __init__(self, configs: Sequence[Mapping[str, Any]], unit: Array) -> None:
        if not configs:
            raise SpaceError("a space is restricted to at least one candidate, got none; leave candidates out")
        self.configs, self.unit = tuple(configs), unit
        self.unit.setflags(write=False)
        self._positions = {key: i for i, key in enumerate(row_keys(unit))}
        if len(self._positions) < len(configs):
            seen: dict[bytes, int] = {}
            first, second = next((seen[k], i) for i, k in enumerate(row_keys(unit)) if seen.setdefault(k, i) != i)
            raise SpaceError(
                f"candidates must differ, numbers {first} and {second} are both {show(dict(configs[first]))}; "
                f"leave one of them out"
            )

    def __len__(self) -> int:
        return len(self.configs)

    def config(self, position: int) -> dict[str, Any]:
        """A copy of the configuration."""
        copied: dict[str, Any] = fresh(self.configs[position])
        return copied

    def positions(self, unit: Array) -> Array:
        """The positions (k,) of the candidates whose coordinates equal the rows (k, d) exactly; -1 where none does."""
        return np.array([self._positions.get(key, -1) for key in row_keys(unit)], dtype=np.intp)

    def nearest(self, unit: Array) -> Array:
        """The positions (k,) of the candidates that are nearest to rows (k, d).

        A column that is active in only one of the two counts as far apart as the ends of a range.
        """
        found = np.empty(len(unit), dtype=np.intp)
        step = max(1, _AT_ONCE // len(self))
        B = _filled(self.unit)
        for start in range(0, len(unit), step):
            A = _filled(unit[start : start + step])
            found[start : start + step] = (self._squares - 2 * (A @ B.T)).argmin(axis=1)
        exact = self.positions(unit)  # rounding may not choose between a candidate and its twin
        found[exact >= 0] = exact[exact >= 0]
        return found

    @cached_property
    def _squares(self) -> Array:
        filled = _filled(self.unit)
        return np.asarray(np.einsum("ij,ij->i", filled, filled))

    def to_json(self) -> dict[str, Any]:
        """The number of candidates and a digest of them, since twenty thousand rows have no place in a spec."""
        return {"number": len(self), "digest": self._digest}

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(b"".join(row_keys(self.unit))).hexdigest()[:16]


class MissingListing:
    """Stands in for the candidates of a stored space, of which only a digest was kept.

    Attributes:
        named: what ``Listing.to_json`` returned for them.
    """

    def __init__(self, named: Mapping[str, Any]) -> None:
        self.named = dict(named)

    def __len__(self) -> int:
        return int(self.named["number"])

    def to_json(self) -> dict[str, Any]:
        return self.named


def records(candidates: Any) -> list[dict[str, Any]]:
    """Candidates as plain dicts, from the rows of a pandas DataFrame or from a sequence of dicts.

    Raises:
        SpaceError: neither.
    """
    if hasattr(candidates, "to_dict") and hasattr(candidates, "columns"):
        candidates = candidates.to_dict("records")
    if isinstance(candidates, (str, bytes, Mapping)) or not all(isinstance(row, Mapping) for row in candidates):
        raise SpaceError(f"candidates are a list of configurations or a DataFrame of them, got {show(candidates)}")
    return [{key: plain(value) for key, value in row.items()} for row in candidates]


def _filled(unit: Array) -> Array:
    return np.where(np.isnan(unit), -1.0, unit)
