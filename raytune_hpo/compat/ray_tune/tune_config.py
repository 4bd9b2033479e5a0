"""What an experiment optimises and how it searches: the settings that Ray Tune takes in ``TuneConfig``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any


@dataclass
class TuneConfig:
    """What is optimised, and how.

    Attributes:
        metric, mode: what is optimised, "min" or "max"; they may be left to the searcher or the scheduler.
        search_alg: one of ``raytune_hpo.compat.ray_tune.search``; or a sampler of ours, as ``hpo.Tuner`` takes it. None
            draws at random, and walks what ``grid_search`` spans, as Ray Tune does.
        scheduler: one of ``raytune_hpo.compat.ray_tune.schedulers``; or a scheduler of ours, as ``hpo.Tuner`` takes it.
        num_samples: how often the grid is walked; without one, the number of trials. -1: until something else ends it.
        max_concurrent_trials: None or 0: as many as there is room for.
        time_budget_s: seconds, or a timedelta.
        reuse_actors: whether a trainable class whose ``reset_config`` returns True is used again for other trials.
        trial_name_creator, trial_dirname_creator: functions of a trial.
        runtime: "ray", "local" (threads of this process), or None: on Ray where this process is connected to a cluster or
            ``RAY_ADDRESS`` names one, otherwise local. Ray Tune has no such setting.
        seed: of everything random; None: from the searcher, or from numpy's global generator. Ray Tune has no such setting.
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
    """Which trials ``Tuner.restore`` takes up again.

    Attributes:
        finished, unfinished, errored: "skip", "resume" (from the last checkpoint) or "restart".
    """

    finished: str = "skip"
    unfinished: str = "resume"
    errored: str = "skip"

    class ResumeType:
        """The words."""

        RESUME, RESTART, SKIP = "resume", "restart", "skip"
