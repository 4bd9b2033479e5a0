"""Tasks in a folder: a module ``tasks.py`` that loads them, ``index.json``, data, and ``peers/`` with recorded runs.

The folder is no part of this package. It is the one given by --tasks, else by RAYTUNE_HPO_BENCH, else ``shared/bench``
beside the checkout.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from raytune_hpo.experiments import bench
from raytune_hpo.experiments.parameter_lists import flatten, space_from_list
from tasks.task import Outcome, Task

VARIABLE = "RAYTUNE_HPO_BENCH"
_BESIDE = Path(__file__).resolve().parents[3] / "shared" / "bench"


def find(given: Path | None = None) -> Path | None:
    """The folder; None where there is none.

    Raises:
        SystemExit: the folder that was asked for has no tasks.
    """
    wanted = given or (Path(os.environ[VARIABLE]) if VARIABLE in os.environ else None)
    if wanted is None:
        return _BESIDE if (_BESIDE / "tasks.py").exists() else None
    if not (wanted / "tasks.py").exists():
        raise SystemExit(f"a folder of tasks has a tasks.py, {wanted} has none; without --tasks, live tasks are run")
    return wanted.resolve()


def names(folder: Path, tag: str | None = None) -> list[str]:
    """Of all tasks, or of one kind, whose scales are known: without them there is no normalised regret."""
    index = json.loads((folder / "index.json").read_text())
    known = [name for name, entry in index.items() if entry.get("median") is not None]
    return [name for name in known if tag is None or tag in index[name]["tags"]]


def load(folder: Path, name: str, form: str = "flat") -> Task:
    """One task."""
    task = bench.load_module(folder).load(name)
    # Training is timed by the clock on the wall, which never says the same twice.
    is_timed = "train" not in task.tags

    def evaluate(config: Mapping[str, Any]) -> Outcome:
        metrics = task.objective(flatten(config))
        time = metrics.get("time") if is_timed else None
        return Outcome(float(metrics["loss"]), None if time is None else float(time))

    space = space_from_list(task.space, form)
    return Task(name=name, tags=tuple(task.tags), space=space, best=task.best, median=task.median, evaluate=evaluate)


class Recorded(NamedTuple):
    """A peer's run.

    Attributes:
        losses: (n,) of all trials in order, NaN where they failed.
        suggest_s: the median of processor seconds of asking and telling.
    """

    losses: np.ndarray
    suggest_s: float


Peers: TypeAlias = dict[str, dict[str, list[Recorded]]]  # by peer and task


def recorded(folder: Path) -> Peers:
    """What peers did, by peer and task; of several runs of one seed the longest.

    Args:
        folder: with a JSON file of runs for each task.
    """
    peers: Peers = {}
    for path in sorted(folder.glob("*.json")):
        data = json.loads(path.read_text())
        for peer, runs in data["runs"].items():
            longest = {run["seed"]: run for run in sorted(runs, key=lambda run: len(run["losses"]))}
            peers.setdefault(peer, {})[data["task"]] = [
                Recorded(np.array(run["losses"], dtype=float), run["suggest_s_median"]) for run in longest.values()
            ]
    return peers
