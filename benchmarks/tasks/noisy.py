"""Noisy tasks in the folder of tasks: a module ``noisy.py`` that loads them, and ``peers_noisy/`` with recorded runs.

A task returns a loss with noise; what counts is the true loss of the configuration that is recommended in the end. The
folder is that of ``shared``, and no part of this package.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from raytune_hpo.experiments import bench
from raytune_hpo.experiments.parameter_lists import flatten, space_from_list
from raytune_hpo.space import Space

_MODULE, _PEERS = "noisy.py", "peers_noisy"

Regrets: TypeAlias = dict[str, dict[str, list[float]]]  # of some runs, by contender and task


@dataclass(frozen=True, kw_only=True)
class NoisyTask:
    """A noisy function to minimise over a space.

    Attributes:
        loss: of a configuration, with noise that is drawn anew each time.
        regret: the true one of a configuration: 0 is the best that is known, 1 the median of random ones or worse.
    """

    space: Space
    loss: Callable[[Mapping[str, Any]], float]
    regret: Callable[[Mapping[str, Any]], float]


def names(folder: Path) -> list[str]:
    """Of all noisy tasks of a folder."""
    return list(_module(folder).names()) if (folder / _MODULE).is_file() else []


def load(folder: Path, name: str, seed: int) -> NoisyTask:
    """One task, whose noise is the same for the same seed."""
    task = _module(folder).load(name, seed)
    return NoisyTask(
        space=space_from_list(task.space),
        loss=lambda config: float(task.objective(flatten(config))["loss"]),
        regret=lambda config: _clipped(task.regret(task.true(flatten(config)))),
    )


def recorded(folder: Path, point: int) -> Regrets:
    """The true regrets of what peers recommended after so many trials."""
    found: Regrets = {}
    for name in names(folder):
        task = _module(folder).load(name, 0)
        runs = json.loads((folder / _PEERS / f"{name}.json").read_text())["runs"]
        for peer, its in runs.items():
            by_seed = {run["seed"]: run["recommended"].get(str(point)) for run in its}
            regrets = [_clipped(task.regret(true)) for true in by_seed.values() if true is not None]
            if regrets:
                found.setdefault(peer, {})[name] = regrets
    return found


def _clipped(regret: float) -> float:
    return min(max(float(regret), 0.0), 1.0)


def _module(folder: Path) -> ModuleType:
    return bench.load_module(folder, _MODULE)
