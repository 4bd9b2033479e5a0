"""The protocol between a running trial and the driver that ran the script: events and their answers."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from raytune_hpo.compat.ray_tune.trials import Trial


class Heard(NamedTuple):
    """The answer to a result.

    Attributes:
        result: as callbacks have changed it.
        stops: whether the trial ends here; ``saves``: whether a checkpoint is wanted.
    """

    result: dict[str, Any]
    stops: bool = False
    saves: bool = False


class Listener(Protocol):
    """The receiver of the trials' events."""

    @property
    def is_over(self) -> bool:
        """Whether no further trial is to begin."""
        ...

    def started(self, trial: Trial) -> None: ...

    def heard(self, trial_id: str, result: dict[str, Any]) -> Heard: ...

    def saved(self, trial_id: str, checkpoint: str) -> None: ...

    def paused(self, trial_id: str) -> None:
        """The trial has been paused, and may be resumed."""
        ...

    def ended(self, trial_id: str, error: str | None) -> None: ...


class Nobody:
    """A listener that ignores all events, for trials on a cluster without callbacks and stop functions."""

    is_over = False

    def started(self, trial: Trial) -> None:
        """Nothing to do."""

    def heard(self, trial_id: str, result: dict[str, Any]) -> Heard:
        return Heard(result)

    def saved(self, trial_id: str, checkpoint: str) -> None:
        """Nothing to do."""

    def paused(self, trial_id: str) -> None:
        """Nothing to do."""

    def ended(self, trial_id: str, error: str | None) -> None:
        """Nothing to do."""
