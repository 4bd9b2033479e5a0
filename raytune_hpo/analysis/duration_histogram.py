"""Durations of trials, and their histogram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raytune_hpo.analysis.series import Floats
from raytune_hpo.analysis.trial_arrays import TrialArrays
from raytune_hpo.display.ranges import LOG_DECADES
from raytune_hpo.facts import Status
from raytune_hpo.trial import Trial

_LEAST_S = 1e-7  # the resolution of a clock; shorter durations count as this


@dataclass(frozen=True, kw_only=True)
class Durations:
    """A histogram of durations.

    Attributes:
        edges: (k + 1,) the edges of the bins, in seconds.
        counts: (k,) by status, for the statuses that occur.
        is_log: whether the bins are of equal ratio rather than of equal width.
    """

    edges: Floats
    counts: Mapping[Status, Floats]
    is_log: bool


def durations_of(trials: Sequence[Trial]) -> Floats:
    """Seconds inside the objective (n,); NaN if not measured."""
    return np.array([np.nan if t.duration_s is None else max(t.duration_s, _LEAST_S) for t in trials], dtype=np.float64)


def histogram(trials: Sequence[Trial], most_bins: int = 40) -> Durations:
    """The durations of finished trials, in about as many bins as the square root of their number."""
    arrays = TrialArrays.over(trials)
    seconds = arrays.of(durations_of)
    known = seconds[~np.isnan(seconds)]
    if not len(known):
        return Durations(edges=np.empty(0), counts={}, is_log=False)
    low, high = float(known.min()), float(known.max())
    is_log = bool(np.log10(high / low) > LOG_DECADES)
    num = int(np.clip(np.ceil(2 * np.sqrt(len(known))), 1, most_bins))
    if is_log:
        edges = np.geomspace(low, high, num + 1)
    else:
        edges = np.linspace(low, high, num + 1) if high > low else np.array([low * 0.95, high * 1.05])
    edges[-1] *= 1 + 1e-9  # so that rounding never leaves the longest trial out
    edges[0] *= 1 - 1e-9
    by_status = {s: own[~np.isnan(own)] for s in Status if len(own := seconds[arrays.which(s)])}
    counts = {s: np.histogram(own, edges)[0].astype(np.float64) for s, own in by_status.items() if len(own)}
    return Durations(edges=edges, counts=counts, is_log=is_log)
