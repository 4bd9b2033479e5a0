"""Learning curves: what trials reported, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raytune_hpo.numerics.thinning import evenly_spaced
from raytune_hpo.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A learning curve: the reports of one trial in one metric.

    Attributes:
        steps, values: (k,) in the order of the steps; values in the metric's own units.
    """

    trial: Trial
    steps: NDArray[np.float64]
    values: NDArray[np.float64]

    def thinned(self, points: int) -> Curve:
        """At most ``points`` (>= 2) of the reports, evenly spread, the first and the last among them."""
        if len(self.steps) <= points:
            return self
        kept = evenly_spaced(len(self.steps), points)
        return Curve(trial=self.trial, steps=self.steps[kept], values=self.values[kept])


def learning_curves(trials: Sequence[Trial], metric: str) -> list[Curve]:
    """The curves of all trials that reported the metric as a number, in the order of the trials."""
    curves = []
    for trial in trials:
        points = [(r.step, v) for r in trial.reports if isinstance(v := r.metrics.get(metric), (int, float))]
        if points:
            steps, values = np.array(points, dtype=np.float64).T
            curves.append(Curve(trial=trial, steps=steps, values=values))
    return curves
