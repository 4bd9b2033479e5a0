"""Trainables as classes: set up once, trained step by step, saved and loaded."""

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

_DICT = "dict_checkpoint.pkl"  # what save_checkpoint returned, where it returned a dict
_NEEDED = "a Trainable that is saved and restored defines save_checkpoint and load_checkpoint"


class Trainable:
    """The base of trainables that are classes: a subclass defines ``step``, and ``setup`` and so on as far as it needs them.

    Outside an experiment it can be used as it is: ``train``, ``save``, ``restore``, ``stop``.

    Args:
        config: the configuration.
        trial_info: what the trial is called, where it lies and what it has; None outside an experiment.
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

    # -------------------------------------------------------------------------------------------- what subclasses define

    def setup(self, config: dict[str, Any], **parameters: Any) -> None:
        """Prepare for training."""

    def step(self) -> dict[str, Any]:
        """Train for a while; the metrics. ``done: True`` in them ends the trial."""
        raise TypeError(f"a Trainable defines step, {type(self).__name__} does not; it returns a dict of metrics")

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any] | str | None:
        """Write the state into a folder, or return it as a dict."""
        raise TypeError(f"{_NEEDED}, {type(self).__name__} does not")

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Take up a state: the dict that ``save_checkpoint`` returned, or the folder that it wrote."""
        raise TypeError(f"{_NEEDED}, {type(self).__name__} does not")

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take on another configuration, to be used again for another trial; whether that has been done."""
        return False

    def cleanup(self) -> None:
        """Let go of what ``setup`` has taken."""

    def log_result(self, result: dict[str, Any]) -> None:
        """Called with each result."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> Any:
        """The resources of a trial, where ``with_resources`` says nothing; None: one CPU."""
        return None

    # -------------------------------------------------------------------------------------------- what it can do

    def train(self) -> dict[str, Any]:
        """One step; its metrics, completed by counts and times."""
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
        """Go on from a folder that ``save`` has written."""
        folder = Path(checkpoint_path.path if isinstance(checkpoint_path, Checkpoint) else checkpoint_path)
        self._filled.restore(state_of(folder))
        file = folder / _DICT
        self.load_checkpoint(cloudpickle.loads(file.read_bytes()) if file.is_file() else str(folder))

    def reset(self, new_config: Mapping[str, Any], *, trial_info: Any = None) -> bool:
        """Begin another trial in this object; whether ``reset_config`` can do that."""
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
        return self.config

    @property
    def iteration(self) -> int:
        """How many steps it has made."""
        return self._filled.iteration

    @property
    def training_iteration(self) -> int:
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
        return "default" if self._trial_info is None else str(self._trial_info.trial_id)

    @property
    def trial_name(self) -> str:
        return "default" if self._trial_info is None else str(self._trial_info.trial_name)

    @property
    def trial_resources(self) -> Any:
        """What the trial has, as a PlacementGroupFactory; None outside an experiment."""
        return None if self._trial_info is None else self._trial_info.resources
