"""The contract between a running trial and whoever ran the script: what is said, and what is answered."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from raytune_hpo.compat.ray_tune.trials import Trial


class Heard(NamedTuple):
    """The answer to a result.

    Attributes:
        result: as callbacks have left it.
        stops: whether the trial ends here; ``saves``: whether a checkpoint is wanted.
    """

    result: dict[str, Any]
    stops: bool = False
    saves: bool = False


class Listener(Protocol):
    """Told by trials what happens to them."""

    @property
    def is_over(self) -> bool:
        """Whether no further trial is to begin."""
        ...

    def started(self, trial: Trial) -> None: ...

    def heard(self, trial_id: str, result: dict[str, Any]) -> Heard: ...

    def saved(self, trial_id: str, checkpoint: str) -> None: ...

    def paused(self, trial_id: str) -> None:
        """It has been set aside, and may go on."""
        ...

    def ended(self, trial_id: str, error: str | None) -> None: ...


class Nobody:
    """Listens where nobody wants to know: trials on a cluster, without callbacks and functions to stop by."""

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
