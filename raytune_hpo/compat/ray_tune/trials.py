"""The data of an experiment that all its processes share: names, folders and stop rules of its trials."""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from raytune_hpo.compat.ray_tune.checkpoint import Checkpoint
from raytune_hpo.compat.ray_tune.config import CheckpointConfig
from raytune_hpo.compat.ray_tune.error import TuneError
from raytune_hpo.compat.ray_tune.own_copy import own_copy
from raytune_hpo.compat.ray_tune.resources import PlacementGroupFactory
from raytune_hpo.compat.ray_tune.trial_folder import TrialFolder, flattened

_MAX_NAME = 110  # characters of a folder's name; file systems allow 255 bytes
_MAX_OWN = 60  # those of them that a script's own name may take, so that the trial's id is always there
_OWNER = ".trial_id"  # in a folder that a script has named: whose it is
MILLISECONDS = 1000


@dataclass
class Trial:
    """A trial as callbacks, name creators and trainables see it.

    Attributes:
        trial_id: unique in the experiment.
        config: the configuration.
        path: of the trial's folder, ``local_path`` and ``logdir`` as well.
        custom_name, custom_dirname: as the script's functions named the trial and its folder; None without them.
        last_result: the newest result; empty before there is one.
        status: "PENDING", "RUNNING", "PAUSED", "TERMINATED" or "ERROR".
        error: the text of the error that ended it.
    """

    PENDING, RUNNING, PAUSED, TERMINATED, ERROR = "PENDING", "RUNNING", "PAUSED", "TERMINATED", "ERROR"

    trial_id: str
    trainable_name: str
    experiment_name: str
    config: dict[str, Any]
    experiment_tag: str
    resources: PlacementGroupFactory
    path: str = ""
    custom_name: str | None = None
    custom_dirname: str | None = None
    last_result: dict[str, Any] = field(default_factory=dict)
    status: str = PENDING
    error: str | None = None
    wants_checkpoint: bool = False

    @property
    def trial_name(self) -> str:
        return self.custom_name or f"{self.trainable_name}_{self.trial_id}"

    @property
    def evaluated_params(self) -> dict[str, Any]:
        """The configuration, flat."""
        return flattened(self.config)

    @property
    def logdir(self) -> str:
        return self.path

    @property
    def local_path(self) -> str:
        return self.path

    @property
    def local_experiment_path(self) -> str:
        return str(Path(self.path).parent)

    @property
    def placement_group_factory(self) -> PlacementGroupFactory:
        return self.resources

    @property
    def metric_analysis(self) -> dict[str, dict[str, float]]:
        """For each number in the results: smallest, largest, mean, last, and the means of the last five and ten."""
        rows = [flattened(row) for row in TrialFolder(self.path).rows()]
        newest = flattened(self.last_result)
        if newest and (not rows or rows[-1].get("training_iteration") != newest.get("training_iteration")):
            rows.append(newest)
        columns: dict[str, list[float]] = {}
        for row in rows:
            for name, value in row.items():
                if isinstance(value, (int, float)) and not isinstance(value, bool):
                    columns.setdefault(name, []).append(value)
        return {name: _summary(values) for name, values in columns.items()}

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The latest checkpoint; None if there is none."""
        kept = TrialFolder(self.path).checkpoints()
        return Checkpoint(kept[-1]) if kept else None

    @property
    def error_file(self) -> str | None:
        file = Path(self.path) / "error.txt"
        return str(file) if file.exists() else None

    def get_error(self) -> TuneError | None:
        """The error that ended it, as ``error`` has it; None without one."""
        return None if self.error is None else TuneError(self.error)

    def is_finished(self) -> bool:
        return self.status in (self.TERMINATED, self.ERROR)

    def checkpoint_now(self) -> None:
        """Have a class trainable save a checkpoint after the result that is being processed."""
        self.wants_checkpoint = True

    def __str__(self) -> str:
        return self.trial_name

    def __hash__(self) -> int:
        return hash(self.trial_id)


def _summary(values: list[float]) -> dict[str, float]:
    return {
        "min": min(values),
        "max": max(values),
        "avg": fmean(values),
        "last": values[-1],
        "last-5-avg": fmean(values[-5:]),
        "last-10-avg": fmean(values[-10:]),
    }


@dataclass(frozen=True)
class Steps:
    """Conversion of Ray Tune's ``time_attr`` into the whole steps that schedulers here count.

    Attributes:
        attribute: the name of the count in a result.
        scale: whole steps for each unit: 1000 if seconds are counted.
        first: the count below which reports are not passed to the scheduler; ``first_of``: the count's name, if another.
    """

    attribute: str = "training_iteration"
    scale: int = 1
    first: float = 0.0
    first_of: str | None = None

    def of(self, flat: Mapping[str, Any]) -> int | None:
        """The step of a flat result; None if it is not passed to the scheduler.

        Raises:
            KeyError: the result lacks the count.
        """
        if flat[self.first_of or self.attribute] < self.first:
            return None
        return int(flat[self.attribute] * self.scale)


BY_RESULTS = Steps()


def steps_of(time_attr: str) -> Steps:
    """The steps of a ``time_attr``: seconds are counted in thousandths, all else as it is."""
    return Steps(time_attr, MILLISECONDS if time_attr.endswith("_s") else 1)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The description of an experiment that all its processes share.

    Attributes:
        name: of the experiment; ``path``: of its folder.
        origin: the path where it began, from which the names of its study and its trials are derived, so that it is found
            again where its folder has been moved.
        session: which of the experiments in this folder it is, counted from 1.
        parameters: the names of the parameters that vary from trial to trial, for tags.
        transform: converts a suggested configuration into the one that a trainable gets; None: they are the same.
        explore: changes a configuration that population based training has copied and perturbed.
        known: metrics of the first trials, which are not run, since their results were given.
        identities: for each trial that repeats an earlier one, its number and that of the earlier trial.
        begins_anew: those of the repeating trials that begin from scratch.
        skipped: the numbers of trials that are not resumed.
        population: the number of members in population based training; None without a population.
        last_step: the step at which a population's training ends.
        pauses: whether trials may be paused and resumed.
        steps: how the scheduler counts a trial's steps.
        metrics: the goals' names.
        needs_goals: whether a scheduler judges each report, so that it must have the goals.
        stop: the values that end a trial when they are reached.
        log_file: the name of the file for the output of a trial, in its folder; None: there is none.
    """

    name: str
    path: str
    origin: str
    session: int = 1
    trainable_name: str
    parameters: tuple[str, ...] = ()
    resources: PlacementGroupFactory
    transform: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    explore: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    known: tuple[Mapping[str, float], ...] = ()
    identities: Mapping[int, int] = field(default_factory=dict)
    population: int | None = None
    last_step: int | None = None
    pauses: bool = False
    steps: Steps = BY_RESULTS
    metrics: tuple[str, ...] = ()
    needs_goals: bool = False
    stop: Mapping[str, Any] = field(default_factory=dict)
    max_failures: int = 0
    checkpoints: CheckpointConfig = field(default_factory=CheckpointConfig)
    reuses: bool = False
    changes_folder: bool = True
    log_file: str | None = None
    begins_anew: frozenset[int] = frozenset()
    skipped: frozenset[int] = frozenset()
    trial_name_creator: Callable[[Trial], str] | None = None
    trial_dirname_creator: Callable[[Trial], str] | None = None

    def config_of(self, suggested: Mapping[str, Any], *, goes_on: bool = False) -> dict[str, Any]:
        """The configuration that a trainable gets."""
        config = dict(suggested)
        if self.transform is not None:
            config = self.transform(config)
        if goes_on and self.explore is not None:
            config = own_copy(config)
            config = dict(self.explore(config) or config)
        return config

    def trial(self, number: int, config: dict[str, Any]) -> Trial:
        """The trial with a number, which in a population is that of a member."""
        index = self._index(number)
        tag = str(index) if self.population is not None else _tag(index, config, self.parameters)
        trial = Trial(
            trial_id=self.trial_id(number),
            trainable_name=self.trainable_name,
            experiment_name=self.name,
            config=config,
            experiment_tag=tag,
            resources=self.resources,
        )
        if self.trial_name_creator is not None:
            trial.custom_name = str(self.trial_name_creator(trial))
        if self.trial_dirname_creator is not None and self.population is None:
            trial.custom_dirname = _checked_dirname(str(self.trial_dirname_creator(trial)))
        named = trial.custom_name or trial.trainable_name
        trial.path = f"{self.path}/{trial.custom_dirname or _safe(f'{named[:_MAX_OWN]}_{trial.trial_id}_{tag}')}"
        return trial

    def trial_id(self, number: int) -> str:
        """An id that is unique among all trials, those of earlier sessions included."""
        return f"{_digest(f'{Path(self.origin).name}/{self.session}')}_{self._index(number):05d}"

    def _index(self, number: int) -> int:
        """The number of the trial as the script sees it: a repeating trial has the number of the earlier one."""
        return self.identities.get(number, number) - len(self.known)

    @property
    def study_name(self) -> str:
        """The name of the study, unique among the experiments on a cluster."""
        return f"{Path(self.origin).name[-_MAX_NAME:]}-{_digest(f'{self.origin}/{self.session}')}"


