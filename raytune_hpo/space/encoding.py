"""Encoding and decoding: configurations as coordinates of the unit cube, and back.

unit    (n, d)  float64, one column per parameter; NaN where a parameter is not active
rows    (k,)    the rows in which a subtree exists

Both directions go down the tree once, a whole set of rows at a time: columns are computed as arrays, and a branch
splits its rows among its options. No configuration is walked on its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.errors import SpaceError
from raytune_hpo.space.coding import Coding
from raytune_hpo.space.conditions import Condition, holds
from raytune_hpo.space.drawing import drawable
from raytune_hpo.space.functions import name_of
from raytune_hpo.space.tree import Branch, Column, Const, Derived, Gated, Leaf, Node, Record, Series
from raytune_hpo.space.validation import select
from raytune_hpo.space.values import fresh, show


class Decoder:
    """Builds configurations from unit coordinates."""

    def __init__(self, columns: Sequence[Column], coding: Coding, unit: Array) -> None:
        self._columns, self._coding = columns, coding
        self._unit = np.asfortranarray(unit)  # read column by column
        self._has_gaps = bool(np.isnan(unit).any())
        self._codes: dict[int, Array] = {}  # by column
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
            return node.domain.values(self._codes_of(node.column, rows))
        if isinstance(node, Const):
            return [node.value] * len(rows) if node.is_shared else [fresh(node.value) for _ in rows]
        if isinstance(node, Record):
            return self._build_record(node, rows)
        if isinstance(node, Branch):
            return self._build_branch(node, rows)
        if isinstance(node, Series):
            return self._build_repeated(node, rows) if node.length else self._build_series(node, rows)
        if isinstance(node, Gated):
            return self._build_gated(node, rows)
        self._pending.append((node, rows))
        return [None] * len(rows)

    def _codes_of(self, column: int, rows: Array) -> Array:
        """The codes of a column in rows where it is active."""
        if self._has_gaps and np.isnan(self._unit[rows, column]).any():
            raise SpaceError(
                f"parameter {self._columns[column].name!r} is active in some rows, and has no coordinate there"
            )
        alike = self._coding.groups[self._coding.group_of[column]]
        if len(alike.columns) == 1:
            return alike.domain.codes(self._unit[rows, column])
        if column not in self._codes:
            self._codes.update(zip(alike.columns.tolist(), alike.codes(self._unit).T, strict=True))
        return self._codes[column][rows]

    def _build_record(self, node: Record, rows: Array) -> list[dict[str, Any]]:
        keys, made = [], []
        for key, item in node.items:
            values = self._build(item, rows)
            if not isinstance(item, Derived):  # its key stays away until its turn, so that no one reads it too early
                keys.append(key)
                made.append(values)
        return [dict(zip(keys, values)) for values in zip(*made)] if keys else [{} for _ in rows]  # noqa: B905

    def _build_series(self, node: Series, rows: Array) -> list[Any]:
        if not node.items:
            return [() if node.is_tuple else [] for _ in rows]
        made = zip(*[self._build(item, rows) for item in node.items], strict=True)
        return list(made) if node.is_tuple else [list(items) for items in made]

    def _build_repeated(self, node: Series, rows: Array) -> list[list[Any]]:
        lengths = self._codes_of(node.column, rows)
        built: list[list[Any]] = [[] for _ in rows]
        for position, item in enumerate(node.items):
            here = np.flatnonzero(lengths > position)
            for place, value in zip(here.tolist(), self._build(item, rows[here]), strict=True):
                built[place].append(value)
        return built

    def _build_branch(self, node: Branch, rows: Array) -> list[Any]:
        codes = self._codes_of(node.column, rows)
        built: list[Any] = [None] * len(rows)
        for position in sorted(set(codes.tolist())):
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

    def __init__(self, n: int, coding: Coding) -> None:
        self._n, self._coding = n, coding
        self._noted: list[list[tuple[int, Array, Array]]] = [[] for _ in coding.groups]  # columns, rows and codes

    def unit(self, root: Node, configs: Sequence[Any]) -> Array:
        """The coordinates (n, d)."""
        self._read(root, configs, np.arange(self._n))
        unit = np.full((self._n, len(self._coding.group_of)), np.nan, order="F")
        for alike, noted in zip(self._coding.groups, self._noted, strict=True):
            if noted:
                columns, rows, codes = zip(*noted, strict=True)
                column = np.repeat(columns, [len(part) for part in rows])
                unit[np.concatenate(rows), column] = alike.domain.units(np.concatenate(codes))
        return unit

    def _note(self, column: int, rows: Array, codes: Array) -> None:
        self._noted[self._coding.group_of[column]].append((column, rows, codes))

    def _read(self, node: Node, values: Sequence[Any], rows: Array) -> None:
        """Note the codes of a subtree's columns, given its values in ``rows``."""
        if isinstance(node, Leaf):
            self._note(node.column, rows, node.domain.codes_of(values))
        elif isinstance(node, Record):
            for key, item in node.items:
                if not isinstance(item, (Const, Derived)):
                    self._read(item, [value[key] for value in values], rows)
        elif isinstance(node, Branch):
            self._read_branch(node, values, rows)
        elif isinstance(node, Series):
            if node.length is not None:
                self._note(node.column, rows, node.length.codes_of([len(value) for value in values]))
            for position, item in enumerate(node.items):
                there = [place for place, value in enumerate(values) if position < len(value)]
                self._read(item, [values[place][position] for place in there], rows[there])
        elif isinstance(node, Gated):
            for entry in node.entries:
                here = np.array([place for place, value in enumerate(values) if entry.key in value], dtype=np.intp)
                self._read(entry.node, [values[place][entry.key] for place in here.tolist()], rows[here])

    def _read_branch(self, node: Branch, values: Sequence[Any], rows: Array) -> None:
        positions = [select(node, value) for value in values]
        if None in positions:
            raise SpaceError(f"{show(values[positions.index(None)])} fits none of the {len(node.options)} options")
        codes = np.array(positions, dtype=np.int64)
        self._note(node.column, rows, codes)
        for position in sorted(set(codes.tolist())):
            here = np.flatnonzero(codes == position)
            self._read(node.options[position], [values[place] for place in here.tolist()], rows[here])


def put_derived(derived: Derived, config: dict[str, Any]) -> None:
    """Put a derived value where it belongs in a configuration."""
    try:
        value = derived.function(fresh(config))  # a copy, as for constraints
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
    active: dict[int, Array] = {}
    codes = _TestedCodes(columns, unit, active)
    known: dict[Condition | None, Array] = {}  # the columns of one branch have the same
    for number, column in enumerate(columns):
        if column.condition not in known:
            known[column.condition] = holds(column.condition, codes, active, n)
        active[number] = known[column.condition]
    return np.array(list(active.values())).T if columns else np.ones((n, 0), dtype=bool)


class _TestedCodes(dict[int, Array]):
    """The codes (n,) of columns, once a condition asks for them; anything where they are not active."""

    def __init__(self, columns: Sequence[Column], unit: Array, active: Mapping[int, Array]) -> None:
        self._columns, self._unit, self._active = columns, unit, active

    def __missing__(self, column: int) -> Array:
        unit = np.where(self._active[column], self._unit[:, column], 0.5)
        return self.setdefault(column, self._columns[column].domain.codes(unit))
