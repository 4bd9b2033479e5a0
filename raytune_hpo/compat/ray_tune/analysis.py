"""``ExperimentAnalysis``: the results of an experiment, as ``tune.run`` returns them."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytune_hpo.compat.ray_tune.checkpoint import Checkpoint
from raytune_hpo.compat.ray_tune.gathering import Ending
from raytune_hpo.compat.ray_tune.result import Result
from raytune_hpo.compat.ray_tune.result_grid import ResultGrid
from raytune_hpo.compat.ray_tune.trials import Trial
from raytune_hpo.compat.ray_tune.tuner import Tuner
from raytune_hpo.runtime.plan import not_called

if TYPE_CHECKING:
    import pandas


class ExperimentAnalysis:
    """The trials of an experiment, and the best of them.

    Args:
        experiment_checkpoint_path: the folder of an experiment, or the outcome of one that ran in this process.
        default_metric, default_mode: by which trials are compared if a call does not name others.

    Raises:
        ValueError: no experiment has been started in the folder.
    """

    def __init__(
        self,
        experiment_checkpoint_path: str | PathLike[str] | Ending,
        *,
        storage_filesystem: Any = None,
        default_metric: str | None = None,
        default_mode: str | None = None,
    ) -> None:
        if not isinstance(experiment_checkpoint_path, Ending):
            experiment_checkpoint_path = Tuner.restore(experiment_checkpoint_path, not_called).stored_trials()
        self._results, self.trials = experiment_checkpoint_path
        self.default_metric, self.default_mode = default_metric, default_mode

    @property
    def experiment_path(self) -> str:
        """The folder of the experiment."""
        return self._results.experiment_path

    @property
    def result_grid(self) -> ResultGrid:
        """The same results as ``Tuner.fit`` returns them."""
        return self._results

    # -------------------------------------------------------------------------------------------- the best

    def get_best_trial(
        self,
        metric: str | None = None,
        mode: str | None = None,
        scope: str = "last",
        filter_nan_and_inf: bool = True,
    ) -> Trial | None:
        """The best trial, see ``ResultGrid.get_best_result``; None if no trial has a value.

        Raises:
            ValueError: no metric or mode was given, here or before.
        """
        metric, mode = metric or self.default_metric, mode or self.default_mode
        try:
            best = self._results.get_best_result(metric, mode, scope, filter_nan_and_inf)
        except RuntimeError:
            return None
        return next(trial for trial in self.trials if trial.path == best.path)

    def get_best_config(
        self, metric: str | None = None, mode: str | None = None, scope: str = "last"
    ) -> dict[str, Any] | None:
        """The configuration of the best trial; None if there is none."""
        best = self.get_best_trial(metric, mode, scope)
        return None if best is None else best.config

    def get_best_checkpoint(
        self, trial: Trial, metric: str | None = None, mode: str | None = None
    ) -> Checkpoint | None:
        """The best checkpoint of a trial among those that are kept."""
        metric, mode = metric or self.default_metric, mode or self.default_mode
        if metric is None or mode is None:
            raise ValueError(f"the best checkpoint needs a metric and its mode, got {metric=}, {mode=}")
        return Result(trial.path, trial.config).get_best_checkpoint(metric, mode)

    def get_best_logdir(self, metric: str | None = None, mode: str | None = None, scope: str = "last") -> str | None:
        """The folder of the best trial; None if there is none."""
        best = self.get_best_trial(metric, mode, scope)
        return None if best is None else best.path

    def get_trial_checkpoints_paths(self, trial: Trial, metric: str | None = None) -> list[tuple[str, Any]]:
        """The kept checkpoints of a trial, each with the metric of its result; by default the iteration."""
        metric = metric or self.default_metric or "training_iteration"
        return [(kept.path, metrics.get(metric)) for kept, metrics in Result(trial.path).best_checkpoints]

    def get_last_checkpoint(
        self, trial: Trial | None = None, metric: str = "training_iteration", mode: str = "max"
    ) -> Checkpoint | None:
        """The latest checkpoint of a trial; by default of the trial with the most iterations."""
        chosen = trial or self.get_best_trial(metric, mode)
        return None if chosen is None else chosen.checkpoint

    @property
    def best_trial(self) -> Trial | None:
        return self.get_best_trial()

    @property
    def best_config(self) -> dict[str, Any] | None:
        return self.get_best_config()

    @property
    def best_checkpoint(self) -> Checkpoint | None:
        """The best checkpoint of the best trial."""
        best = self.best_trial
        return None if best is None else self.get_best_checkpoint(best)

    @property
    def best_result(self) -> dict[str, Any]:
        """The last result of the best trial."""
        best = self.best_trial
        return {} if best is None else best.last_result

    @property
    def best_logdir(self) -> str | None:
        """The folder of the best trial."""
        best = self.best_trial
        return None if best is None else best.path

    @property
    def best_dataframe(self) -> pandas.DataFrame:
        """A row for each result of the best trial."""
        best = self.best_trial
        if best is None:
            raise ValueError("no trial has a value of the metric")
        return Result(best.path).metrics_dataframe

    @property
    def best_result_df(self) -> pandas.DataFrame:
        """The last result of the best trial, as a table of one row."""
        frame = self.dataframe()
        chosen: pandas.DataFrame = frame[frame["trial_id"] == (self.best_trial.trial_id if self.best_trial else None)]
        return chosen

    # -------------------------------------------------------------------------------------------- all trials

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """The last result of each trial, by its id."""
        return {trial.trial_id: trial.last_result for trial in self.trials}

    @property
    def results_df(self) -> pandas.DataFrame:
        """A row for each trial, by its id."""
        table: pandas.DataFrame = self.dataframe().set_index("trial_id")
        return table

    @property
    def trial_dataframes(self) -> dict[str, pandas.DataFrame]:
        """All results of each trial, by its folder and by its id, which newer scripts use."""
        return _Frames({trial.trial_id: trial.path for trial in self.trials})

    def dataframe(self, metric: str | None = None, mode: str | None = None) -> pandas.DataFrame:
        """A row for each trial: its last result or, with a metric and a mode, its best one."""
        return self._results.get_dataframe(metric, mode)

    def get_all_configs(self, prefix: bool = False) -> dict[str, dict[str, Any]]:
        """The configuration of each trial, by its folder; ``prefix``: with names such as ``config/lr``."""
        return {
            trial.path: {f"config/{k}": v for k, v in trial.config.items()} if prefix else trial.config
            for trial in self.trials
        }


class _Frames(dict[str, Any]):
    """Tables by trial id, read on access; the trial's folder is a key, too."""

    def __init__(self, paths: dict[str, str]) -> None:
        super().__init__(paths)
        self._ids = {path: trial_id for trial_id, path in paths.items()}

    def __getitem__(self, key: str | PathLike[str]) -> Any:
        return Result(Path(super().__getitem__(self._ids.get(str(key), str(key))))).metrics_dataframe

    def values(self) -> Any:
        return [self[key] for key in self]

    def items(self) -> Any:
        return [(key, self[key]) for key in self]
