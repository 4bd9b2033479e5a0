"""``TuneConfig``: what an experiment optimises and how it searches; and ``ResumeConfig``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from raytune_hpo.compat.ray_tune.error import NotCarried


@dataclass
class TuneConfig:
    """The settings of an experiment's search.

    Attributes:
        metric, mode: the metric to optimise, and "min" or "max"; they may be left to the searcher or the scheduler.
        search_alg: one of ``raytune_hpo.compat.ray_tune.search``, or a sampler as ``hpo.Tuner`` takes it. None draws at
            random, and traverses the grid of ``grid_search``, as Ray Tune does.
        scheduler: one of ``raytune_hpo.compat.ray_tune.schedulers``, or a scheduler as ``hpo.Tuner`` takes it.
        num_samples: how often the grid is traversed; without a grid, the number of trials. -1: no limit.
        max_concurrent_trials: how many trials may run at the same time; None or 0: as many as there is room for.
        time_budget_s: seconds, or a timedelta.
        reuse_actors: whether an object of a trainable class whose ``reset_config`` returns True is reused for other trials.
        trial_name_creator, trial_dirname_creator: functions of a trial.
        runtime: "ray", "local" (threads of this process), or None: "ray" if this process is connected to a cluster or
            ``RAY_ADDRESS`` names one, otherwise "local". Ray Tune has no such setting.
        seed: the seed of all randomness; None: from the searcher, or from numpy's global generator. Ray Tune has no such
            setting.
    """

    mode: Any = None
    metric: Any = None
    search_alg: Any = None
    scheduler: Any = None
    num_samples: int = 1
    max_concurrent_trials: int | None = None
    time_budget_s: float | timedelta | None = None
    reuse_actors: bool = False
    trial_name_creator: Callable[[Any], str] | None = None
    trial_dirname_creator: Callable[[Any], str] | None = None
    chdir_to_trial_dir: bool | None = None
    runtime: str | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.num_samples == 0 or self.num_samples < -1:
            raise ValueError(f"num_samples is at least 1, or -1 for no end, got {self.num_samples}")


@dataclass
class ResumeConfig:
    """Which trials ``Tuner.restore`` resumes.

    Attributes:
        errored: "skip", "resume" (from the last checkpoint) or "restart".
        unfinished: "skip" or "resume".
        finished: "skip".

    Raises:
        NotCarried: finished trials are to run again, or unfinished ones from scratch.
    """

    finished: str = "skip"
    unfinished: str = "resume"
    errored: str = "skip"

    class ResumeType:
        """The three values."""

        RESUME, RESTART, SKIP = "resume", "restart", "skip"

    def __post_init__(self) -> None:
        if self.finished != self.ResumeType.SKIP or self.unfinished == self.ResumeType.RESTART:
            raise NotCarried(
                f"finished trials are skipped here, and unfinished ones skipped or resumed, got finished={self.finished!r}, "
                f"unfinished={self.unfinished!r}; begin another experiment with their configurations as points_to_evaluate"
            )
