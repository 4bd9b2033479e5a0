"""Encoding and decoding: configurations as coordinates of the unit cube, and back.

unit    (n, d)  float64, one column per parameter; NaN where a parameter is not active
rows    (k,)    the rows in which a subtree exists

Both directions walk the tree once for all rows: columns are computed as arrays, and a branch splits its rows among its
options.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.errors import SpaceError
from raytune_hpo.space.conditions import holds, tested
from raytune_hpo.space.drawing import drawable
from raytune_hpo.space.functions import name_of
from raytune_hpo.space.numeric import Int
from raytune_hpo.space.tree import Branch, Column, Const, Derived, Gated, Leaf, Node, Record, Series
from raytune_hpo.space.validation import select
from raytune_hpo.space.values import fresh, show


class Decoder:
    """Builds configurations from unit coordinates."""

    def __init__(self, columns: Sequence[Column], unit: Array) -> None:
        self._columns = columns
        self._unit = np.asfortranarray(unit)  # read column by column
        self._pending: list[tuple[Derived, Array]] = []

    def configs(self, root: Node) -> list[dict[str, Any]]:
        """The n configurations, derived values included."""
        configs = self._build(root, np.arange(len(self._unit)))
        for derived, rows in sorted(self._pending, key=lambda item: item[0].order):
            for row in rows.tolist():
                put_derived(derived, configs[row])
        return configs

    def _build(self, node: Node, rows: Array) -> list[Any]:
        if isinstance(node, Leaf):
            return node.domain.decode(self._coordinates(node.column, rows))
        if isinstance(node, Const):
            return [node.value] * len(rows) if node.is_shared else [fresh(node.value) for _ in rows]
        if isinstance(node, Record):
            return self._build_record(node, rows)
        if isinstance(node, Branch):
            return self._build_branch(node, rows)
        if isinstance(node, Series):
            return self._build_repeated(node, node.length, rows) if node.length else self._build_series(node, rows)
        if isinstance(node, Gated):
            return self._build_gated(node, rows)
        self._pending.append((node, rows))
        return [None] * len(rows)

    def _coordinates(self, column: int, rows: Array) -> Array:
        unit: Array = self._unit[rows, column]
        if np.isnan(unit).any():
            raise SpaceError(
                f"parameter {self._columns[column].name!r} is active in some rows, and has no coordinate there"
            )
        return unit

    def _build_record(self, node: Record, rows: Array) -> list[dict[str, Any]]:
        keys, made = [], []
        for key, item in node.items:
            values = self._build(item, rows)
            if not isinstance(item, Derived):  # its key comes later, so that no function reads it too early
                keys.append(key)
                made.append(values)
        return [dict(zip(keys, values)) for values in zip(*made)] if keys else [{} for _ in rows]  # noqa: B905

    def _build_series(self, node: Series, rows: Array) -> list[Any]:
        if not node.items:
            return [() if node.is_tuple else [] for _ in rows]
        made = zip(*[self._build(item, rows) for item in node.items], strict=True)
        return list(made) if node.is_tuple else [list(items) for items in made]

    def _build_repeated(self, node: Series, length: Int, rows: Array) -> list[list[Any]]:
        lengths = length.codes(self._coordinates(node.column, rows))
        built: list[list[Any]] = [[] for _ in rows]
        for position, item in enumerate(node.items):
            here = np.flatnonzero(lengths > position)
            for place, value in zip(here.tolist(), self._build(item, rows[here]), strict=True):
                built[place].append(value)
        return built

    def _build_branch(self, node: Branch, rows: Array) -> list[Any]:
        codes = node.domain.codes(self._coordinates(node.column, rows))
        built: list[Any] = [None] * len(rows)
        for position in np.unique(codes).tolist():
            here = np.flatnonzero(codes == position)
            for place, value in zip(here.tolist(), self._build(node.options[position], rows[here]), strict=True):
                built[place] = value
        return built

    def _build_gated(self, node: Gated, rows: Array) -> list[dict[str, Any]]:
        built: list[dict[str, Any]] = [{} for _ in rows]
        codes: dict[int, Array] = {}
        active: dict[int, Array] = {}
        for entry in node.entries:
            mask = holds(entry.condition, codes, active, len(rows))
            here = np.flatnonzero(mask)
            for place, value in zip(here.tolist(), self._build(entry.node, rows[here]), strict=True):
                built[place][entry.key] = value
            if isinstance(entry.node, Leaf):
                column = entry.node.column
                active[column] = mask
                codes[column] = entry.node.domain.codes(np.where(mask, self._unit[rows, column], 0.5))
        return built


class Encoder:
    """Reads unit coordinates off configurations that are trusted to be in the space."""

    def __init__(self, n: int, d: int) -> None:
        self.unit = np.full((n, d), np.nan, order="F")

    def read(self, node: Node, values: Sequence[Any], rows: Array) -> None:
        """Store the coordinates of a subtree's columns, given its values in ``rows``."""
        if isinstance(node, Leaf):
            self.unit[rows, node.column] = node.domain.encode(values)
        elif isinstance(node, Record):
            for key, item in node.items:
                if not isinstance(item, (Const, Derived)):
                    self.read(item, [value[key] for value in values], rows)
        elif isinstance(node, Branch):
            self._read_branch(node, values, rows)
        elif isinstance(node, Series):
            if node.length is not None:
                self.unit[rows, node.column] = node.length.encode([len(value) for value in values])
            for position, item in enumerate(node.items):
                there = [place for place, value in enumerate(values) if position < len(value)]
                self.read(item, [values[place][position] for place in there], rows[there])
        elif isinstance(node, Gated):
            for entry in node.entries:
                here = np.array([place for place, value in enumerate(values) if entry.key in value], dtype=np.intp)
                self.read(entry.node, [values[place][entry.key] for place in here.tolist()], rows[here])

    def _read_branch(self, node: Branch, values: Sequence[Any], rows: Array) -> None:
        positions = [select(node, value) for value in values]
        if None in positions:
            raise SpaceError(f"{show(values[positions.index(None)])} fits none of the {len(node.options)} options")
        codes = np.array(positions, dtype=np.int64)
        self.unit[rows, node.column] = node.domain.units(codes)
        for position in np.unique(codes).tolist():
            here = np.flatnonzero(codes == position)
            self.read(node.options[position], [values[place] for place in here.tolist()], rows[here])


def put_derived(derived: Derived, config: dict[str, Any]) -> None:
    """Compute a derived value and put it at its path in the configuration."""
    try:
        value = derived.function(config)
    except SpaceError:
        raise
    except Exception as error:
        raise SpaceError(
            f"sample_from {name_of(derived.function)!r} at {'/'.join(map(str, derived.path))!r} failed with {error!r} "
            f"for {show(config)}; a value it reads that is derived as well must stand before it"
        ) from error
    place: Any = config
    for key in derived.path[:-1]:
        place = place[key]
    place[derived.path[-1]] = drawable(value, derived.path)


def active_columns(columns: Sequence[Column], unit: Array) -> Array:
    """Where each column is active, (n, d) of bool; coordinates that are not active may be NaN."""
    n = len(unit)
    wanted = frozenset().union(*(tested(column.condition) for column in columns)) if columns else frozenset()
    active: dict[int, Array] = {}
    codes: dict[int, Array] = {}
    for number, column in enumerate(columns):
        active[number] = holds(column.condition, codes, active, n)
        if number in wanted:
            codes[number] = column.domain.codes(np.where(active[number], unit[:, number], 0.5))
    return np.column_stack(list(active.values())) if columns else np.ones((n, 0), dtype=bool)
