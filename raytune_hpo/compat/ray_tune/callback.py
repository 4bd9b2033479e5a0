"""Callbacks: hooks for the events of trials, called in the driver's process, as in Ray Tune."""

from __future__ import annotations

from typing import Any

from raytune_hpo.compat.ray_tune.trials import Trial


class Callback:
    """The base of callbacks: a subclass overrides the hooks that it needs. All arguments are given by name."""

    def setup(
        self, stop: Any = None, num_samples: int | None = None, total_num_samples: int | None = None, **info: Any
    ) -> None:
        """Called before the first trial begins."""

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Called before a result is processed."""

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Called after a result has been processed."""

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Called when a trial begins."""

    def on_trial_restore(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Called when a trial resumes."""

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Called when a trial has failed and is tried again."""

    def on_trial_save(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Called when a trial has saved a checkpoint."""

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Called when a trial has reported. Changes to ``result`` are kept."""

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Called when a trial has ended, by itself or because it was stopped."""

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Called when a trial has failed and is not tried again."""

    def on_checkpoint(self, iteration: int, trials: list[Trial], trial: Trial, checkpoint: Any, **info: Any) -> None:
        """Called when a checkpoint exists."""

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Called after the last trial."""

    def get_state(self) -> dict[str, Any] | None:
        """Accepted, and never called: a restored experiment has its callbacks as they were when it began."""
        return None

    def set_state(self, state: dict[str, Any]) -> None:
        """Accepted, and never called, see ``get_state``."""
