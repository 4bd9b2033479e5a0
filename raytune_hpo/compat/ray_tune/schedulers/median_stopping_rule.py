"""The median stopping rule, by ``median``."""

from __future__ import annotations

from raytune_hpo.compat.ray_tune.not_carried import warn_of_idle
from raytune_hpo.compat.ray_tune.schedulers.trial_scheduler import Rule, TrialScheduler
from raytune_hpo.compat.ray_tune.trials import Steps


class MedianStoppingRule(TrialScheduler):
    """Stops a trial whose best value so far is worse than the median of the others' running means at the same result.

    Args:
        time_attr: the count by which the grace period is measured.
        metric, mode: of the experiment, if TuneConfig has none.
        grace_period: results before it neither stop a trial nor count in its mean.
        min_samples_required: the least number of other trials with which a trial is compared.
        min_time_slice, hard_stop: have no effect, with a warning: trials are always stopped, never paused.
    """

    def __init__(
        self,
        time_attr: str = "time_total_s",
        metric: str | None = None,
        mode: str | None = None,
        grace_period: float = 60.0,
        min_samples_required: int = 3,
        min_time_slice: int = 0,
        hard_stop: bool = True,
    ) -> None:
        self.metric, self.mode = metric, mode
        warn_of_idle("MedianStoppingRule", min_time_slice=(min_time_slice, 0), hard_stop=(hard_stop, True))
        self._time_attr, self._grace_period, self._min_samples = time_attr, grace_period, min_samples_required

    def rule(self) -> Rule:
        """``median``, which gets the results after the grace period."""
        steps = Steps(first=self._grace_period, first_of=self._time_attr)
        return Rule({"name": "median", "min_trials": self._min_samples}, steps)
