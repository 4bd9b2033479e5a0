"""Instances in the core: the order in which trials run them, and the means over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from statistics import mean
from typing import Any

from raytune_hpo.rng import derive
from raytune_hpo.trial import INSTANCE

_NOTHING: Mapping[str, Any] = {}


def order_of(num_instances: int, seed: int) -> tuple[int, ...]:
    """The order in which all trials of a study run the instances, as indices."""
    return tuple(int(index) for index in derive(seed, "order of instances").permutation(num_instances))


def own_metrics(step: int, metrics: Mapping[str, Any], order: Sequence[int], names: Sequence[str]) -> Mapping[str, Any]:
    """A step's own metrics, with the name of its instance; empty if the study has no instances, or not as many."""
    return {**metrics, INSTANCE: names[order[step - 1]]} if 1 <= step <= len(order) else _NOTHING


def means_so_far(own: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean of each metric over the steps that have it; for values that are not numbers, the last one."""
    newest = own[-1]
    means = {name: value for name, value in newest.items() if name != INSTANCE}
    for name, value in newest.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            values = [step[name] for step in own if isinstance(step.get(name), (int, float))]
            total = sum(values)
            means[name] = total / len(values) if isfinite(total) else mean(values)  # which is exact, and slow
    return means
