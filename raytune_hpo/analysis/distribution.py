"""The empirical distribution of a metric: which share of trials is at least so good."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raytune_hpo.analysis.values import Floats

LEAST = 20  # values from which on halves of a study are compared


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """A step function.

    Attributes:
        values: (k,) rising.
        shares: (k,) of all values, those that are at most this.
        num: how many values there were.
    """

    values: Floats
    shares: Floats
    num: int


def distribution(values: Floats, points: int = 500) -> Distribution:
    """The distribution of the values (n,) that are known, at its steps or at so many quantiles where these are more."""
    known = np.sort(values[np.isfinite(values)])
    n = len(known)
    last = np.append(np.flatnonzero(np.diff(known) > 0), n - 1) if n else np.empty(0, dtype=np.intp)
    if len(last) > points:
        last = last[np.linspace(0, len(last) - 1, points).round().astype(np.intp)]
    return Distribution(values=known[last], shares=(last + 1) / max(n, 1), num=n)


def halves(values: Floats) -> list[tuple[str, Distribution]]:
    """The distribution of all values, and where they are many those of the first and of the second half of the study."""
    known = values[np.isfinite(values)]
    found = [("all trials", distribution(known))]
    if len(known) >= LEAST:
        middle = len(known) // 2
        found += [("first half", distribution(known[:middle])), ("second half", distribution(known[middle:]))]
    return found
