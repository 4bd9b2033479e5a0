"""Packing: configurations as JSON values and back, for spaces with values that JSON cannot hold.

{"$option": i}                 the option at position i of a choice; with "value", the packed subtree of that option
{"$opaque": repr}              a constant, whose value is in the space
stored form                    a derived value, as it was drawn (see ``stored``): its function is never called again
{"$live": [token, form]}       a derived value without a stored form, which only the process that drew it has
"""

from __future__ import annotations

import secrets
from typing import Any

from raytune_hpo.space.stored import from_stored, is_kept, to_stored
from raytune_hpo.space.tree import Branch, Const, Derived, Leaf, Node, Series, entries
from raytune_hpo.space.validation import select
from raytune_hpo.space.values import fresh, is_plain, stable_repr


class Packer:
    """Packs and unpacks the configurations of one space.

    Args:
        live: derived values without a stored form, by token: the process that drew them returns the values themselves,
            any other a stand-in with their text. None packs for another process that has the space, which is sent the
            values themselves.
    """

    def __init__(self, live: dict[str, Any] | None) -> None:
        self._live = live

    def pack(self, node: Node, value: Any) -> Any:
        if isinstance(node, Derived):
            return self._pack_derived(value)
        if node.is_plain:
            return value
        if isinstance(node, Const):
            return {"$opaque": stable_repr(node.value)}
        if isinstance(node, Leaf):
            return value if is_plain(value) and not _is_option(value) else {"$option": node.domain.index_of(value)}
        if isinstance(node, Branch):
            return self._pack_branch(node, value)
        if isinstance(node, Series):
            return [self.pack(item, part) for item, part in zip(node.first(value), value, strict=True)]
        return {key: self.pack(part, value[key]) for key, part in entries(node) if key in value}

    def _pack_derived(self, value: Any) -> Any:
        if self._live is None:
            return value
        form = to_stored(value)
        if is_kept(form):
            return form
        token = secrets.token_hex(8)
        self._live[token] = value
        return {"$live": [token, form]}

    def _pack_branch(self, node: Branch, value: Any) -> Any:
        position = select(node, value)
        if position is None:  # outside the space: shown, and refused by ``check``
            return value if is_plain(value) else {"$opaque": stable_repr(value)}
        option = node.options[position]
        if option.is_plain and not _is_option(value):
            return value
        if isinstance(option, Const):
            return {"$option": position}
        return {"$option": position, "value": self.pack(option, value)}

    def unpack(self, node: Node, packed: Any) -> Any:
        if isinstance(node, Derived):
            return self._unpack_derived(packed)
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
            return fresh(option.value) if isinstance(option, Const) else self.unpack(option, packed["value"])
        if isinstance(node, Series):
            items = [self.unpack(item, part) for item, part in zip(node.first(packed), packed, strict=True)]
            return tuple(items) if node.is_tuple else items
        return {key: self.unpack(part, packed[key]) for key, part in entries(node) if key in packed}

    def _unpack_derived(self, packed: Any) -> Any:
        if self._live is None:
            return packed
        if isinstance(packed, dict) and "$live" in packed and packed["$live"][0] in self._live:
            return self._live[packed["$live"][0]]
        return from_stored(packed)


def chosen(node: Node, packed: Any) -> Any:
    """The chosen part of a packed value: without derived values, which may differ each time, and texts of constants."""
    if node.is_plain or isinstance(node, Leaf):
        return packed
    if isinstance(node, (Const, Derived)):
        return None
    if isinstance(node, Branch):
        if not (_is_option(packed) and "value" in packed):
            return packed
        return {**packed, "value": chosen(node.options[packed["$option"]], packed["value"])}
    if isinstance(node, Series):
        return [chosen(item, part) for item, part in zip(node.first(packed), packed, strict=True)]
    return {key: chosen(part, packed[key]) for key, part in entries(node) if key in packed}


def _is_option(packed: Any) -> bool:
    return isinstance(packed, dict) and "$option" in packed
