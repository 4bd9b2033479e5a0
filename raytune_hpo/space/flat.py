"""Flat rows: a configuration as one row of a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from raytune_hpo.errors import SpaceError
from raytune_hpo.space.tree import Branch, Gated, Leaf, Node, Record, Series
from raytune_hpo.space.validation import select
from raytune_hpo.space.values import show


def flat(node: Node, value: Any) -> Iterator[tuple[int, Any]]:
    """The active columns of a subtree, in order, each with the value to show."""
    if isinstance(node, Leaf):
        yield node.column, value
    elif isinstance(node, Branch):
        position = select(node, value)
        if position is None:
            raise SpaceError(f"{show(value)} fits none of the options {show(list(node.shown))}")
        yield node.column, node.shown[position]
        yield from flat(node.options[position], value)
    elif isinstance(node, Record):
        for key, item in node.items:
            yield from flat(item, value.get(key))
    elif isinstance(node, Series):
        if node.length is not None:
            yield node.column, len(value)
        for item, part in zip(node.first(value), value, strict=True):
            yield from flat(item, part)
    elif isinstance(node, Gated):
        for entry in node.entries:
            if entry.key in value:
                yield from flat(entry.node, value[entry.key])