@functools.lru_cache(maxsize=16)
def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()[:5]


def _tag(index: int, config: Mapping[str, Any], parameters: tuple[str, ...]) -> str:
    """A tag that identifies a trial: its number, and the values that vary."""
    flat = flattened(config)
    shown = [
        f"{name.rpartition('/')[2]}={value:.4f}" if isinstance(value, float) else f"{name.rpartition('/')[2]}={value}"
        for name in parameters
        if (value := flat.get(name)) is not None
    ]
    return f"{index}_{','.join(shown)}" if shown else str(index)


def _checked_dirname(name: str) -> str:
    if name in ("", ".", "..") or "/" in name:
        raise ValueError(
            f"trial_dirname_creator names a folder within the experiment's, without slashes, got {name!r}; RunConfig("
            f"storage_path=, name=) say where the experiment's folder is"
        )
    return name


def found_folder(trial: Trial) -> str:
    """The path of a trial's folder.

    Where the script names the folders, several trials may have one name, those of earlier experiments in the same folder
    among them: the first has the folder, and the others have their ids in addition.
    """
    if trial.custom_dirname is None:
        return trial.path
    try:
        owner = (Path(trial.path) / _OWNER).read_text(encoding="utf-8")
    except FileNotFoundError:
        return trial.path
    return trial.path if owner == trial.trial_id else f"{trial.path}_{trial.trial_id}"


def claimed_folder(trial: Trial) -> str:
    """The path of a trial's folder, as ``found_folder``; from now on it is this trial's."""
    if trial.custom_dirname is not None:
        os.makedirs(trial.path, exist_ok=True)
        with suppress(FileExistsError), open(f"{trial.path}/{_OWNER}", "x", encoding="utf-8") as file:
            file.write(trial.trial_id)
    return found_folder(trial)


def _safe(name: str) -> str:
    """A name that a file system accepts, shortened if too long."""
    return re.sub(r"[^\w\-.,=]+", "_", name)[:_MAX_NAME].rstrip(".")
