"""An experiment as all its processes know it: what its trials are called, where they lie, and when they end."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from raytune_hpo.compat.ray_tune.checkpoint import Checkpoint
from raytune_hpo.compat.ray_tune.config import CheckpointConfig
from raytune_hpo.compat.ray_tune.resources import PlacementGroupFactory
from raytune_hpo.compat.ray_tune.trial_folder import TrialFolder, flattened

_MAX_NAME = 110  # characters of a folder's name, of the 255 bytes that a file system has
MILLISECONDS = 1000


@dataclass
class Trial:
    """A trial as callbacks, name creators and trainables see it.

    Attributes:
        trial_id: unlike that of any other trial of the experiment.
        config: the configuration.
        path: of the trial's folder, ``local_path`` and ``logdir`` as well.
        last_result: the newest result; empty before there is one.
        status: "PENDING", "RUNNING", "PAUSED", "TERMINATED" or "ERROR".
        error: the text of what ended it.
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
        """Of each number in the results: smallest, largest, mean, last, and the means of the last five and ten."""
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
        """The latest checkpoint that is kept."""
        kept = TrialFolder(self.path).checkpoints()
        return Checkpoint(kept[-1]) if kept else None

    @property
    def error_file(self) -> str | None:
        file = Path(self.path) / "error.txt"
        return str(file) if file.exists() else None

    def is_finished(self) -> bool:
        return self.status in (self.TERMINATED, self.ERROR)

    def checkpoint_now(self) -> None:
        """Have a trainable that is a class save a checkpoint after the result that is being looked at."""
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
    """How far a trial has come, as our schedulers count it: in whole steps of what Ray Tune calls ``time_attr``.

    Attributes:
        attribute: the name of the count in a result.
        scale: whole steps for each unit: 1000 where seconds are counted.
        first: what is reported below this is not shown to the scheduler; ``first_of``: by another count than its own.
    """

    attribute: str = "training_iteration"
    scale: int = 1
    first: float = 0.0
    first_of: str | None = None

    def of(self, flat: Mapping[str, Any]) -> int | None:
        """The step of a flat result; None where the scheduler is not told of it.

        Raises:
            KeyError: the result lacks the count.
        """
        if flat[self.first_of or self.attribute] < self.first:
            return None
        return int(flat[self.attribute] * self.scale)


BY_RESULTS = Steps()


def steps_of(time_attr: str) -> Steps:
    """Seconds are counted in thousandths, everything else as it comes."""
    return Steps(time_attr, MILLISECONDS if time_attr.endswith("_s") else 1)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What all processes of an experiment know of it.

    Attributes:
        name: of the experiment; ``path``: of its folder.
        session: which of the experiments in this folder it is, counted from 1.
        parameters: the names of what varies from trial to trial, for tags.
        transform: makes the configuration that a trainable gets from the one that was suggested; None: they are the same.
        explore: changes a configuration that has been copied and changed by population based training.
        known: metrics of the first trials, which are not run: their results were given.
        identities: the numbers of trials that are tried again, by those of the trials that do it; ``begins_anew``: those of
            them that begin at the start.
        skipped: the numbers of trials that are not taken up again.
        population: of how many members it trains; None: it is no population.
        last_step: of a population, at which training ends.
        pauses: whether trials are set aside and go on later.
        steps: how far a trial has come, as the scheduler counts it.
        metrics: the goals' names.
        needs_goals: whether a scheduler judges each report, so that it must have the goals.
        stop: the values that end a trial when they are reached.
    """

    name: str
    path: str
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
    logs_output: bool = False
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
            config = dict(self.explore(config) or config)
        return config

    def trial(self, number: int, config: dict[str, Any]) -> Trial:
        """The trial of a number; of a population, of the number of a member."""
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
            folder = str(self.trial_dirname_creator(trial)).strip("/")
        else:
            folder = _safe(f"{trial.trial_name}_{tag}" if self.trial_name_creator is None else trial.trial_name)
        trial.path = f"{self.path}/{folder}"
        return trial

    def trial_id(self, number: int) -> str:
        """What tells a trial from all others, those of earlier sessions included."""
        return f"{_digest(f'{self.name}/{self.session}')}_{self._index(number):05d}"

    def _index(self, number: int) -> int:
        """The number of the trial that it is to the script: one that is tried again stays who it was."""
        return self.identities.get(number, number) - len(self.known)

    @property
    def study_name(self) -> str:
        """What the study is called in our own words, unlike that of any other experiment on a cluster."""
        return f"{self.name[-_MAX_NAME:]}-{_digest(f'{self.path}/{self.session}')}"


@functools.lru_cache(maxsize=16)
def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()[:5]


def _tag(index: int, config: Mapping[str, Any], parameters: tuple[str, ...]) -> str:
    """What tells a trial from others: its number, and the values that vary."""
    flat = flattened(config)
    shown = [
        f"{name.rpartition('/')[2]}={value:.4f}" if isinstance(value, float) else f"{name.rpartition('/')[2]}={value}"
        for name in parameters
        if (value := flat.get(name)) is not None
    ]
    return f"{index}_{','.join(shown)}" if shown else str(index)


def _safe(name: str) -> str:
    """A name that a file system takes, not too long."""
    return re.sub(r"[^\w\-.,=]+", "_", name)[:_MAX_NAME].rstrip(".")
