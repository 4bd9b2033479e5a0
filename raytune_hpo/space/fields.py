"""Fields: the values of a configuration as one flat dict, as tables have them, known from the space before any trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from raytune_hpo.space.domain import Continuous
from raytune_hpo.space.numeric import Int
from raytune_hpo.space.tree import Branch, Const, Gated, Leaf, Node, Record, entries

Fields: TypeAlias = dict[str, type]  # by name: int, float, or object for all other values


def fields_of(node: Node, name: str = "") -> Fields:
    """The names and types of all values that configurations may have, those of all branches, in the order of the space.

    Names are keys joined by ``/``, as in a flattened configuration. A list is one value, and so is what a function returns.

    Args:
        name: that of the subtree; empty at the root.
    """
    if isinstance(node, Const):
        return _fields_of_value(node.value, name)
    if isinstance(node, Leaf):
        if node.domain.options:
            return _joined(_fields_of_value(option, name) for option in node.domain.options)
        return {name: int if isinstance(node.domain, Int) else float if isinstance(node.domain, Continuous) else object}
    if isinstance(node, Branch):
        return _joined(fields_of(option, name) for option in node.options)
    if isinstance(node, (Record, Gated)) and (parts := entries(node)):
        return _joined(fields_of(part, _below(name, key)) for key, part in parts)
    return {name: object} if name else {}


def _fields_of_value(value: Any, name: str) -> Fields:
    if isinstance(value, Mapping) and value:
        return _joined(_fields_of_value(child, _below(name, str(key))) for key, child in value.items())
    return {name: type(value) if type(value) in (int, float) else object}


def _below(name: str, key: str) -> str:
    return f"{name}/{key}" if name else key


def _joined(parts: Iterable[Fields]) -> Fields:
    found: Fields = {}
    for part in parts:
        for name, kind in part.items():
            other = found.get(name, kind)
            found[name] = kind if kind is other else object if object in (kind, other) else float
    return found
