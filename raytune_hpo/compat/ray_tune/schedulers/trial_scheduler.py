"""The base of schedulers: each names the scheduler of this package that implements it, and how steps are counted."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raytune_hpo.compat.ray_tune.error import NotCarried
from raytune_hpo.compat.ray_tune.not_carried import StandIn
from raytune_hpo.compat.ray_tune.trials import BY_RESULTS, Steps


@dataclass(frozen=True)
class Rule:
    """The counterpart of a scheduler of Ray Tune.

    Attributes:
        scheduler: the scheduler of this package, as ``hpo.Tuner`` takes it; None: every trial runs to its end.
        steps: how it counts a trial's steps.
        stop: values that end a trial when they are reached.
    """

    scheduler: Any = None
    steps: Steps = BY_RESULTS
    stop: Mapping[str, float] = field(default_factory=dict)


class TrialScheduler:
    """The base of schedulers. For one of your own, see docs/how-to/own-scheduler.md."""

    metric: str | None = None
    mode: str | None = None

    on_trial_add = on_trial_result = on_trial_complete = on_trial_error = on_trial_remove = choose_trial_to_run = (
        StandIn("the loop that asks a scheduler", "an experiment runs its schedulers itself, and so does hpo.Study")
    )
    save = restore = StandIn(
        "the state of a scheduler", "an experiment keeps the rungs of its scheduler: Tuner.restore continues it"
    )

    def rule(self) -> Rule:
        """The scheduler's counterpart here.

        Raises:
            NotCarried: it has none.
        """
        raise NotCarried(
            f"{type(self).__name__} decides trial by trial in Ray Tune's own loop, which does not run here; write it as "
            f"a scheduler of ours (docs/how-to/own-scheduler.md) and give that as scheduler="
        )

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Set the metric and the mode; False if the scheduler has its own."""
        if self.metric is not None and metric is not None:
            return False
        self.metric, self.mode = self.metric or metric, self.mode or mode
        return True


class FIFOScheduler(TrialScheduler):
    """Every trial runs to its end."""

    def rule(self) -> Rule:
        """The rule without a scheduler."""
        return Rule()


def scaled(steps: Steps, value: float) -> int:
    """A value of a scheduler's count in whole steps; at least one."""
    return max(1, round(value * steps.scale))


def whole_factor(reduction_factor: float) -> int:
    """The reduction factor rounded to a whole number of at least 2, as schedulers here need it."""
    factor = max(2, round(reduction_factor))
    if factor != reduction_factor:
        warnings.warn(
            f"reduction_factor={reduction_factor:g} is taken for {factor}: it is a whole number here", stacklevel=4
        )
    return factor
