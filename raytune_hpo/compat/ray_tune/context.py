"""The context of the running trial: its name, its folder, its resources."""

from __future__ import annotations

from typing import Any

from raytune_hpo.compat.ray_tune.session import current
from raytune_hpo.compat.ray_tune.trials import Trial


class TuneContext:
    """The context of a trainable's trial. Outside a trial, everything is None but the ranks and sizes."""

    def get_experiment_name(self) -> str | None:
        """The name of the experiment."""
        trial = _trial()
        return None if trial is None else trial.experiment_name

    def get_trial_id(self) -> str | None:
        """The trial's id."""
        trial = _trial()
        return None if trial is None else trial.trial_id

    def get_trial_name(self) -> str | None:
        """The trial's name."""
        trial = _trial()
        return None if trial is None else trial.trial_name

    def get_trial_dir(self) -> str | None:
        """The path of the trial's folder."""
        trial = _trial()
        return None if trial is None else trial.path

    def get_trial_resources(self) -> Any:
        """The trial's resources, as a PlacementGroupFactory."""
        trial = _trial()
        return None if trial is None else trial.resources

    def get_world_size(self) -> int:
        """Always 1: a trial is one worker."""
        return 1

    def get_world_rank(self) -> int:
        """Always 0."""
        return 0

    def get_local_rank(self) -> int:
        """Always 0."""
        return 0

    def get_local_world_size(self) -> int:
        """Always 1."""
        return 1

    def get_node_rank(self) -> int:
        """Always 0."""
        return 0


def get_context() -> TuneContext:
    """The context of the running trial."""
    return TuneContext()


def _trial() -> Trial | None:
    session = current()
    return None if session is None else session.trial
