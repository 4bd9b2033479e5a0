"""HyperBand, by ``hyperband``, without waiting for a bracket to fill."""

from __future__ import annotations

from raytune_hpo.compat.ray_tune.schedulers.running_on import RunningOn
from raytune_hpo.compat.ray_tune.schedulers.trial_scheduler import Rule, TrialScheduler, scaled, whole_factor
from raytune_hpo.compat.ray_tune.trials import steps_of


class HyperBandScheduler(TrialScheduler):
    """Assigns trials to brackets, which begin to stop them early or late.

    Ray Tune pauses trials until their bracket is full; here they are stopped asynchronously, which needs no checkpoints.

    Args:
        time_attr: the count in a result that measures a trial's progress.
        metric, mode: of the experiment, if TuneConfig has none.
        max_t: the count at which a trial ends, and below which the rungs lie.
        reduction_factor: rounded to a whole number of at least 2, with a warning.
        stop_last_trials: whether trials end at ``max_t``; otherwise those that are left run on.
    """

    def __init__(
        self,
        time_attr: str = "training_iteration",
        metric: str | None = None,
        mode: str | None = None,
        max_t: float = 81,
        reduction_factor: float = 3,
        stop_last_trials: bool = True,
    ) -> None:
        if max_t <= 0 or reduction_factor <= 1:
            raise ValueError(f"HyperBand needs max_t > 0 and reduction_factor > 1, got {max_t=}, {reduction_factor=}")
        self.metric, self.mode = metric, mode
        self.eta, self.last_step = whole_factor(reduction_factor), scaled(steps_of(time_attr), max_t)
        self._time_attr, self._max_t, self.stops_last = time_attr, max_t, stop_last_trials

    def rule(self) -> Rule:
        """``hyperband``."""
        steps = steps_of(self._time_attr)
        stop = {self._time_attr: self._max_t} if self.stops_last else {}
        if self.last_step < 2:
            return Rule(None, steps, stop)
        if not self.stops_last:
            return Rule(RunningOn(rungs_below=self.last_step, eta=self.eta, brackets=True), steps)
        return Rule({"name": "hyperband", "eta": self.eta, "max_steps": self.last_step}, steps, stop)
