"""Page-Hinkley test for a change of a mean in either direction.

x      (n,)  standardised residuals
delta        the largest change that is tolerated, in standard deviations
m            how far the sums of x - mean - delta and of mean - x - delta have risen above their lowest values

Page: Continuous Inspection Schemes. Biometrika 41, 1954.
Hinkley: Inference about the Change-Point from Cumulative Sum Tests. Biometrika 58, 1971.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from raytune_hpo.arrays import Array

_DELTA = 1.0  # standard deviations: smaller changes are errors of the model, not a drift
_CLIP = 4.0  # standard deviations: a single wild residual raises no alarm
THRESHOLD = 3.05  # for one false alarm in 1,000 independent residuals, see ``calibrated``
FITTED = 4.0  # the same for the residuals of a fitted model, whose errors are correlated: see benchmarks/live.py
COSTLY = 8.0  # the same where an alarm has a price: after it the baseline runs, and what was promoted is tried again


class PageHinkley(NamedTuple):
    """The state of a test: the number of residuals, their mean, and both statistics."""

    num: int = 0
    mean: float = 0.0
    up: float = 0.0
    down: float = 0.0

    @property
    def statistic(self) -> float:
        return max(self.up, self.down)

    def then(self, residual: float) -> PageHinkley:
        """The state after another residual, compared with the mean of those before it and of a first one assumed 0."""
        x = min(max(residual, -_CLIP), _CLIP)
        change = x - self.mean
        return PageHinkley(
            num=self.num + 1,
            mean=self.mean + change / (self.num + 2),
            up=max(0.0, self.up + change - _DELTA),
            down=max(0.0, self.down - change - _DELTA),
        )


def calibrated(rng: np.random.Generator, *, num: int = 2_000, length: int = 2_000) -> float:
    """The threshold for one false alarm in 1,000 residuals, found by simulation of independent normal residuals.

    A test restarts after its alarm. The rate falls as the threshold rises, so bisection finds it.
    """
    draws = np.clip(rng.standard_normal((length, num)), -_CLIP, _CLIP)
    low, high = 0.0, 50.0
    for _ in range(30):
        threshold = (low + high) / 2
        low, high = (threshold, high) if _alarm_rate(draws, threshold) > 1e-3 else (low, threshold)
    return high


def _alarm_rate(draws: Array, threshold: float) -> float:
    mean, up, down, num = (np.zeros(draws.shape[1]) for _ in range(4))
    alarms = 0
    for x in draws:
        change = x - mean
        up, down = np.maximum(0.0, up + change - _DELTA), np.maximum(0.0, down - change - _DELTA)
        mean, num = mean + change / (num + 2), num + 1
        rings = np.maximum(up, down) > threshold
        alarms += int(rings.sum())
        for state in (mean, up, down, num):
            state[rings] = 0.0
    return alarms / draws.size
