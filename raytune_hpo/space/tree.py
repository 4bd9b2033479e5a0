"""The tree of a space, whose leaves are constants and columns.

Const    a value that is always the same
Leaf     one column
Branch   a choice column in which some options are subtrees; only the chosen subtree is active
Record   a dict of subtrees
Series   a list or tuple of subtrees, whose length may be a column too
Derived  a value that a function computes from the rest of the configuration
Gated    a dict whose entries are active under conditions on other entries, as in ConfigSpace

``reader.py`` grows a tree from what a user wrote, ``number_columns`` gives each column its number and name, and
``encoding.py`` (arrays <-> configurations), ``validation.py``, ``counting.py``, ``packing.py`` and ``jsonform.py`` each
walk it for one purpose.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

from raytune_hpo.errors import SpaceError
from raytune_hpo.space.choices import Choice
from raytune_hpo.space.conditions import Condition, Test, both, map_tests
from raytune_hpo.space.domain import Domain
from raytune_hpo.space.functions import Function
from raytune_hpo.space.numeric import Int
from raytune_hpo.space.values import is_plain, is_scalar, key_of

UNNUMBERED = -1


@dataclass(frozen=True)
class Column:
    """One parameter of a space, a column of its unit cube.

    Attributes:
        name: unique in the space: the keys on the way to it, joined by ``/``. Below a choice comes the chosen option:
            its value under the first constant key that tells all dict options apart (``model/svm/C``), or its
            position (``model/0/C``).
        domain: the values that it may take.
        condition: when it is active; None for always. Columns below a branch test that their option was chosen.
    """

    name: str
    domain: Domain
    condition: Condition | None = None


class _Node:
    @cached_property
    def is_plain(self) -> bool:
        """Whether every value of the subtree is a JSON value."""
        return _is_plain(self)


@dataclass(frozen=True)
class Const(_Node):
    value: Any

    @property
    def is_shared(self) -> bool:
        """Whether all configurations may share the object: it has no lists or dicts that an objective could change."""
        return not isinstance(self.value, (list, dict))


@dataclass(frozen=True)
class Leaf(_Node):
    domain: Domain
    column: int = UNNUMBERED


@dataclass(frozen=True)
class Derived(_Node):
    function: Function
    path: tuple[str | int, ...] = ()  # of its value in a configuration
    order: int = UNNUMBERED


@dataclass(frozen=True)
class Record(_Node):
    items: tuple[tuple[str, Node], ...]


@dataclass(frozen=True)
class Series(_Node):
    items: tuple[Node, ...]
    is_tuple: bool = False
    length: Int | None = None  # the domain of a varying length; None: every item is there
    column: int = UNNUMBERED  # of its length

    def first(self, value: Any) -> tuple[Node, ...]:
        """The subtrees of the items in a value."""
        return self.items if self.length is None else self.items[: len(value)]


@dataclass(frozen=True)
class Entry:
    key: str
    node: Leaf | Const
    condition: Condition | None = None  # before numbering it tests positions of entries, afterwards columns


@dataclass(frozen=True)
class Gated(_Node):
    entries: tuple[Entry, ...]  # an entry comes after those that its condition tests


@dataclass(frozen=True)
class Branch(_Node):
    domain: Choice
    options: tuple[Node, ...]
    column: int = UNNUMBERED

    @cached_property
    def tag(self) -> str | None:
        """The key under which every dict option has a different constant, if there is one."""
        records = [dict(option.items) for option in self.options if isinstance(option, Record)]
        for key in records[0] if records else ():
            nodes = [record.get(key) for record in records]
            names = {key_of(node.value) for node in nodes if isinstance(node, Const) and is_scalar(node.value)}
            if len(names) == len(records):
                return key
        return None

    @cached_property
    def by_tag(self) -> dict[Hashable, int]:
        """The position of each dict option by its value under ``tag``."""
        return {key_of(value): position for position, value in self._tag_values.items()}

    @cached_property
    def _tag_values(self) -> dict[int, Any]:
        found = {}
        for position, option in enumerate(self.options):
            if self.tag is not None and isinstance(option, Record):
                node = dict(option.items)[self.tag]
                assert isinstance(node, Const)
                found[position] = node.value
        return found

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The label of each option in the names of its columns."""
        names = {position: str(value) for position, value in self._tag_values.items()}
        # Positions replace names that cannot be part of a path, or that two options share (1 and "1").
        if len(set(names.values())) < len(names) or any(not name or "/" in name for name in names.values()):
            names = {}
        return tuple(names.get(position, str(position)) for position in range(len(self.options)))

    @cached_property
    def shown(self) -> tuple[Any, ...]:
        """How tables show each option: a constant as itself, a dict of parameters by its label."""
        pairs = zip(self.options, self.labels, strict=True)
        names = tuple(option.value if isinstance(option, Const) else label for option, label in pairs)
        return names if len(set(map(key_of, names))) == len(names) else tuple(range(len(names)))

    @cached_property
    def by_value(self) -> dict[Hashable, int]:
        """The position of each constant option."""
        return {key_of(node.value): i for i, node in enumerate(self.options) if isinstance(node, Const)}

    @cached_property
    def by_shape(self) -> dict[Hashable, tuple[int, ...]]:
        """The options with subtrees by the shape of their values (keys or length); None for options of any shape."""
        found: dict[Hashable, tuple[int, ...]] = {}
        for position, option in enumerate(self.options):
            if not isinstance(option, Const):
                shape = shape_of_node(option)
                found[shape] = (*found.get(shape, ()), position)
        return found


