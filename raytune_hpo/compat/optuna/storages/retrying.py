"""Retries: trials that a process left running are enqueued again."""

from __future__ import annotations

from typing import Any


class RetryFailedTrialCallback:
    """Enqueues again the parameters of a trial that a process left running when it ended.

    Args:
        max_retry: how often one trial may be tried again; None: no limit.
        inherit_intermediate_values: whether a trial that is tried again begins with the reports of the one before.
    """

    def __init__(self, max_retry: int | None = None, inherit_intermediate_values: bool = False) -> None:
        self._max_retry, self._inherits = max_retry, inherit_intermediate_values

    def __call__(self, study: Any, trial: Any) -> None:
        history = self.retry_history(trial)
        first = history[0] if history else trial.number
        if self._max_retry is not None and len(history) >= self._max_retry:
            return
        system_attrs = {"failed_trial": first, "retry_history": [*history, trial.number]}
        study._enqueue(
            trial.params,
            user_attrs=trial.user_attrs,
            system_attrs=system_attrs,
            intermediate_values=trial.intermediate_values if self._inherits else None,
        )

    @staticmethod
    def retried_trial_number(trial: Any) -> int | None:
        """The number of the trial that this one retries; None if it retries none."""
        found: int | None = trial.system_attrs.get("failed_trial")
        return found

    @staticmethod
    def retry_history(trial: Any) -> list[int]:
        """The numbers of the earlier trials of which this one is a retry, oldest first."""
        return list(trial.system_attrs.get("retry_history", []))


class RetryHeartbeatStaleTrialCallback(RetryFailedTrialCallback):
    """The current name of RetryFailedTrialCallback."""
