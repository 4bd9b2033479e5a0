"""Instances as the core knows them: the order in which trials meet them, and what several of them add up to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raytune_hpo.rng import derive
from raytune_hpo.trial import INSTANCE


def order_of(num_instances: int, seed: int) -> tuple[int, ...]:
    """The order in which all trials of a study meet the instances: indices of these."""
    return tuple(int(index) for index in derive(seed, "order of instances").permutation(num_instances))


def means_so_far(own: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean of each metric over the steps that have it; what is no number is that of the last step."""
    newest = own[-1]
    means = {name: value for name, value in newest.items() if name != INSTANCE}
    for name, value in newest.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            values = [step[name] for step in own if isinstance(step.get(name), (int, float))]
            means[name] = sum(values) / len(values)
    return means
