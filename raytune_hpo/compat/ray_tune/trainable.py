"""Class trainables: set up once, trained step by step, saved and loaded."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import cloudpickle

from raytune_hpo.compat.ray_tune.autofilled import AutoFilled
from raytune_hpo.compat.ray_tune.checkpoint import Checkpoint
from raytune_hpo.compat.ray_tune.trial_folder import STATE, state_of, write_json

_DICT = "dict_checkpoint.pkl"  # the dict that save_checkpoint returned, if it did
_NEEDED = "a Trainable that is saved and restored defines save_checkpoint and load_checkpoint"


class Trainable:
    """The base of class trainables: a subclass defines ``step``, and ``setup`` and others if it needs them.

    Outside an experiment it can be used by itself: ``train``, ``save``, ``restore``, ``stop``.

    Args:
        config: the configuration.
        trial_info: the trial's name, folder and resources; None outside an experiment.
        parameters: keywords for ``setup``, from ``with_parameters``.

    Attributes:
        config: the configuration.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        *,
        trial_info: Any = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.config: dict[str, Any] = dict(config or {})
        self._trial_info = trial_info
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._filled = AutoFilled()
        self._result: dict[str, Any] | None = None
        self.setup(self.config, **(parameters or {}))

    # -------------------------------------------------------------------------------------------- for subclasses

    def setup(self, config: dict[str, Any], **parameters: Any) -> None:
        """Prepare for training."""

    def step(self) -> dict[str, Any]:
        """Train for one iteration, and return metrics. ``done: True`` in them ends the trial."""
        raise TypeError(f"a Trainable defines step, {type(self).__name__} does not; it returns a dict of metrics")

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any] | str | None:
        """Write the state into a folder, or return it as a dict."""
        raise TypeError(f"{_NEEDED}, {type(self).__name__} does not")

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Restore a state: the dict that ``save_checkpoint`` returned, or the folder that it wrote."""
        raise TypeError(f"{_NEEDED}, {type(self).__name__} does not")

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Set another configuration, so that the object is reused for another trial; return whether this was done."""
        return False

    def cleanup(self) -> None:
        """Release the resources that ``setup`` acquired."""

    def log_result(self, result: dict[str, Any]) -> None:
        """Called with each result."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> Any:
        """The resources of a trial, unless ``with_resources`` sets them; None: one CPU."""
        return None

    # -------------------------------------------------------------------------------------------- for callers

    def train(self) -> dict[str, Any]:
        """Train one step, and return its metrics, with counts and times added."""
        metrics = self.step()
        if not isinstance(metrics, Mapping):
            raise TypeError(f"step returns a dict of metrics, {type(self).__name__}.step returned {metrics!r}")
        self._result = self._filled.complete(metrics, self.config)
        self.log_result(self._result)
        return self._result

    def save(self, checkpoint_dir: str | PathLike[str] | None = None) -> Checkpoint:
        """Save into a folder, by default a temporary one."""
        folder = Path(tempfile.mkdtemp(prefix="checkpoint_") if checkpoint_dir is None else checkpoint_dir)
        folder.mkdir(parents=True, exist_ok=True)
        saved = self.save_checkpoint(str(folder))
        if isinstance(saved, Mapping):
            (folder / _DICT).write_bytes(cloudpickle.dumps(dict(saved)))
        elif saved is not None and not Path(saved).resolve().is_relative_to(folder.resolve()):
            raise ValueError(
                f"save_checkpoint writes into {folder}, and returns it, a dict or None; it returned {saved!r}"
            )
        write_json(folder / STATE, self._filled.state)
        return Checkpoint(folder)

    def restore(self, checkpoint_path: str | PathLike[str] | Checkpoint) -> None:
        """Restore the state from a folder that ``save`` has written."""
        folder = Path(checkpoint_path.path if isinstance(checkpoint_path, Checkpoint) else checkpoint_path)
        self._filled.restore(state_of(folder))
        file = folder / _DICT
        self.load_checkpoint(cloudpickle.loads(file.read_bytes()) if file.is_file() else str(folder))

    def reset(self, new_config: Mapping[str, Any], *, trial_info: Any = None) -> bool:
        """Begin another trial in this object; return whether ``reset_config`` supports it."""
        config = dict(new_config)
        if not self.reset_config(config):
            return False
        self.config, self._trial_info = config, trial_info
        self._filled = AutoFilled()
        self._result = None
        return True

    def stop(self) -> None:
        """End, and clean up."""
        self.cleanup()

    def get_config(self) -> dict[str, Any]:
        """The trial's configuration."""
        return self.config

    @property
    def iteration(self) -> int:
        """The number of steps so far."""
        return self._filled.iteration

    @property
    def training_iteration(self) -> int:
        """How many steps have been trained."""
        return self._filled.iteration

    @property
    def logdir(self) -> str:
        """The trial's folder; outside an experiment a temporary one."""
        if self._trial_info is not None:
            return str(self._trial_info.path)
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="trainable_", ignore_cleanup_errors=True)
        return self._temporary.name

    @property
    def trial_id(self) -> str:
        """The trial's id; "default" outside a trial."""
        return "default" if self._trial_info is None else str(self._trial_info.trial_id)

    @property
    def trial_name(self) -> str:
        """The trial's name; "default" outside a trial."""
        return "default" if self._trial_info is None else str(self._trial_info.trial_name)

    @property
    def trial_resources(self) -> Any:
        """The trial's resources, as a PlacementGroupFactory; None outside an experiment."""
        return None if self._trial_info is None else self._trial_info.resources
