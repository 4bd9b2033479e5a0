"""Beliefs about the columns of a space: the priors of its numbers, and the weights of its options.

They steer the first trials, fade as results arrive, and never rule a value out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.numerics.beliefs import MIDDLES, Belief, Beliefs
from raytune_hpo.space.choices import Choice, Ordinal
from raytune_hpo.space.domain import Domain
from raytune_hpo.space.numeric import Float, Int
from raytune_hpo.space.tree import Branch, Entry, Gated, Leaf, Node, Record, Series

_SHARE = 0.95  # of draws that follow a belief of weight 1; the rest are uniform


def beliefs_of(domains: Iterable[Domain], weight: float) -> Beliefs:
    """The beliefs about the columns of these domains.

    Args:
        weight: how much the beliefs count: 1 as they are, 0 not at all.
    """
    share, by_column, of_options = _SHARE * min(weight, 1.0), {}, {}
    for j, domain in enumerate(domains):
        if isinstance(domain, (Float, Int)) and domain.prior is not None:
            by_column[j] = Belief.of(domain.prior.log_density(domain.lo, domain.hi, domain.log), share)
        elif isinstance(domain, Ordinal) and domain.weights is not None:
            by_column[j] = Belief.of(_log_weights(domain), share)
        elif isinstance(domain, Choice) and domain.weights is not None:  # even draws have these weights already
            of_options[j] = Belief.of(_log_weights(domain), share)
    return Beliefs(by_column, of_options, weight)


def _log_weights(domain: Choice | Ordinal) -> Array:
    logs: Array = np.log(np.asarray(domain.weights, dtype=float))[domain.codes(MIDDLES)]
    return logs


def without_beliefs(node: Node) -> Node:
    """The subtree without priors and weights; its columns have no numbers yet."""
    if isinstance(node, Leaf):
        return replace(node, domain=_unbelieved(node.domain))
    if isinstance(node, Branch):
        options = tuple(map(without_beliefs, node.options))
        domain = Choice(node.domain.options, is_grid_axis=node.domain.is_grid_axis)
        return replace(node, domain=domain, options=options)
    if isinstance(node, Record):
        return Record(tuple((key, without_beliefs(item)) for key, item in node.items))
    if isinstance(node, Series):
        return replace(node, items=tuple(map(without_beliefs, node.items)))
    if isinstance(node, Gated):
        entries = [
            Entry(e.key, replace(e.node, domain=_unbelieved(e.node.domain)), e.condition)
            if isinstance(e.node, Leaf)
            else e
            for e in node.entries
        ]
        return Gated(tuple(entries))
    return node


def _unbelieved(domain: Domain) -> Domain:
    if isinstance(domain, (Float, Int)):
        return replace(domain, prior=None)
    if isinstance(domain, Choice):
        return Choice(domain.options, is_grid_axis=domain.is_grid_axis)
    return Ordinal(domain.options) if isinstance(domain, Ordinal) else domain
