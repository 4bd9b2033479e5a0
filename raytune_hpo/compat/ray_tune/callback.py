"""Callbacks: told in the driver's process what happens to trials, as Ray Tune tells them."""

from __future__ import annotations

from typing import Any

from raytune_hpo.compat.ray_tune.trials import Trial


class Callback:
    """The base of callbacks: a subclass defines what it wants to hear. All arguments are given by name."""

    def setup(
        self, stop: Any = None, num_samples: int | None = None, total_num_samples: int | None = None, **info: Any
    ) -> None:
        """Before the first trial begins."""

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Before a result is looked at."""

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """After a result has been looked at."""

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial begins."""

    def on_trial_restore(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial goes on."""

    def on_trial_save(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial has saved a checkpoint."""

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """A trial has reported. What is changed in ``result`` is what is kept."""

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial has ended, by itself or because it was stopped."""

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial has failed for good."""

    def on_checkpoint(self, iteration: int, trials: list[Trial], trial: Trial, checkpoint: Any, **info: Any) -> None:
        """A checkpoint is there."""

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """After the last trial."""

    def get_state(self) -> dict[str, Any] | None:
        """What a restored experiment should know."""
        return None

    def set_state(self, state: dict[str, Any]) -> None:
        """Take up what ``get_state`` has returned."""
