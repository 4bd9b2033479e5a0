"""The base of schedulers: each says which of ours does its work, and in which steps."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raytune_hpo.compat.ray_tune.error import NotCarried
from raytune_hpo.compat.ray_tune.trials import BY_RESULTS, Steps


@dataclass(frozen=True)
class Rule:
    """What becomes of a scheduler here.

    Attributes:
        scheduler: ours, as ``hpo.Tuner`` takes it; None: every trial runs to its end.
        steps: how far a trial has come for it.
        stop: values that end a trial when they are reached.
    """

    scheduler: Any = None
    steps: Steps = BY_RESULTS
    stop: Mapping[str, float] = field(default_factory=dict)


class TrialScheduler:
    """The base of schedulers. A scheduler of one's own is written for ours: docs/how-to/own-scheduler.md."""

    metric: str | None = None
    mode: str | None = None

    def rule(self) -> Rule:
        """What does its work here.

        Raises:
            NotCarried: nothing does.
        """
        raise NotCarried(
            f"{type(self).__name__} decides trial by trial in Ray Tune's own loop, which there is none of here; write it as "
            f"a scheduler of ours (docs/how-to/own-scheduler.md) and give that as scheduler="
        )

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Take on a metric and a mode; False where it has its own."""
        if self.metric is not None and metric is not None:
            return False
        self.metric, self.mode = self.metric or metric, self.mode or mode
        return True


class FIFOScheduler(TrialScheduler):
    """Every trial runs to its end."""

    def rule(self) -> Rule:
        """No scheduler at all."""
        return Rule()


def scaled(steps: Steps, value: float) -> int:
    """So much of a scheduler's time, in whole steps; at least one."""
    return max(1, round(value * steps.scale))


def whole_factor(reduction_factor: float) -> int:
    """The share of trials that survive a rung is one in a whole number here, of at least 2."""
    factor = max(2, round(reduction_factor))
    if factor != reduction_factor:
        warnings.warn(
            f"reduction_factor={reduction_factor:g} is taken for {factor}: it is a whole number here", stacklevel=4
        )
    return factor
