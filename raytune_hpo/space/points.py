"""Points: configurations that a user enqueues, completed to full configurations.

A point gives the values that may be chosen. Constants and ``sample_from`` values are filled in, unless the point gives a
derived value itself. Numpy numbers become Python's, and a list is accepted for a tuple, which JSON turns into a list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from raytune_hpo.errors import SpaceError
from raytune_hpo.space.conditions import holds
from raytune_hpo.space.domain import Domain
from raytune_hpo.space.encoding import put_derived
from raytune_hpo.space.stored import Named, NotStored
from raytune_hpo.space.tree import Branch, Const, Derived, Gated, Leaf, Node, Record, Series
from raytune_hpo.space.validation import Path, problem, select
from raytune_hpo.space.values import fresh, same, show, stable_repr, tidy


class Completer:
    """Completes one configuration."""

    def __init__(self) -> None:
        self._missing: list[Derived] = []

    def config(self, root: Node, point: Any) -> Any:
        """The completed configuration of a point, not yet validated with ``problem``.

        Raises:
            SpaceError: a value that a stored study could not keep, or a dict that fits several options of a choice.
        """
        config = self._value(root, point, ())
        if problem(root, config) is None:
            missing = sorted(self._missing, key=lambda item: item.order)
            for derived in missing:  # so that a function that reads one of them too early fails
                del _place(config, derived.path)[derived.path[-1]]
            for derived in missing:
                put_derived(derived, config)
        return config

    def _value(self, node: Node, value: Any, path: Path) -> Any:
        if isinstance(node, Derived):
            _check_kept(value, path)
            return tidy(value)
        if isinstance(node, Leaf):
            return _in_domain(node.domain, value, path)
        if isinstance(node, Const):
            return fresh(node.value) if _is_constant(node.value, value) else value
        if isinstance(node, Branch):
            return self._branch(node, value, path)
        if isinstance(node, Series):
            return self._series(node, value, path)
        if isinstance(value, Mapping):
            return self._record(node, value, path) if isinstance(node, Record) else _gated(node, value, path)
        return value

    def _record(self, node: Record, value: Mapping[str, Any], path: Path) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, item in node.items:
            if key in value:
                made[key] = self._value(item, value[key], (*path, key))
            elif isinstance(item, Derived):
                self._missing.append(item)
                made[key] = None
            elif _is_fixed(item):
                made[key] = self._value(item, _skeleton(item), (*path, key))
        return {**made, **{key: item for key, item in value.items() if key not in made}}

    def _series(self, node: Series, value: Any, path: Path) -> Any:
        if not isinstance(value, (list, tuple)) or len(value) != len(node.first(value)):
            return value
        pairs = enumerate(zip(node.first(value), value, strict=True))
        items = [self._value(item, part, (*path, i)) for i, (item, part) in pairs]
        return tuple(items) if node.is_tuple else items

    def _branch(self, node: Branch, value: Any, path: Path) -> Any:
        """The value of the option that was taken: the option it equals, or the only one that it fits once completed."""
        tagged = isinstance(value, Mapping) and node.tag is not None and node.tag in value
        position = select(node, tidy(value)) if tagged or not isinstance(value, Mapping) else None
        if position is not None:
            return self._option(node, position, value, path)
        fitting = []
        for number, option in enumerate(node.options):
            made = Completer()._value(option, value, path)
            if problem(option, made, path) is None:
                fitting.append(number)
        if len(fitting) > 1:  # prefer the option that needs no completion; otherwise the point is ambiguous
            whole = [number for number in fitting if problem(node.options[number], value) is None]
            if not whole:
                raise SpaceError(
                    f"a point must say which option it takes where several fit, parameter "
                    f"{'/'.join(map(str, path))!r} may be {show([node.shown[n] for n in fitting])}, got {show(value)}; "
                    f"name {node.tag or 'a constant'!r} too"
                )
            fitting = whole
        return self._option(node, fitting[0], value, path) if fitting else value

    def _option(self, node: Branch, position: int, value: Any, path: Path) -> Any:
        return self._value(node.options[position], value, path)


def _place(config: Any, path: Path) -> Any:
    """The dict or list in which the value of a path stands."""
    for key in path[:-1]:
        config = config[key]
    return config


def _gated(node: Node, value: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The dict of a Gated node, with those of its constants that are active."""
    assert isinstance(node, Gated)
    made: dict[str, Any] = {}
    codes: dict[int, Any] = {}
    active: dict[int, Any] = {}
    for entry in node.entries:
        if isinstance(entry.node, Const):
            if entry.key not in value and bool(holds(entry.condition, codes, active, 1)[0]):
                made[entry.key] = fresh(entry.node.value)
            continue
        domain, column, is_here = entry.node.domain, entry.node.column, entry.key in value
        if is_here:
            made[entry.key] = _in_domain(domain, value[entry.key], (*path, entry.key))
            is_here = domain.problem(made[entry.key]) is None
        active[column] = np.array([is_here])
        codes[column] = domain.codes_of([made[entry.key]]) if is_here else np.zeros(1)
    return {**value, **made}


def _is_fixed(node: Node) -> bool:
    """Whether the subtree has nothing to choose."""
    if isinstance(node, Record):
        return all(_is_fixed(item) for _, item in node.items)
    if isinstance(node, Series):
        return node.length is None and all(map(_is_fixed, node.items))
    return isinstance(node, (Const, Derived))


def _skeleton(node: Node) -> Any:
    """The empty value from which a fixed subtree is completed."""
    if isinstance(node, Record):
        return {}
    if isinstance(node, Series):
        return [_skeleton(item) for item in node.items]
    return node.value if isinstance(node, Const) else None


def _in_domain(domain: Domain, value: Any, path: Path) -> Any:
    """A value of the domain in the domain's own form; anything else unchanged, to be refused later."""
    value = _plain(value)
    if not domain.options:
        return _as_number(value)
    if domain.problem(value) is None:
        return fresh(domain.nth(domain.index_of(value)))
    alike = [option for option in domain.options if _is_alike(option, value)]
    if len(alike) == 1:
        return fresh(alike[0])
    _check_kept(value, path)
    return value


def _is_constant(constant: Any, value: Any) -> bool:
    kept_by_text = isinstance(value, NotStored) and value.text == stable_repr(constant)
    return kept_by_text or same(constant, _plain(value)) or _is_alike(constant, value)


def _is_alike(option: Any, value: Any) -> bool:
    """Whether a value is what JSON or a table turns an option into: a list for a tuple or an array, NaN for None, a name
    for a class or a function, a text for a tuple in a column."""
    if option is None:
        return isinstance(value, float) and value != value
    if isinstance(value, str):
        has_text = isinstance(option, (type, Named, tuple, list)) or callable(option)
        return has_text and value == stable_repr(option)
    return isinstance(value, (list, tuple, Mapping)) and same(_loose(option), _loose(value))


def _loose(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return list(map(_loose, value))
    if isinstance(value, Mapping):
        return {key: _loose(item) for key, item in value.items()}
    return tidy(value)


def _plain(value: Any) -> Any:
    return tidy(value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value)


def _as_number(value: Any) -> Any:
    """A number of any library as a Python number."""
    if type(value) in (int, float, bool) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def _check_kept(value: Any, path: Path) -> None:
    if isinstance(value, NotStored):
        raise SpaceError(
            f"a point needs real values, parameter {'/'.join(map(str, path))!r} is {value!r}: a stored study kept only its "
            f"text; put the value of your space in its place"
        )
