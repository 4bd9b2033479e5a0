"""Learning curves of a folder of tasks. Needs only numpy, so that other tuners' environments can read them too.

Times are in mean full runs: 1.0 is what a random configuration takes on average to be trained to its last step.
"""

from __future__ import annotations

import functools
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

_ASKED = 12  # steps at which a surrogate is asked for a curve, closer together where it begins
_DRAWN = 100  # random configurations that say how long a full run takes on average


class Curve(NamedTuple):
    """A configuration trained to the end.

    Attributes:
        losses: after each step, from step 1.
        ends: when each step is done, in mean full runs since the beginning; never falling.
    """

    losses: list[float]
    ends: list[float]


class Curves:
    """The learning curves of one task.

    A recorded curve is served as it is. A surrogate is asked at a dozen steps, and straight lines lie between them. Losses
    that are no numbers (training diverged) are those of the worst random configuration.

    Attributes:
        goals: losses to reach, by name: those of the best 1 % and 0.1 % of random configurations, and those that are
            within 1 % and 0.1 % of the way from the best that is known to the median of random configurations.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._task = module_of(folder).load(name)
        self.name, self.parameters = name, self._task.space
        self.num_steps = int(self._task.fidelity[1])
        self.goals = _goals(self._task)
        is_recorded = "surrogate" not in self._task.tags
        steps = np.geomspace(1, self.num_steps, _ASKED)
        self._asked = None if is_recorded else np.unique(steps.round().astype(int))
        self._known: dict[tuple[Any, ...], Curve] = {}
        self._unit = 1.0
        rng = np.random.default_rng(0)
        self._unit = float(np.mean([self.of(self._task.sample(rng)).ends[-1] for _ in range(_DRAWN)]))
        self.forget()

    def of(self, config: Mapping[str, Any]) -> Curve:
        """The curve of a configuration, kept for the next who asks."""
        key = tuple(config[parameter["name"]] for parameter in self.parameters)
        if key not in self._known:
            self._known[key] = self._read(dict(config))
        return self._known[key]

    def forget(self) -> None:
        """Let go of the curves that were kept."""
        self._known.clear()

    def _read(self, config: dict[str, Any]) -> Curve:
        if self._asked is None:
            losses, ends = np.array(self._task.curve(config)), np.array(self._task.curve_time(config))
        else:
            told = [self._task.objective(config, fidelity=int(step)) for step in self._asked]
            steps = np.arange(1, self.num_steps + 1)
            losses = np.interp(steps, self._asked, [metrics["loss"] for metrics in told])
            ends = np.interp(steps, self._asked, [metrics["time"] for metrics in told])
        losses = np.where(np.isfinite(losses), losses, self._task.worst)
        ends = np.maximum.accumulate(np.maximum(ends, 0.0)) / self._unit
        return Curve(losses.tolist(), ends.tolist())


def names(folder: Path) -> list[str]:
    """The tasks that have learning curves to be looked up: those that train take as long as training does."""
    index = json.loads((folder / "index.json").read_text())
    return [name for name, entry in index.items() if "curve" in entry["tags"] and "train" not in entry["tags"]]


def _goals(task: Any) -> dict[str, float]:
    goals = {f"best {share:g} %": loss for share, loss in zip((5, 1, 0.1), task.targets, strict=False) if share <= 1}
    return goals | {f"within {gap:g} %": task.best + gap / 100 * (task.median - task.best) for gap in (1, 0.1)}


@functools.cache
def module_of(folder: Path) -> ModuleType:
    """The ``tasks.py`` in a folder of tasks."""
    spec = importlib.util.spec_from_file_location("shared_tasks", folder / "tasks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
