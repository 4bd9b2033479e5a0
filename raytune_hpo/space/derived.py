"""Variants of a space's tree: with discretised domains, without functions, or without column numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from raytune_hpo.space.choices import Ordinal
from raytune_hpo.space.conditions import Test, map_tests
from raytune_hpo.space.domain import Domain
from raytune_hpo.space.tree import Branch, Derived, Entry, Gated, Leaf, Node, Record, Series


def discretised(node: Node, points: int) -> Node:
    """The subtree with infinite domains replaced by Ordinals of ``points`` quantiles; columns have no numbers yet."""
    if isinstance(node, Leaf):
        return replace(node, domain=_listed(node.domain, points))
    if isinstance(node, Branch):
        return replace(node, options=tuple(discretised(option, points) for option in node.options))
    if isinstance(node, Record):
        return Record(tuple((key, discretised(item, points)) for key, item in node.items))
    if isinstance(node, Series):
        return replace(node, items=tuple(discretised(item, points) for item in node.items))
    return _discretised_gated(node, points) if isinstance(node, Gated) else node


def _listed(domain: Domain, points: int) -> Domain:
    return domain if domain.size is not None else Ordinal(domain.quantiles(points))


def without_functions(node: Node) -> Node:
    """The subtree with derived values replaced by None, for callers that need only what a sampler chooses."""
    if isinstance(node, Derived):
        return replace(node, function=_nothing)
    if isinstance(node, Branch):
        return replace(node, options=tuple(map(without_functions, node.options)))
    if isinstance(node, Record):
        return Record(tuple((key, without_functions(item)) for key, item in node.items))
    if isinstance(node, Series):
        return replace(node, items=tuple(map(without_functions, node.items)))
    return node


def _nothing(config: dict[str, Any]) -> None:
    return None


def unnumbered(node: Node) -> Node:
    """The subtree with conditions that test positions of entries again, as before its columns were numbered."""
    if isinstance(node, Branch):
        return replace(node, options=tuple(map(unnumbered, node.options)))
    if isinstance(node, Record):
        return Record(tuple((key, unnumbered(item)) for key, item in node.items))
    if isinstance(node, Series):
        return replace(node, items=tuple(map(unnumbered, node.items)))
    if not isinstance(node, Gated):
        return node
    numbers = {entry.node.column: n for n, entry in enumerate(node.entries) if isinstance(entry.node, Leaf)}

    def by_entry(test: Test) -> Test:
        return replace(test, column=numbers[test.column])

    return Gated(
        tuple(
            replace(entry, condition=entry.condition and map_tests(entry.condition, by_entry)) for entry in node.entries
        )
    )


def _discretised_gated(node: Gated, points: int) -> Gated:
    """A discretised Gated node. Codes become positions, so a test of numbers becomes a test for the positions that pass."""
    domains = [entry.node.domain if isinstance(entry.node, Leaf) else None for entry in node.entries]
    listed = [domain and _listed(domain, points) for domain in domains]

    def by_position(test: Test) -> Test:
        before, after = domains[test.column], listed[test.column]
        if before is after or before is None or not isinstance(after, Ordinal):
            return test
        passing = np.flatnonzero(test.passes(before.codes_of(after.options)))
        return Test(test.column, "in", tuple(passing.tolist()))

    entries: list[Entry] = []
    for entry, domain in zip(node.entries, listed, strict=True):
        leaf = entry.node if domain is None else Leaf(domain)
        entries.append(Entry(entry.key, leaf, entry.condition and map_tests(entry.condition, by_position)))
    return Gated(tuple(entries))
