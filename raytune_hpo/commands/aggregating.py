"""Aggregates over inputs other than plain means: weighted means, sums, geometric means, the worst."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from raytune_hpo.commands.command import Command
from raytune_hpo.commands.inputs import Input
from raytune_hpo.errors import ObjectiveError
from raytune_hpo.goals import Goal, make_goals
from raytune_hpo.runtime.trial_run import report
from raytune_hpo.spec import StudySpec

WAYS = ("mean", "geomean", "sum", "worst")


class OverInputs:
    """An objective that runs a command on all its inputs, and aggregates its metrics over them.

    After each input the aggregate so far is reported, as a step.

    Args:
        way: "mean", "geomean", "sum" or "worst"; means and sums are weighted where inputs have weights.
    """

    def __init__(self, command: Command, inputs: Sequence[Any], way: str) -> None:
        self._command, self._inputs, self._way = command, list(inputs), way
        self.__name__ = command.__name__

    def study_settings(self, runtime: str) -> dict[str, Any]:
        """As the command's own."""
        return self._command.study_settings(runtime)

    def check_study(self, spec: StudySpec, *, is_here: bool) -> None:
        """As the command's own."""
        self._command.check_study(spec, is_here=is_here)

    def __call__(self, config: Mapping[str, Any]) -> dict[str, float]:
        settings = self._command.study_settings("local")
        modes = dict(zip(settings["metric"], settings["mode"], strict=True))
        found: dict[str, list[float]] = {metric.name: [] for metric in self._command.metrics}
        weights, aggregates = list[float](), dict[str, float]()
        for step, one in enumerate(self._inputs, start=1):
            measured = self._command(config, one)
            weights.append(one.weight if isinstance(one, Input) else 1.0)
            for name, values in found.items():
                values.append(float(measured[name]))
            goals = make_goals(list(found), [modes.get(name, "min") for name in found])
            aggregates = {goal.metric: self._aggregate(goal, found[goal.metric], weights) for goal in goals}
            report(aggregates, step=step)
        return aggregates

    def _aggregate(self, goal: Goal, values: Sequence[float], weights: Sequence[float]) -> float:
        if self._way == "worst":
            return max(values, key=goal.loss)
        if self._way == "geomean":
            if min(values) <= 0:
                raise ObjectiveError(f"a geometric mean needs values above 0, got {min(values)} of {goal.metric!r}")
            return math.exp(_weighted([math.log(value) for value in values], weights) / math.fsum(weights))
        total = _weighted(values, weights)
        return total if self._way == "sum" else total / math.fsum(weights)


def _weighted(values: Sequence[float], weights: Sequence[float]) -> float:
    return math.fsum(value * weight for value, weight in zip(values, weights, strict=True))
