"""Validation of a configuration against a space: the rule it breaks, and the option that it takes in a branch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from raytune_hpo.errors import nearest
from raytune_hpo.space.conditions import holds
from raytune_hpo.space.tree import Branch, Const, Gated, Leaf, Node, Record, Series, shape_of
from raytune_hpo.space.values import key_of, plain, same, show

Path = tuple[str | int, ...]


def problem(node: Node, value: Any, path: Path = ()) -> str | None:
    """The first rule that a value breaks, naming the parameter, the rule and the value; None if it fits."""
    if isinstance(node, Leaf):
        broken = node.domain.problem(value)
        return broken and f"{_name(path)} {broken}, got {show(value)}"
    if isinstance(node, Const):
        return None if same(node.value, value) else f"{_name(path)} is always {show(node.value)}, got {show(value)}"
    if isinstance(node, Record):
        return _record_problem(node, value, path)
    if isinstance(node, Branch):
        return _branch_problem(node, value, path)
    if isinstance(node, Series):
        return _series_problem(node, value, path)
    return _gated_problem(node, value, path) if isinstance(node, Gated) else None


def _name(path: Path) -> str:
    return f"parameter {'/'.join(map(str, path))!r}" if path else "a configuration"


def _record_problem(node: Record, value: Any, path: Path) -> str | None:
    if not isinstance(value, Mapping):
        return f"{_name(path)} must be a dict, got {show(value)}"
    if broken := _unknown(value, [key for key, _ in node.items], path):
        return broken
    for key, item in node.items:
        if key not in value:
            return f"{_name((*path, key))} is missing, got {show(value)}"
        if broken := problem(item, value[key], (*path, key)):
            return broken
    return None


def _unknown(value: Mapping[str, Any], keys: list[str], path: Path) -> str | None:
    for key in value:
        if key not in keys:
            return f"{_name((*path, key))} is not in the space; {nearest(str(key), keys)}"
    return None


def _series_problem(node: Series, value: Any, path: Path) -> str | None:
    least, most = (len(node.items),) * 2 if node.length is None else (node.length.lo, node.length.hi)
    if not isinstance(value, (list, tuple)) or not least <= len(value) <= most:
        lengths = f"{least}" if least == most else f"{least} to {most}"
        return f"{_name(path)} must be a list of {lengths}, got {show(value)}"
    pairs = enumerate(zip(node.first(value), value, strict=True))
    found = (problem(item, part, (*path, position)) for position, (item, part) in pairs)
    return next(filter(None, found), None)


def _branch_problem(node: Branch, value: Any, path: Path) -> str | None:
    position = select(node, value)
    if position is not None:
        return problem(node.options[position], value, path)
    if node.tag is not None and isinstance(value, Mapping):
        names = ", ".join(repr(name) for name in node.labels)
        return f"{_name((*path, node.tag))} must name an option ({names}), got {show(value.get(node.tag))}"
    return f"{_name(path)} must fit one of {len(node.options)} options ({show(list(node.shown))}), got {show(value)}"


def select(node: Branch, value: Any) -> int | None:
    """The position of the option that a value belongs to; None if it fits none.

    A tag or a shape that only one option has is decisive; the rest of the value is left for ``problem`` to check.
    """
    if node.tag is not None and isinstance(value, Mapping):
        position = node.by_tag.get(key_of(plain(value.get(node.tag))))
        if position is not None:
            return position
    position = node.by_value.get(key_of(plain(value))) if node.by_value else None
    if position is not None:
        return position
    likely = node.by_shape.get(shape_of(value), ()) or node.by_shape.get(None, ())
    if len(likely) == 1 and not node.by_shape.get(None):
        return likely[0]
    return next((i for i, option in enumerate(node.options) if problem(option, value) is None), None)


def _gated_problem(node: Gated, value: Any, path: Path) -> str | None:
    if not isinstance(value, Mapping):
        return f"{_name(path)} must be a dict, got {show(value)}"
    if broken := _unknown(value, [entry.key for entry in node.entries], path):
        return broken
    codes: dict[int, Any] = {}
    active: dict[int, Any] = {}
    for entry in node.entries:
        here = bool(holds(entry.condition, codes, active, 1)[0])
        if here != (entry.key in value):
            rule = "is active and missing" if here else "is not active here and must be left out"
            return f"{_name((*path, entry.key))} {rule}, got {show(value)}"
        if here and (broken := problem(entry.node, value[entry.key], (*path, entry.key))):
            return broken
        if isinstance(entry.node, Leaf):
            domain, column = entry.node.domain, entry.node.column
            active[column] = np.array([here])
            codes[column] = domain.codes_of([value[entry.key]]) if here else np.zeros(1)
    return None