Node: TypeAlias = Const | Leaf | Branch | Record | Series | Derived | Gated


def entries(node: Record | Gated) -> list[tuple[str, Node]]:
    """The keys and subtrees of a dict."""
    return list(node.items) if isinstance(node, Record) else [(entry.key, entry.node) for entry in node.entries]


def _is_plain(node: _Node) -> bool:
    if isinstance(node, Const):
        return is_plain(node.value)
    if isinstance(node, Leaf):
        return all(map(is_plain, node.domain.options))
    if isinstance(node, Series):
        return not node.is_tuple and all(item.is_plain for item in node.items)
    if isinstance(node, Branch):
        return all(option.is_plain for option in node.options)
    if isinstance(node, (Record, Gated)):
        return all(part.is_plain for _, part in entries(node))
    return False  # a derived value: a function may return anything


def shape_of_node(node: Node) -> Hashable:
    """The keys of a Record or the length of a Series; None if its values may have several shapes."""
    if isinstance(node, Record):
        return frozenset(key for key, _ in node.items)
    return len(node.items) if isinstance(node, Series) and node.length is None else None


def shape_of(value: Any) -> Hashable:
    """The keys of a dict, the length of a list or tuple; None for anything else."""
    if isinstance(value, Mapping):
        return frozenset(value)
    return len(value) if isinstance(value, (list, tuple)) else None


@dataclass
class Numbering:
    """Numbers columns and derived values in the order of the tree."""

    columns: list[Column] = field(default_factory=list)
    num_derived: int = 0

    def number(
        self, node: Node, names: tuple[str, ...], path: tuple[str | int, ...], condition: Condition | None
    ) -> Node:
        """The subtree with its columns numbered.

        Args:
            names: the leading parts of its columns' names.
            path: the keys that lead to it in a configuration.
            condition: when the subtree exists.
        """
        if isinstance(node, Leaf):
            return replace(node, column=self._add(names, node.domain, condition))
        if isinstance(node, Branch):
            return self._number_branch(node, names, path, condition)
        if isinstance(node, Record):
            items = [(key, self.number(item, (*names, key), (*path, key), condition)) for key, item in node.items]
            return Record(tuple(items))
        if isinstance(node, Series):
            return self._number_series(node, names, path, condition)
        if isinstance(node, Gated):
            return self._number_gated(node, names, condition)
        if isinstance(node, Derived):
            self.num_derived += 1
            return replace(node, path=path, order=self.num_derived)
        return node

    def _add(self, names: tuple[str, ...], domain: Domain, condition: Condition | None) -> int:
        self.columns.append(Column("/".join(names), domain, condition))
        return len(self.columns) - 1

    def _number_branch(
        self, node: Branch, names: tuple[str, ...], path: tuple[str | int, ...], condition: Condition | None
    ) -> Branch:
        # The domain only needs labels in place of the options, which are in the tree.
        domain = Choice(node.shown, node.domain.weights, is_grid_axis=node.domain.is_grid_axis)
        column = self._add(names, domain, condition)
        options = [
            self.number(option, (*names, label), path, Test(column, "in", (position,)))
            for position, (option, label) in enumerate(zip(node.options, node.labels, strict=True))
        ]
        return Branch(domain, tuple(options), column)

    def _number_series(
        self, node: Series, names: tuple[str, ...], path: tuple[str | int, ...], condition: Condition | None
    ) -> Series:
        column = UNNUMBERED if node.length is None else self._add(names, node.length, condition)
        items = [
            self.number(
                item, (*names, str(i)), (*path, i), condition if node.length is None else Test(column, ">", (i,))
            )
            for i, item in enumerate(node.items)
        ]
        return replace(node, items=tuple(items), column=column)

    def _number_gated(self, node: Gated, names: tuple[str, ...], condition: Condition | None) -> Gated:
        columns: list[int] = []
        entries: list[Entry] = []

        def as_column(test: Test) -> Test:
            return replace(test, column=columns[test.column])

        for entry in node.entries:
            own = None if entry.condition is None else map_tests(entry.condition, as_column)
            leaf, column = entry.node, UNNUMBERED
            if isinstance(leaf, Leaf):
                column = self._add((*names, entry.key), leaf.domain, both(condition, own))
                leaf = replace(leaf, column=column)
            columns.append(column)
            entries.append(Entry(entry.key, leaf, own))
        return Gated(tuple(entries))


def number_columns(root: Node, name: str) -> tuple[Node, tuple[Column, ...]]:
    """The tree with its columns numbered, and the columns.

    Args:
        name: the name of the column at the root, if a whole configuration is chosen among several; otherwise unused.

    Raises:
        SpaceError: two columns would have the same name.
    """
    numbering = Numbering()
    root = numbering.number(root, (name,) if isinstance(root, Branch) else (), (), None)
    seen: set[str] = set()
    for column in numbering.columns:
        if column.name in seen:
            raise SpaceError(f"two parameters would both be called {column.name!r}; rename one of them")
        seen.add(column.name)
    return root, tuple(numbering.columns)
