"""ASHA, also called AsyncHyperBandScheduler, by ``asha`` or, with several brackets, ``hyperband``."""

from __future__ import annotations

from raytune_hpo.compat.ray_tune.schedulers.running_on import RunningOn
from raytune_hpo.compat.ray_tune.schedulers.trial_scheduler import Rule, TrialScheduler, scaled, whole_factor
from raytune_hpo.compat.ray_tune.trials import steps_of


class AsyncHyperBandScheduler(TrialScheduler):
    """Stops at each rung the trials that are not in the best 1/``reduction_factor`` of those that reached it.

    Args:
        time_attr: the count in a result that measures a trial's progress.
        metric, mode: of the experiment, if TuneConfig has none.
        max_t: the count at which a trial ends, and below which the rungs lie.
        grace_period: the first rung.
        reduction_factor: rounded to a whole number of at least 2, with a warning.
        brackets: the number of brackets to which trials are assigned; each begins to stop trials later than the last.
        stop_last_trials: whether trials end at ``max_t``; otherwise those that are left run on.
    """

    def __init__(
        self,
        time_attr: str = "training_iteration",
        metric: str | None = None,
        mode: str | None = None,
        max_t: float = 100,
        grace_period: float = 1,
        reduction_factor: float = 4,
        brackets: int = 1,
        stop_last_trials: bool = True,
    ) -> None:
        if not 0 < grace_period <= max_t:
            raise ValueError(f"grace_period is above 0 and at most max_t, got {grace_period=}, {max_t=}")
        if reduction_factor <= 1:
            raise ValueError(f"reduction_factor is above 1, got {reduction_factor}")
        if brackets < 1:
            raise ValueError(f"brackets is at least 1, got {brackets}")
        self.metric, self.mode = metric, mode
        self._time_attr, self._max_t, self._grace_period = time_attr, max_t, grace_period
        self._eta, self._brackets, self._stops_last = whole_factor(reduction_factor), brackets, stop_last_trials

    def rule(self) -> Rule:
        """``asha`` or ``hyperband``."""
        steps = steps_of(self._time_attr)
        first, last = scaled(steps, self._grace_period), scaled(steps, self._max_t)
        stop = {self._time_attr: self._max_t} if self._stops_last else {}
        if last <= first:
            return Rule(None, steps, stop)
        if not self._stops_last:
            rungs = RunningOn(rungs_below=last, min_steps=first, eta=self._eta, brackets=self._brackets > 1)
            return Rule(rungs, steps)
        name = "asha" if self._brackets == 1 else "hyperband"
        return Rule({"name": name, "eta": self._eta, "min_steps": first, "max_steps": last}, steps, stop)


ASHAScheduler = AsyncHyperBandScheduler
