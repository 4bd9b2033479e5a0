"""Tasks in a folder of their own: a module ``tasks.py`` whose ``load(name)`` gives objects with ``space``, ``tags``,
``fidelity``, ``objective(config)`` and, where ``tags`` has "curve", ``curve(config)`` and ``curve_time(config)``.

The folder is no part of this package. A process of a cluster loads it for itself, from the same path.
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
VARIABLE = "RAYTUNE_HPO_BENCH"  # says where tasks are that are named without their folder
_A_TRIAL_S = 1.0  # of a task that does not say how long trials take: hours then count trials
_UNSTEADY = "train"  # the tag of tasks that are timed by the clock on the wall, which never says the same twice


def is_folder(folder: Path) -> bool:
    """Whether there are tasks in it."""
    return (folder / MODULE).is_file()


def named() -> Path | None:
    """The folder in which tasks are that come without one, if there is any."""
    folder = Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None
    return folder if folder is not None and is_folder(folder) else None


def names(folder: Path) -> list[str]:
    """The tasks in it, as far as it says."""
    loaded = module(folder)
    return list(loaded.names()) if hasattr(loaded, "names") else []


@functools.cache
def module(folder: Path) -> ModuleType:
    """The folder's module."""
    spec = importlib.util.spec_from_file_location("shared_tasks", folder / MODULE)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@functools.cache
def load(folder: Path, name: str) -> Any:
    """One task.

    Raises:
        SpecError: there is none of that name, with the nearest.
    """
    if (known := names(folder)) and name not in known:
        raise SpecError(f"no task {name!r} in {folder}; {nearest(name, known)}")
    return module(folder).load(name)


def evaluation(folder: Path, name: str, config: Mapping[str, Any]) -> tuple[float, float]:
    """The loss of a configuration, NaN where it failed, and how many seconds a trial of it takes."""
    task = load(folder, name)
    metrics = task.objective(config)
    time = None if _UNSTEADY in task.tags else metrics.get("time")
    return float(metrics["loss"]), _A_TRIAL_S if time is None else _seconds(time)


def curve(folder: Path, name: str, config: Mapping[str, Any]) -> list[tuple[float, float]]:
    """The loss after each epoch, and how many seconds have passed by then."""
    task = load(folder, name)
    losses = [float(loss) for loss in task.curve(config)]
    if _UNSTEADY in task.tags:
        return [(loss, _A_TRIAL_S * epoch / len(losses)) for epoch, loss in enumerate(losses, start=1)]
    return list(zip(losses, map(_seconds, task.curve_time(config)), strict=True))


def is_loss(value: float) -> bool:
    return math.isfinite(value)


def _seconds(time: float) -> float:
    """Surrogates may say that something takes less than no time."""
    return max(float(time), 0.0) if math.isfinite(time) else 0.0
