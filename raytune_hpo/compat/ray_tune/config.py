"""Settings of a run: ``RunConfig``, ``FailureConfig``, ``CheckpointConfig`` and others, as in Ray Tune."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from raytune_hpo.compat.ray_tune.error import NotCarried
from raytune_hpo.compat.ray_tune.stopper import stop_rule
from raytune_hpo.goals import Goal


@dataclass
class FailureConfig:
    """The handling of failures.

    Attributes:
        max_failures: how often a trial is tried again, from its last checkpoint; -1: without limit.
        fail_fast: True ends the experiment at the first trial that has no attempts left; "raise" raises its exception.
    """

    max_failures: int = 0
    fail_fast: bool | str = False

    def __post_init__(self) -> None:
        if self.fail_fast not in (True, False, "raise"):
            raise ValueError(f"fail_fast is True, False or 'raise', got {self.fail_fast!r}")
        if self.fail_fast and self.max_failures != 0:
            raise ValueError(f"max_failures is 0 where fail_fast is set, got max_failures={self.max_failures}")


@dataclass
class CheckpointConfig:
    """Which checkpoints are kept, and when trainables that are classes save one.

    Attributes:
        num_to_keep: how many checkpoints of a trial are kept; None: all. The latest is always kept.
        checkpoint_score_attribute: the metric by which the best ones are kept; None: the latest ones are kept.
        checkpoint_score_order: "max" or "min".
        checkpoint_frequency: the number of steps after which a class saves one each time; 0: never.
        checkpoint_at_end: whether a class saves one at the end; None: if it can be saved, except with ``tune.run``.
    """

    num_to_keep: int | None = None
    checkpoint_score_attribute: str | None = None
    checkpoint_score_order: str = "max"
    checkpoint_frequency: int = 0
    checkpoint_at_end: bool | None = None

    def __post_init__(self) -> None:
        if self.num_to_keep is not None and self.num_to_keep < 1:
            raise ValueError(f"num_to_keep is at least 1, or None for all, got {self.num_to_keep}")
        if self.checkpoint_frequency < 0:
            raise ValueError(f"checkpoint_frequency is at least 0, got {self.checkpoint_frequency}")
        Goal(self.checkpoint_score_attribute or "score", self.checkpoint_score_order)  # checks the order


@dataclass
class SyncConfig:
    """The settings of Ray Tune's uploads to remote storage; accepted, without effect: nothing is uploaded here."""

    sync_period: int = 300
    sync_timeout: int = 1800
    sync_artifacts: bool = False
    sync_artifacts_on_checkpoint: bool = True
    upload_dir: str | None = None
    syncer: Any = "auto"
    sync_on_checkpoint: bool = True


@dataclass
class ScalingConfig:
    """The resources of a trial that is trained by several workers."""

    trainer_resources: Mapping[str, float] | None = None
    num_workers: int = 1
    use_gpu: bool = False
    resources_per_worker: Mapping[str, float] | None = None
    placement_strategy: str = "PACK"
    accelerator_type: str | None = None

    def bundles(self) -> list[dict[str, float]]:
        """The resources of the trial, a bundle for each process."""
        worker = dict(self.resources_per_worker or {"CPU": 1, **({"GPU": 1} if self.use_gpu else {})})
        own = dict(self.trainer_resources or {})
        return [own or worker, *([worker] * (self.num_workers - (0 if own else 1)))]


class Verbosity(IntEnum):
    """Values of ``RunConfig(verbose=)``, of which the first one shows nothing."""

    V0_MINIMAL = 0
    V1_EXPERIMENT = 1
    V2_TRIAL_NORM = 2
    V3_TRIAL_DETAILS = 3


class AirVerbosity(IntEnum):
    """Values of ``RunConfig(verbose=)`` since Ray 2.5, of which the first one shows nothing."""

    SILENT = 0
    DEFAULT = 1
    VERBOSE = 2


@dataclass
class RunConfig:
    """The settings of an experiment's run.

    Attributes:
        name: of the experiment, and of its folder; None: the trainable's name and the time.
        storage_path: the parent of the experiment's folder; None: ``~/ray_results``. ``local_dir`` before Ray 2.7.
        stop: when a trial ends: a dict (a value has been reached), a function of a trial's id and result, or a Stopper.
        callbacks: see ``raytune_hpo.compat.ray_tune.callback``.
        verbose: 0 shows nothing.
        log_to_file: writes the output of trials into a file in each trial's folder, too: the name of the file, or two, the
            first of which is used for all output; True: ``stdout``. The journal keeps the output anyway.
    """

    name: str | None = None
    storage_path: Any = None
    storage_filesystem: Any = None
    failure_config: FailureConfig | None = None
    checkpoint_config: CheckpointConfig | None = None
    sync_config: SyncConfig | None = None
    verbose: int | bool | None = None
    stop: Any = None
    callbacks: Sequence[Any] | None = None
    progress_reporter: Any = None
    log_to_file: bool | str | tuple[str, str] = False
    local_dir: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.local_dir is not None and self.storage_path is None:
            self.storage_path = self.local_dir
        stop_rule(self.stop)  # refuses early
        _check_callbacks(self.callbacks)
        if self.storage_filesystem is not None or (self.storage_path is not None and "://" in str(self.storage_path)):
            raise NotCarried(
                f"storage_path is a folder here, got {self.storage_path!r}; give one that all nodes share, or keep "
                f"checkpoints in object storage with hpo.Tuner(checkpoints='s3://...')"
            )
        if self.sync_config is not None and self.sync_config != SyncConfig():
            warnings.warn(
                "SyncConfig has no effect here: trials write into storage_path itself; give a folder that all nodes share",
                stacklevel=3,
            )


def _check_callbacks(given: Any) -> None:
    """Refuse what is no list of callbacks, before anything runs.

    Raises:
        ValueError: it is none.
    """
    are_callbacks = isinstance(given, Sequence) and all(
        hasattr(each, "on_trial_result") and not isinstance(each, type) for each in given
    )
    if given is not None and not are_callbacks:
        raise ValueError(f"callbacks is a list of objects derived from tune.Callback, such as [Mine()], got {given!r}")
