"""Packing: configurations as JSON values and back, for spaces that hold what JSON cannot carry.

{"$option": i}                 the option at position i of a choice; with "value", the packed subtree of that option
{"$opaque": repr}              a constant, or a derived value, which is computed again when it is unpacked
"""

from __future__ import annotations

from typing import Any

from raytune_hpo.space.encoding import put_derived
from raytune_hpo.space.tree import Branch, Const, Derived, Leaf, Node, Series, entries
from raytune_hpo.space.validation import select
from raytune_hpo.space.values import fresh, is_plain, stable_repr


def pack(node: Node, value: Any) -> Any:
    """A value of a subtree as a JSON value."""
    if isinstance(node, Derived):
        return value if is_plain(value) else {"$opaque": stable_repr(value)}
    if node.is_plain:
        return value
    if isinstance(node, Const):
        return {"$opaque": stable_repr(node.value)}
    if isinstance(node, Leaf):
        return value if _goes_as_it_is(value) else {"$option": node.domain.index_of(value)}
    if isinstance(node, Branch):
        return _pack_branch(node, value)
    if isinstance(node, Series):
        return [pack(item, part) for item, part in zip(node.items, value, strict=True)]
    return {key: pack(part, value[key]) for key, part in entries(node) if key in value}


def _pack_branch(node: Branch, value: Any) -> Any:
    position = select(node, value)
    if position is None:  # outside the space: shown, and refused by ``check``
        return value if is_plain(value) else {"$opaque": stable_repr(value)}
    option = node.options[position]
    if option.is_plain and not _is_option(value):
        return value
    if isinstance(option, Const):
        return {"$option": position}
    return {"$option": position, "value": pack(option, value)}


class Unpacker:
    """Restores one configuration; derived values that were not carried are computed again at its end."""

    def __init__(self) -> None:
        self._missing: list[Derived] = []

    def config(self, root: Node, packed: Any) -> Any:
        config = self._unpack(root, packed)
        for derived in sorted(self._missing, key=lambda item: item.order):
            put_derived(derived, config)
        return config

    def _unpack(self, node: Node, packed: Any) -> Any:
        if isinstance(node, Derived):
            if isinstance(packed, dict) and packed.keys() == {"$opaque"}:
                self._missing.append(node)
                return None
            return packed
        if node.is_plain:
            return packed
        if isinstance(node, Const):
            return fresh(node.value)
        if isinstance(node, Leaf):
            return node.domain.nth(packed["$option"]) if _is_option(packed) else packed
        if isinstance(node, Branch):
            if not _is_option(packed):
                return packed
            option = node.options[packed["$option"]]
            return fresh(option.value) if isinstance(option, Const) else self._unpack(option, packed["value"])
        if isinstance(node, Series):
            items = [self._unpack(item, part) for item, part in zip(node.items, packed, strict=True)]
            return tuple(items) if node.is_tuple else items
        return {key: self._unpack(part, packed[key]) for key, part in entries(node) if key in packed}


def _goes_as_it_is(value: Any) -> bool:
    return is_plain(value) and not _is_option(value)


def _is_option(packed: Any) -> bool:
    return isinstance(packed, dict) and "$option" in packed
