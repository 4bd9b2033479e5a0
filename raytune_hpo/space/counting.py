"""Numbering the configurations of a finite space in the order of ``itertools.product``: the last entry varies fastest.

A configuration is a ``Place``: the position of the value of each active column. Options of a branch follow each other,
each with all configurations below it, and so do the lengths of a list.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from raytune_hpo.space.conditions import holds, tested
from raytune_hpo.space.tree import Branch, Entry, Gated, Leaf, Node, Record, Series

Place: TypeAlias = dict[int, int]  # column -> position of its value


def count(node: Node) -> int | None:
    """How many different values a subtree has; None if infinitely many."""
    if isinstance(node, Leaf):
        return node.domain.size
    if isinstance(node, Branch):
        return _total([count(option) for option in node.options], sum)
    if isinstance(node, Gated):
        return _count_entries(node, 0, {})
    if isinstance(node, Series) and node.length is not None:
        return _total([count(shorter) for shorter in _of_each_length(node)], sum)
    return _total([count(part) for part in _parts(node)], math.prod)


def _total(counts: Sequence[int | None], joined: Callable[[Sequence[int]], int]) -> int | None:
    known = [number for number in counts if number is not None]
    return joined(known) if len(known) == len(counts) else None


def _parts(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Record):
        return tuple(item for _, item in node.items)
    return node.items if isinstance(node, Series) else ()


def _of_each_length(node: Series) -> list[Series]:
    """One list of fixed length for each length that the list may have, the shortest first."""
    assert node.length is not None
    return [Series(node.items[:num]) for num in range(node.length.lo, node.length.hi + 1)]


def _finite(node: Node) -> int:
    number = count(node)
    assert number is not None
    return number


def place_of(node: Node, index: int, place: Place) -> None:
    """Write the column positions of a subtree's value number ``index`` into ``place``."""
    if isinstance(node, Leaf):
        place[node.column] = index
    elif isinstance(node, Branch):
        position = 0
        while index >= (num := _finite(node.options[position])):
            index -= num
            position += 1
        place[node.column] = position
        place_of(node.options[position], index, place)
    elif isinstance(node, Gated):
        _place_entries(node, index, place)
    elif isinstance(node, Series) and node.length is not None:
        for position, shorter in enumerate(_of_each_length(node)):
            if index < (num := _finite(shorter)):
                place[node.column] = position
                place_of(shorter, index, place)
                break
            index -= num
    else:
        for part in reversed(_parts(node)):
            index, here = divmod(index, _finite(part))
            place_of(part, here, place)


def index_at(node: Node, place: Place) -> int:
    """The number of a subtree's value: the inverse of ``place_of``."""
    if isinstance(node, Leaf):
        return place[node.column]
    if isinstance(node, Branch):
        chosen = place[node.column]
        return sum(map(_finite, node.options[:chosen])) + index_at(node.options[chosen], place)
    if isinstance(node, Gated):
        return _index_entries(node, place)
    if isinstance(node, Series) and node.length is not None:
        *shorter, own = _of_each_length(node)[: place[node.column] + 1]
        return sum(map(_finite, shorter)) + index_at(own, place)
    index = 0
    for part in _parts(node):
        index = index * _finite(part) + index_at(part, place)
    return index


# ------------------------------------------------------------------------------------------------ gated entries
# What an entry contributes depends on earlier entries, so the values of those are tried one by one, but only of entries
# that others test.


def _count_entries(node: Gated, start: int, place: Place) -> int | None:
    """The number of ways to fill the entries from ``start`` on, given those before."""
    later = [tested(entry.condition) for entry in node.entries]
    memo: dict[Any, int | None] = {}

    def ways(number: int, place: Place) -> int | None:
        if number == len(node.entries):
            return 1
        asked = frozenset().union(*later[number:])
        key = number, tuple(sorted((column, at) for column, at in place.items() if column in asked))
        if key not in memo:
            memo[key] = fill(number, place, asked)
        return memo[key]

    def fill(number: int, place: Place, asked: frozenset[int]) -> int | None:
        entry = node.entries[number]
        if not isinstance(entry.node, Leaf) or not _is_active(node, number, place):
            return ways(number + 1, place)
        size = entry.node.domain.size
        if size is None:
            return None
        if entry.node.column not in asked:
            rest = ways(number + 1, place)
            return None if rest is None else size * rest
        return _total([ways(number + 1, {**place, entry.node.column: at}) for at in range(size)], sum)

    return ways(start, place)


def _leaves(node: Gated) -> Iterator[tuple[int, Entry, Leaf]]:
    return ((n, entry, entry.node) for n, entry in enumerate(node.entries) if isinstance(entry.node, Leaf))


def _is_active(node: Gated, number: int, place: Place) -> bool:
    codes: dict[int, Any] = {}
    active: dict[int, Any] = {}
    for _, _, leaf in _leaves(node):
        active[leaf.column] = np.array([leaf.column in place])
        at = place.get(leaf.column)
        codes[leaf.column] = np.zeros(1) if at is None else leaf.domain.codes_of([leaf.domain.nth(at)])
    return bool(holds(node.entries[number].condition, codes, active, 1)[0])


def _place_entries(node: Gated, index: int, place: Place) -> None:
    for number, _, leaf in _leaves(node):
        if not _is_active(node, number, place):
            continue
        place[leaf.column] = 0
        while index >= (ways := _count_entries(node, number + 1, place) or 0):
            index -= ways
            place[leaf.column] += 1


def _index_entries(node: Gated, place: Place) -> int:
    index = 0
    before: Place = {}
    for number, _, leaf in _leaves(node):
        if leaf.column in place:
            for position in range(place[leaf.column]):
                index += _count_entries(node, number + 1, {**before, leaf.column: position}) or 0
            before[leaf.column] = place[leaf.column]
    return index
