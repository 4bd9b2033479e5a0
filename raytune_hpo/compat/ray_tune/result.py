"""Results: the names of autofilled metrics, and the result of one trial as in ``ResultGrid``."""

from __future__ import annotations

from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytune_hpo.compat.ray_tune.autofilled import FILLED
from raytune_hpo.compat.ray_tune.checkpoint import Checkpoint, local_file_system
from raytune_hpo.compat.ray_tune.trial_folder import CHECKPOINT_NAME, TrialFolder
from raytune_hpo.compat.ray_tune.trial_folder import ERROR as EXPR_ERROR_PICKLE_FILE
from raytune_hpo.compat.ray_tune.trial_folder import ERROR_TEXT as EXPR_ERROR_FILE
from raytune_hpo.compat.ray_tune.trial_folder import PARAMS as EXPR_PARAM_FILE
from raytune_hpo.compat.ray_tune.trial_folder import PARAMS_PICKLED as EXPR_PARAM_PICKLE_FILE
from raytune_hpo.compat.ray_tune.trial_folder import ROWS as EXPR_RESULT_FILE
from raytune_hpo.compat.ray_tune.trial_folder import TABLE as EXPR_PROGRESS_FILE
from raytune_hpo.goals import Goal

if TYPE_CHECKING:
    import pandas

__all__ = [
    "CHECKPOINT_NAME",
    "EXPR_ERROR_FILE",
    "EXPR_ERROR_PICKLE_FILE",
    "EXPR_PARAM_FILE",
    "EXPR_PARAM_PICKLE_FILE",
    "EXPR_PROGRESS_FILE",
    "EXPR_RESULT_FILE",
    "Result",
]

DONE = "done"
CONFIG = "config"
SHOULD_CHECKPOINT = "should_checkpoint"
TRAINING_ITERATION = "training_iteration"
TIME_TOTAL_S = "time_total_s"
TIME_THIS_ITER_S = "time_this_iter_s"
TIMESTEPS_TOTAL = "timesteps_total"
TIMESTEPS_THIS_ITER = "timesteps_this_iter"
EPISODES_TOTAL = "episodes_total"
EPISODES_THIS_ITER = "episodes_this_iter"
TRIAL_ID = "trial_id"
TIMESTAMP = "timestamp"
MEAN_ACCURACY, MEAN_LOSS, EPISODE_REWARD_MEAN = "mean_accuracy", "mean_loss", "episode_reward_mean"
EXPERIMENT_TAG = "experiment_tag"
HOSTNAME, NODE_IP, PID = "hostname", "node_ip", "pid"
DEFAULT_METRIC = "_metric"  # the name of a number that a function returns or yields
DEFAULT_RESULT_KEYS = (TRAINING_ITERATION, TIME_TOTAL_S, TIMESTEPS_TOTAL, MEAN_ACCURACY, MEAN_LOSS)
DEFAULT_RESULTS_DIR = "~/ray_results"


class Result:
    """The result of one trial.

    Attributes:
        config: the configuration, as the trainable got it.
        path: of the trial's folder.
        error: the exception that ended it; None if there was none.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        config: dict[str, Any] | None = None,
        metrics: dict[str, Any] | None = None,
        error: BaseException | None = None,
    ) -> None:
        self._folder = TrialFolder(path)
        self._config, self._metrics, self._error = config, metrics, error

    @classmethod
    def from_path(cls, path: str | PathLike[str], storage_filesystem: Any = None) -> Result:
        """The result of a trial, read from its folder.

        Raises:
            RuntimeError: the folder contains none.
        """
        if not TrialFolder(path).path.is_dir():
            raise RuntimeError(f"no trial has its folder at {path}")
        return cls(path)

    @property
    def path(self) -> str:
        """The path of the trial's folder."""
        return str(self._folder.path)

    @property
    def filesystem(self) -> Any:
        """The file system of the folder, which is this machine's."""
        return local_file_system()

    @property
    def log_dir(self) -> Path:
        """The folder, as ``path`` was called before Ray 2.7."""
        return self._folder.path

    @property
    def config(self) -> dict[str, Any]:
        return self._folder.params() if self._config is None else self._config

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The last result, with autofilled metrics; without any result, only the configuration."""
        if self._metrics is not None:
            return self._metrics
        return self.rows[-1] if self.rows else {CONFIG: self.config}

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """All results, in the order of their reports."""
        return self._folder.rows()

    @property
    def metrics_dataframe(self) -> pandas.DataFrame:
        """A row for each result."""
        return self._folder.dataframe()

    @cached_property
    def error(self) -> BaseException | None:
        return self._folder.error() if self._metrics is None else self._error

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The latest checkpoint; None if there is none."""
        kept = self._folder.kept()
        return Checkpoint(kept[-1][0]) if kept else None

    @property
    def best_checkpoints(self) -> list[tuple[Checkpoint, dict[str, Any]]]:
        """The kept checkpoints, each with the metrics of its result."""
        return [(Checkpoint(place), metrics) for place, metrics in self._folder.kept()]

    def get_best_checkpoint(self, metric: str, mode: str) -> Checkpoint | None:
        """The kept checkpoint with the best metric; None if there is none.

        Raises:
            RuntimeError: none of their results has the metric.
        """
        goal = Goal(metric, mode)
        kept = self.best_checkpoints
        scored = [(goal.loss(metrics[metric]), i) for i, (_, metrics) in enumerate(kept) if metric in metrics]
        if kept and not scored:
            raise RuntimeError(f"no checkpoint has a result with metric {metric!r}, they have {sorted(kept[-1][1])}")
        return kept[min(scored)[1]][0] if scored else None

    def __repr__(self) -> str:
        error = "" if self.error is None else f"  error={type(self.error).__name__!r},\n"
        own = {name: value for name, value in self.metrics.items() if name not in FILLED}
        return f"Result(\n{error}  metrics={own},\n  path={self.path!r},\n  checkpoint={self.checkpoint}\n)"
