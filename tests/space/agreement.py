"""Whether our samples and another library's come from one distribution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from raytune_hpo.space import Space
from raytune_hpo.space.values import key_of

UNLIKELY = 1e-4  # of a p-value, at fixed seeds


def assert_agreement(
    space: Space, theirs: Sequence[Mapping[str, Any]], check: Callable[[dict[str, Any]], Any] = lambda config: None
) -> None:
    """Theirs pass our check, ours pass theirs, each column agrees in distribution, and what we decode comes back."""
    ours = space.sample(len(theirs), np.random.default_rng(5))
    for config in theirs:
        space.check(config)
    for config in ours:
        check(config)
    assert space.decode(space.encode(ours)) == ours
    assert Space.from_json(space.to_json()) == space
    left, right = ([space.flatten(config) for config in configs] for configs in (ours, theirs))
    for column in space.columns:
        _assert_column(
            column.name, *([row[column.name] for row in rows if column.name in row] for rows in (left, right))
        )


def _assert_column(name: str, left: list[Any], right: list[Any]) -> None:
    if len({key_of(value) for value in left}) > 50:
        p = stats.ks_2samp(left, right).pvalue
    else:
        counts = [
            Counter(
                str(value) if isinstance(value, (str, tuple, type(None))) else round(float(value), 9) for value in side
            )
            for side in (left, right)
        ]
        # Values too rare for a chi-square test are counted together.
        common = [value for value in counts[0] if counts[0][value] + counts[1][value] >= 20]
        table = [[*(side[v] for v in common), sum(side.values()) - sum(side[v] for v in common) + 1] for side in counts]
        p = stats.chi2_contingency(table).pvalue
    assert p > UNLIKELY, f"{name}: p={p}"
