"""Domains of listed values: Choice, which has no order, and Ordinal, ordered as given."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, MappingView, Sequence, Set, ValuesView
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.errors import SpaceError
from raytune_hpo.space.domain import Domain
from raytune_hpo.space.grids import equal_cells
from raytune_hpo.space.numbers import number
from raytune_hpo.space.stored import check_storable, to_stored
from raytune_hpo.space.values import key_of, plain, same, show


class _Listed(Domain):
    """Base of Choice and Ordinal: a code is the position of an option."""

    options: tuple[Any, ...]

    @property
    def size(self) -> int:
        return len(self.options)

    def values(self, codes: Array) -> list[Any]:
        return [self.options[code] for code in codes.tolist()]

    def codes_of(self, values: Sequence[Any]) -> Array:
        positions = self._positions
        try:
            codes = [positions[type(value), value] for value in values]
        except (KeyError, TypeError):  # an equal number of another type, NaN, or what cannot be hashed
            codes = [self.index_of(value) for value in values]
        return np.array(codes, dtype=np.int64)

    @cached_property
    def _positions(self) -> dict[Hashable, int]:
        return {key_of(option): position for position, option in enumerate(self.options)}

    def nth(self, index: int) -> Any:
        return self.options[index]

    def index_of(self, value: Any) -> int:
        value = plain(value)
        position = self._positions.get(key_of(value))
        if position is None:
            position = next((i for i, option in enumerate(self.options) if same(option, value)), None)
        if position is None:
            raise SpaceError(f"{show(value)} is not one of the options {show(list(self.options))}")
        return position

    def problem(self, value: Any) -> str | None:
        try:
            self.index_of(value)
        except SpaceError:
            return f"must be one of {show(list(self.options))}"
        return None

    def quantiles(self, points: int) -> list[Any]:
        return list(self.options)


def _listed(options: Iterable[Any], what: str) -> tuple[Any, ...]:
    if isinstance(options, np.ndarray):
        options = options.tolist()
    if isinstance(options, (Set, Mapping, ValuesView)):
        is_ordered = isinstance(options, (Mapping, MappingView))
        rule = (
            "write list(...) around it"
            if is_ordered
            else "its order differs from process to process; write sorted(...)"
        )
        raise SpaceError(f"{what} takes a list of options, got a {type(options).__name__}: {rule}")
    if isinstance(options, (str, bytes)) or not isinstance(options, Iterable):
        raise SpaceError(f"{what} takes a list of options, got {show(options)}; put it in a list")
    listed = tuple(plain(option) for option in options)
    if not listed:
        raise SpaceError(f"{what} needs at least one option, got none")
    for option in listed:
        check_storable(option, f"an option of {what}")
    return listed


def _repeated(options: tuple[Any, ...]) -> Any | None:
    """A list of the first repeated option; None if no option is repeated."""
    seen: set[Hashable] = set()
    for option in options:
        if (key := key_of(option)) in seen:
            return [option]
        seen.add(key)
    return None


@dataclass(frozen=True)
class Choice(_Listed):
    """One of several options, in no order. An option that contains domains is a branch with its own parameters.

    Args:
        options: any values; a value that is listed twice becomes one option that is twice as likely.
        weights: how likely each option is, in any unit, all above 0; None makes all equally likely.
        is_grid_axis: made by ``grid_search``: the grid sampler crosses it even when other axes are drawn.

    Raises:
        SpaceError: no options, weights that do not fit them, or an option repeated on a grid axis.
    """

    kind = "choice"
    is_ordered = False

    options: tuple[Any, ...] = field()
    weights: tuple[float, ...] | None = None
    is_grid_axis: bool = field(default=False, kw_only=True)

    def __init__(
        self, options: Iterable[Any], weights: Iterable[float] | None = None, *, is_grid_axis: bool = False
    ) -> None:
        listed = _listed(options, "grid_search" if is_grid_axis else "choice")
        shares = None if weights is None else _shares(weights, len(listed))
        if twice := _repeated(listed):
            if is_grid_axis:
                raise SpaceError(
                    f"grid_search names each value once, got {show(twice[0])} twice; to repeat the whole grid, use "
                    f"hpo.samplers.Grid(samples=...) or, in a script for Ray Tune, num_samples"
                )
            listed, shares = _merged(listed, shares or (1.0,) * len(listed))
        if shares is not None and len(set(shares)) == 1:
            shares = None
        object.__setattr__(self, "options", listed)
        object.__setattr__(self, "weights", shares)
        object.__setattr__(self, "is_grid_axis", is_grid_axis)

    @cached_property
    def _edges(self) -> Array:
        """The upper ends of the cells, (n,): the cumulative sums of the weights."""
        weights = np.ones(len(self.options)) if self.weights is None else np.array(self.weights)
        edges: Array = np.cumsum(weights) / weights.sum()
        return edges

    def codes(self, unit: Array) -> Array:
        if self.weights is None:
            return equal_cells(unit, self.size)
        codes: Array = np.searchsorted(self._edges, unit, side="right")
        return np.minimum(codes, self.size - 1)  # 1 itself is in the last cell

    def units(self, codes: Array) -> Array:
        if self.weights is None:
            return (codes + 0.5) / self.size
        edges: Array = np.concatenate([[0.0], self._edges])
        centres: Array = (edges[codes] + edges[codes + 1]) / 2
        return centres

    def to_json(self) -> dict[str, Any]:
        weights = None if self.weights is None else list(self.weights)
        return {"options": list(map(to_stored, self.options)), "weights": weights, "is_grid_axis": self.is_grid_axis}


def _shares(weights: Iterable[float], num: int, what: str = "a choice") -> tuple[float, ...]:
    shares = tuple(number(weight, f"a weight of {what}") for weight in weights)
    if len(shares) != num:
        raise SpaceError(f"{what} needs one weight for each option: {num} options, {len(shares)} weights")
    if min(shares) <= 0:
        raise SpaceError(f"the weights of {what} must be above 0, got {min(shares)}; leave that option out")
    return shares


def _merged(options: tuple[Any, ...], shares: tuple[float, ...]) -> tuple[tuple[Any, ...], tuple[float, ...]]:
    first: dict[Hashable, Any] = {}
    sums: dict[Hashable, float] = {}
    for option, share in zip(options, shares, strict=True):
        key = key_of(option)
        first.setdefault(key, option)
        sums[key] = sums.get(key, 0.0) + share
    return tuple(first.values()), tuple(sums.values())


@dataclass(frozen=True)
class Ordinal(_Listed):
    """One of several values whose order matters: neighbours in the list are neighbours in the unit interval.

    Args:
        options: any values.
        weights: how likely each value is thought to be a good one, in any unit, all above 0; None: equally likely.

    Raises:
        SpaceError: no values, one that is listed twice, or weights that do not fit them.
    """

    kind = "ordinal"

    options: tuple[Any, ...] = field()
    weights: tuple[float, ...] | None = None

    def __init__(self, options: Iterable[Any], weights: Iterable[float] | None = None) -> None:
        listed = _listed(options, "ordinal")
        if twice := _repeated(listed):
            raise SpaceError(f"ordinal lists each value once, got {show(twice[0])} twice")
        shares = None if weights is None else _shares(weights, len(listed), "an ordinal")
        object.__setattr__(self, "options", listed)
        object.__setattr__(self, "weights", None if shares is None or len(set(shares)) == 1 else shares)

    def codes(self, unit: Array) -> Array:
        return equal_cells(unit, self.size)

    def units(self, codes: Array) -> Array:
        return (codes + 0.5) / self.size

    def to_json(self) -> dict[str, Any]:
        options = {"options": list(map(to_stored, self.options))}
        return options if self.weights is None else {**options, "weights": list(self.weights)}
