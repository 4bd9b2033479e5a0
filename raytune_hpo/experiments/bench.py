"""Benchmark tasks in a folder: a module ``tasks.py`` whose ``load(name)`` gives objects with ``space``, ``tags``,
``fidelity``, ``objective(config)`` and, where ``tags`` has "curve", ``curve(config)`` and ``curve_time(config)``.

The folder is not part of this package. Each process of a cluster loads it from the same path.
"""

from __future__ import annotations

import functools
import importlib.util
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from raytune_hpo.errors import SpecError, nearest

MODULE = "tasks.py"
VARIABLE = "RAYTUNE_HPO_BENCH"  # the folder of tasks that are given by name alone
_TRIAL_S = 1.0  # duration of a trial if the task gives none, so that seconds count trials
_WALL_CLOCK = "train"  # the tag of tasks that measure wall-clock time, which differs from run to run


def has_tasks(folder: Path) -> bool:
    """Whether a folder has a module of tasks."""
    return (folder / MODULE).is_file()


def default_folder() -> Path | None:
    """The folder of tasks set by the environment variable, if any."""
    folder = Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None
    return folder if folder is not None and has_tasks(folder) else None


def task_names(folder: Path) -> list[str]:
    """The names of a folder's tasks, as far as it lists them."""
    loaded = load_module(folder)
    return list(loaded.names()) if hasattr(loaded, "names") else []


@functools.cache
def load_module(folder: Path, name: str = MODULE) -> ModuleType:
    """A module of a folder of tasks."""
    spec = importlib.util.spec_from_file_location(f"shared_{Path(name).stem}", folder / name)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@functools.cache
def load_task(folder: Path, name: str) -> Any:
    """One task of a folder.

    Raises:
        SpecError: the folder has no task of that name; the message gives the nearest one.
    """
    if (known := task_names(folder)) and name not in known:
        raise SpecError(f"no task {name!r} in {folder}; {nearest(name, known)}")
    return load_module(folder).load(name)


def evaluation(folder: Path, name: str, config: Mapping[str, Any]) -> tuple[float, float]:
    """The loss of a configuration, NaN if it failed, and the seconds that a trial of it takes."""
    task = load_task(folder, name)
    metrics = task.objective(config)
    time = None if _WALL_CLOCK in task.tags else metrics.get("time")
    return float(metrics["loss"]), _TRIAL_S if time is None else _seconds(time)


def learning_curve(folder: Path, name: str, config: Mapping[str, Any]) -> list[tuple[float, float]]:
    """The loss after each epoch of a configuration, and the seconds passed by then."""
    task = load_task(folder, name)
    losses = [float(loss) for loss in task.curve(config)]
    if _WALL_CLOCK in task.tags:
        return [(loss, _TRIAL_S * epoch / len(losses)) for epoch, loss in enumerate(losses, start=1)]
    return list(zip(losses, map(_seconds, task.curve_time(config)), strict=True))


def _seconds(time: float) -> float:
    """A valid duration; surrogate models may predict a negative one."""
    return max(float(time), 0.0) if math.isfinite(time) else 0.0
