"""Page-Hinkley test for a change of a mean in either direction.

x      (n,)  standardised residuals
delta        the largest change that is tolerated, in standard deviations
m            how far the sums of x - mean - delta and of mean - x - delta have risen above their lowest values

Page: Continuous Inspection Schemes. Biometrika 41, 1954.
Hinkley: Inference about the Change-Point from Cumulative Sum Tests. Biometrika 58, 1971.
"""

from __future__ import annotations

from typing import NamedTuple

_DELTA = 1.0  # standard deviations: smaller changes are errors of the model, not a drift
_CLIP = 4.0  # standard deviations: a single wild residual raises no alarm
# Thresholds. One of 3.05 would give one false alarm in 1,000 independent residuals (simulated in the tests).
FITTED = 4.0  # as rare for the residuals of a fitted model, whose errors are correlated: see benchmarks/live.py
COSTLY = 8.0  # where an alarm has a price: after it the baseline runs, and what was promoted is tried again


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
