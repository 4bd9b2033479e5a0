"""Loggers: callbacks that keep a record of each trial."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from raytune_hpo.compat.ray_tune.callback import Callback
from raytune_hpo.compat.ray_tune.not_carried import stand_ins
from raytune_hpo.compat.ray_tune.trials import Trial

_HIDDEN = ("config", "hist_stats", "trial_id", "experiment_tag", "done", "timesteps_total")


class LoggerCallback(Callback):
    """The base of loggers: a subclass overrides the hooks for a trial's start, its results and its end."""

    def log_trial_start(self, trial: Trial) -> None:
        """Called when a trial begins."""

    def log_trial_restore(self, trial: Trial) -> None:
        """Called when a trial resumes."""

    def log_trial_save(self, trial: Trial) -> None:
        """Called when a trial has saved a checkpoint."""

    def log_trial_result(self, iteration: int, trial: Trial, result: dict[str, Any]) -> None:
        """Called when a trial has reported."""

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        """Called when a trial has ended."""

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        self.log_trial_result(iteration, trial, result)

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.log_trial_start(trial)

    def on_trial_restore(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.log_trial_restore(trial)

    def on_trial_save(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.log_trial_save(trial)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.log_trial_end(trial, failed=False)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.log_trial_end(trial, failed=True)


class JsonLoggerCallback(LoggerCallback):
    """``params.json`` and ``result.json`` in each trial's folder: they are always written, with or without this."""


class CSVLoggerCallback(LoggerCallback):
    """``progress.csv`` in each trial's folder: it is always written, with or without this."""


class TBXLoggerCallback(LoggerCallback):
    """TensorBoard's files in each trial's folder: numbers as scalars. Needs tensorboardX."""

    def __init__(self) -> None:
        self._writers: dict[str, Any] = {}

    def log_trial_start(self, trial: Trial) -> None:
        """Open the trial's file."""
        from tensorboardX import SummaryWriter

        self._writers[trial.trial_id] = SummaryWriter(trial.path, flush_secs=30)

    def log_trial_result(self, iteration: int, trial: Trial, result: dict[str, Any]) -> None:
        """Write each number."""
        from raytune_hpo.compat.ray_tune.trial_folder import flattened

        step = result.get("timesteps_total") or result["training_iteration"]
        for name, value in flattened({k: v for k, v in result.items() if k not in _HIDDEN}).items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                self._writers[trial.trial_id].add_scalar(f"ray/tune/{name}", value, global_step=step)

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        """Close the trial's file."""
        self._writers.pop(trial.trial_id).close()


def pretty_print(result: Mapping[str, Any], exclude: Collection[str] | None = None) -> str:
    """A result as indented text, without its configuration and values that are None."""
    hidden = {"config", *(exclude or ())}
    shown = {key: value for key, value in result.items() if key not in hidden and value is not None}
    return "\n".join(
        f"{key}: {json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, (dict, list)) else value}"
        for key, value in sorted(shown.items())
    )


__getattr__ = stand_ins("ray.tune.logger", "write a LoggerCallback, or use a logger of raytune_hpo.integrations")
