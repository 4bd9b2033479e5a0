"""OpenTuner's searches, replayed on programs whose times were measured before. Needs its own environment.

    pip install opentuner 'sqlalchemy<1.5' 'numpy<1.24'     # newer versions have dropped functions that it calls
    PYTHON opentuner_runs.py < TASK.json

OpenTuner uses its default techniques (a bandit over differential evolution and simplices), begins with the program's
default configuration, and runs each configuration once, which is its default. Prints, as JSON, after how many runs and
seconds each replay changed its answer. A replay ends when it has been near the best and its budget is spent, when the
time given is spent, or when OpenTuner has nothing new to propose.

Ansel et al.: OpenTuner: An Extensible Framework for Program Autotuning. PACT 2014.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import math
import random
import sys
from typing import Any

import numpy as np
import opentuner
from opentuner.api import TuningRunManager
from opentuner.measurement.interface import DefaultMeasurementInterface
from opentuner.resultsdb.models import Result
from opentuner.search.manipulator import ConfigurationManipulator, EnumParameter, IntegerParameter

PATIENCE = 50  # times that it has nothing to propose in a row


class Interface(DefaultMeasurementInterface):
    """What OpenTuner wants to know of a program."""

    def __init__(self, first: dict[str, Any], **settings: Any) -> None:
        super().__init__(project_name="programs", program_name="program", program_version="1", **settings)
        self._first = first

    def seed_configurations(self) -> list[dict[str, Any]]:
        return [self._first]

    def save_final_config(self, configuration: Any) -> None:
        """Nothing is kept."""


def replay(task: dict[str, Any], seed: int) -> list[tuple[int, float, str]]:
    """One search: runs, seconds and answer, whenever the answer is another one."""
    random.seed(seed)
    np.random.seed(seed)
    draw, grid = random.Random(seed), task["grid"]
    is_text = {name: isinstance(values[0], str) for name, values in grid.items()}
    manipulator = ConfigurationManipulator()
    for name, values in grid.items():  # numbers by their place, so that their order is known
        manipulator.add_parameter(
            EnumParameter(name, values) if is_text[name] else IntegerParameter(name, 0, len(values) - 1)
        )
    first = {name: value if is_text[name] else grid[name].index(value) for name, value in task["default"].items()}
    args = argparse.ArgumentParser(parents=opentuner.argparsers()).parse_args(["--database", "sqlite://"])
    manager = TuningRunManager(Interface(first, args=args, manipulator=manipulator), args)
    turns: list[tuple[int, float, str]] = []
    spent_s, runs, best, misses = 0.0, 0, math.inf, 0
    near, is_near = set(task["near"]), False
    while spent_s < task["budget_s" if is_near else "limit_s"] and misses < PATIENCE:
        wanted = manager.get_next_desired_result()
        if wanted is None:
            misses += 1
            continue
        misses, chosen = 0, wanted.configuration.data
        text = json.dumps({n: chosen[n] if is_text[n] else values[int(chosen[n])] for n, values in grid.items()})
        seconds = draw.choice(task["seconds"][text])
        manager.report_result(wanted, Result(time=seconds))
        spent_s, runs = spent_s + seconds, runs + 1
        if seconds < best:
            best, is_near = seconds, is_near or text in near
            turns.append((runs, spent_s, text))
    manager.finish()
    return turns


def main() -> None:
    logging.disable(logging.CRITICAL)
    task = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):
        found = [replay(task, seed) for seed in range(task["replays"])]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
