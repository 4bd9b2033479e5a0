"""Learning curves: the values that trials reported, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from raytune_hpo.analysis.trial_arrays import TrialArrays
from raytune_hpo.facts import Verdict
from raytune_hpo.numerics.thinning import evenly_spaced
from raytune_hpo.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A learning curve: the reports of one trial in one metric.

    Attributes:
        steps, values: (k,) in the order of the steps; values in the metric's own units.
        pauses: the steps and values at which the trial paused.
    """

    trial: Trial
    steps: NDArray[np.float64]
    values: NDArray[np.float64]
    pauses: tuple[tuple[int, float], ...] = ()

    def thinned(self, points: int) -> Curve:
        """At most ``points`` (>= 2) of the reports, evenly spread, including the first and the last."""
        if len(self.steps) <= points:
            return self
        kept = evenly_spaced(len(self.steps), points)
        return replace(self, steps=self.steps[kept], values=self.values[kept])


@dataclass(frozen=True)
class _HasReported:
    """The column that tells which trials have reported a metric as a number."""

    metric: str

    def __call__(self, trials: Sequence[Trial]) -> NDArray[np.bool_]:
        metric = self.metric
        found = [any(isinstance(r.metrics.get(metric), (int, float)) for r in trial.reports) for trial in trials]
        return np.array(found, dtype=bool)


def reporting(trials: Sequence[Trial], metric: str) -> list[int]:
    """The positions of the trials that have a curve: those that reported the metric as a number."""
    found: list[int] = np.flatnonzero(TrialArrays.over(trials).of(_HasReported(metric))).tolist()
    return found


def learning_curves(trials: Sequence[Trial], metric: str) -> list[Curve]:
    """The curves of all trials that reported the metric as a number, in the order of the trials."""
    curves = []
    for trial in trials:
        points = [(r.step, v) for r in trial.reports if isinstance(v := r.metrics.get(metric), (int, float))]
        if points:
            steps, values = np.array(points, dtype=np.float64).T
            ends = (
                {report.step for report in trial.reports if report.verdict is Verdict.PAUSE} if trial.stretches else ()
            )
            pauses = tuple(point for point in points if point[0] in ends)
            curves.append(Curve(trial=trial, steps=steps, values=values, pauses=pauses))
    return curves
