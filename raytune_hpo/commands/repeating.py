"""Adaptive repeats: a configuration runs again while it looks about as good as the best one.

One that is farther from the best, on either side, than half the interval of the difference runs once. If it is worse, it is
dropped, as in the racing of SMAC: with noise of 20 %, hardly any configuration differs significantly from the best, and
repeating all of them took half of a search's runs. If it is better, that is settled, too: in a small space the first few
configurations, each better than the one before and all of them slow, took a third of the time. If a relative error is
given, a configuration is repeated until its value is known that well, or known to be worse.

Hutter, Hoos, Leyton-Brown: Sequential Model-Based Optimization for General Algorithm Configuration. LION 2011 (intensify).

values  (n,)  of one configuration, in the metric's own units
half          half the width of an interval, on the logarithmic scale where all values are above 0: noise of programs grows
              with what is measured, so it is compared as a share
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raytune_hpo.arrays import Array
from raytune_hpo.commands.metric_specs import jitter_of
from raytune_hpo.errors import SpecError
from raytune_hpo.goals import Goal
from raytune_hpo.options import is_integral, is_real

LEVEL = 0.9  # of the intervals that are compared
PRIOR_SD, PRIOR_FREEDOM = 0.05, 3  # prior of the noise: runs of programs differ by about 5 %
CLOSE = 0.5  # of the interval of the difference to the best: configurations farther away, on either side, run once
UNSTABLE = 0.1  # from this jitter on, a configuration is reported as unstable


@dataclass(frozen=True, kw_only=True)
class RepeatRule:
    """How often a configuration runs.

    Attributes:
        low, high: the least and the most runs.
        rel_error: the half-width of the interval, as a share of the value, at which repeating ends.
    """

    low: int = 1
    high: int = 3
    rel_error: float | None = None

    @classmethod
    def parsed(cls, repeats: Any, rel_error: float | None = None) -> RepeatRule:
        """From 5, "3..10" or (3, 10).

        Raises:
            SpecError: it is something else.
        """
        low, high = repeats if isinstance(repeats, (tuple, list)) and len(repeats) == 2 else (repeats, repeats)
        if isinstance(repeats, str) and (found := re.fullmatch(r"(\d+)(?:\.\.(\d+))?", repeats.strip())):
            low, high = int(found[1]), int(found[2] or found[1])
        if not (is_integral(low) and is_integral(high) and 1 <= low <= high):
            raise SpecError(f"repeats is a number, or 3..10 for as many as it takes to decide, got {repeats!r}")
        if rel_error is not None and not (is_real(rel_error) and 0 < rel_error < 1):
            raise SpecError(f"rel_error is a share like 0.02, got {rel_error!r}")
        return cls(low=int(low), high=int(high), rel_error=rel_error)


class Contest:
    """The best configuration so far and the noise, from the values of all that were measured.

    Args:
        goal: the goal by which configurations are compared.
    """

    def __init__(self, rule: RepeatRule, goal: Goal) -> None:
        self.rule, self._goal = rule, goal
        self._samples: list[tuple[float, ...]] = []
        self._best: tuple[float, ...] = ()

    def wants_more(self, values: Sequence[float]) -> bool:
        """Whether a configuration with these values shall run once more."""
        n = len(values)
        if n < self.rule.low:
            return True
        if n >= self.rule.high:
            return False
        noise = self._noise(values)
        if noise.freedom > 0 and noise.squares == 0:
            return False  # what is measured is no time: it is the same in each run
        if noise.freedom == 0 and not (noise.is_share and self.rule.rel_error is None):
            return True  # nothing has run twice: the next run tells how much values differ
        if self.rule.rel_error is None:
            return bool(self._best) and abs(self._behind(values)) < CLOSE * self._margin(values, noise)
        if n > 2 and noise.half(1 / n) <= self.rule.rel_error:
            return False
        return not self._best or self._behind(values) < self._margin(values, noise)

    def _behind(self, values: Sequence[float]) -> float:
        """By how much the mean loss of these values exceeds that of the best ones; negative if they are better."""
        return self._loss(values) - self._loss(self._best)

    def _margin(self, values: Sequence[float], noise: Noise) -> float:
        """Half the width of the interval of the difference between these values and the best ones."""
        return noise.half(1 / len(values) + 1 / len(self._best))

    def settle(self, values: Sequence[float]) -> None:
        """Record a configuration that has run often enough."""
        if not values:
            return
        self._samples.append(tuple(values))
        if not self._best or self._loss(values) < self._loss(self._best):
            self._best = tuple(values)

    @property
    def best(self) -> float | None:
        """The best median."""
        return float(np.median(self._best)) if self._best else None

    def _loss(self, values: Sequence[float]) -> float:
        return self._goal.loss(float(np.mean(self._scaled(values))))

    def _scaled(self, values: Sequence[float]) -> Array:
        array = np.asarray(values, dtype=np.float64)
        is_positive = all(min(sample) > 0 for sample in (*self._samples, tuple(values)))
        return np.log(array) if is_positive else array

    def _noise(self, values: Sequence[float]) -> Noise:
        samples = (*self._samples, tuple(values))
        is_share = all(min(sample) > 0 for sample in samples)
        return Noise.of([self._scaled(sample) for sample in samples], is_share)


@dataclass(frozen=True)
class Noise:
    """The noise of a single run, pooled over configurations.

    Attributes:
        squares: the sum of squared deviations from the means; ``freedom``: its degrees of freedom.
        is_share: whether deviations are relative. Then the prior counts as well: two runs that happen to be alike do not
            mean that there is no noise.
    """

    squares: float
    freedom: int
    is_share: bool

    @classmethod
    def of(cls, samples: Iterable[Array], is_share: bool) -> Noise:
        """From the values of each configuration, on the logarithmic scale if deviations are relative."""
        squares, freedom = 0.0, 0
        for sample in samples:
            if len(sample) > 1:
                squares += float(np.sum((sample - sample.mean()) ** 2))
                freedom += len(sample) - 1
        return cls(squares, freedom, is_share)

    @property
    def is_known(self) -> bool:
        """Whether something has run twice, or the prior counts."""
        return self.freedom > 0 or self.is_share

    def half(self, variance: float) -> float:
        """Half the width of Student's interval for a value with ``variance`` times the variance of one run."""
        from scipy.special import stdtrit

        squares, freedom = self.squares, self.freedom
        if self.is_share:
            squares, freedom = squares + PRIOR_FREEDOM * PRIOR_SD**2, freedom + PRIOR_FREEDOM
        return float(stdtrit(freedom, (1 + LEVEL) / 2)) * math.sqrt(squares / freedom * variance)


def unstable(values: Sequence[float]) -> str:
    """A warning about values that vary a lot; empty if they do not."""
    if len(values) < 2 or (spread := jitter_of(values)) <= UNSTABLE:
        return ""
    way_out = "close other programs, warm up (--warmup 1), or repeat more often"
    return f"unstable: MAD {spread:.0%} over {len(values)} runs; {way_out}"
