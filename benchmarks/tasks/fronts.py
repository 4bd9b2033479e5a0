"""Problems with several goals: functions whose fronts are known, and the tasks of a folder that have two goals.

Zitzler, Deb, Thiele, Evolutionary Computation 8, 2000 (ZDT). Deb, Thiele, Laumanns, Zitzler, EMO 2005 (DTLZ). Belakaria,
Deshwal, Doppa, NeurIPS 2019 (BraninCurrin). Liao et al., Structural and Multidisciplinary Optimization 35, 2008, as in
Tanabe, Ishibuchi, Applied Soft Computing 89, 2020 (VehicleSafety). Jain, Deb, IEEE Trans. Evol. Comput. 18, 2014 (C2-DTLZ2).
"""

from __future__ import annotations

import functools
import json
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from raytune_hpo.experiments import bench
from raytune_hpo.experiments.parameter_lists import flatten, space_from_list
from raytune_hpo.goals import Goal, make_constraints, make_goals
from raytune_hpo.numerics.hypervolume import hypervolume
from raytune_hpo.space import Float, Space

Metrics: TypeAlias = Mapping[str, float] | None  # None: failed
_EXCESS = "c"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A problem with several goals, all minimised.

    Attributes:
        evaluate: the metrics of a configuration.
        volume: the hypervolume of the metrics of some trials; infeasible ones count nothing.
        best: the largest that is known.
    """

    name: str
    space: Space
    goals: Sequence[Goal]
    constraints: Sequence[Goal] = ()
    evaluate: Callable[[Mapping[str, Any]], Metrics]
    volume: Callable[[Sequence[Metrics]], float]
    best: float


# ------------------------------------------------------------------------------------------------ functions


def zdt1(x: np.ndarray) -> list[float]:
    """A convex front: f2 = 1 - sqrt f1."""
    g = 1 + 9 * x[1:].mean()
    return [x[0], g * (1 - math.sqrt(x[0] / g))]


def zdt2(x: np.ndarray) -> list[float]:
    """A concave front: f2 = 1 - f1^2."""
    g = 1 + 9 * x[1:].mean()
    return [x[0], g * (1 - (x[0] / g) ** 2)]


def zdt3(x: np.ndarray) -> list[float]:
    """A front in five pieces."""
    g = 1 + 9 * x[1:].mean()
    return [x[0], g * (1 - math.sqrt(x[0] / g) - x[0] / g * math.sin(10 * math.pi * x[0]))]


def dtlz2(x: np.ndarray, m: int) -> list[float]:
    """A front on the unit sphere in m goals."""
    radius, angles = 1 + ((x[m - 1 :] - 0.5) ** 2).sum(), x[: m - 1] * math.pi / 2
    rest = [radius * np.cos(angles[: m - 1 - i]).prod() for i in range(m)]
    return [rest[0], *(rest[i] * math.sin(angles[m - 1 - i]) for i in range(1, m))]


def branin_currin(x: np.ndarray) -> list[float]:
    """Two functions of two parameters."""
    a, b = 15 * x[0] - 5, 15 * x[1]
    branin = (b - 5.1 / (4 * math.pi**2) * a * a + 5 / math.pi * a - 6) ** 2
    branin += 10 * (1 - 1 / (8 * math.pi)) * math.cos(a) + 10
    above = 2300 * x[0] ** 3 + 1900 * x[0] ** 2 + 2092 * x[0] + 60
    below = 100 * x[0] ** 3 + 500 * x[0] ** 2 + 4 * x[0] + 20
    return [branin, (1 - math.exp(-1 / (2 * max(x[1], 1e-9)))) * above / below]


def vehicle_safety(x: np.ndarray) -> list[float]:
    """Mass, acceleration and intrusion of a car in a crash, of the thicknesses of five parts."""
    a, b, c, d, e = 1 + 2 * x
    mass = 1640.2823 + 2.3573285 * a + 2.3220035 * b + 4.5688768 * c + 7.7213633 * d + 4.4559504 * e
    acceleration = 6.5856 + 1.15 * a - 1.0427 * b + 0.9738 * c + 0.8364 * d - 0.3695 * a * d + 0.0861 * a * e
    acceleration += 0.3628 * b * d - 0.1106 * a**2 - 0.3437 * c**2 + 0.1764 * d**2
    intrusion = -0.0551 + 0.0181 * a + 0.1024 * b + 0.0421 * c - 0.0073 * a * b + 0.024 * b * c - 0.0118 * b * d
    intrusion += -0.0204 * c * d - 0.008 * c * e - 0.0241 * b**2 + 0.0109 * d**2
    return [mass, acceleration, intrusion]


def c2_dtlz2(x: np.ndarray, m: int = 2, r: float = 0.2) -> list[float]:
    """DTLZ2 of which three discs are feasible; last comes by how much the constraint is broken."""
    f = np.array(dtlz2(x, m))
    corners = min((f[i] - 1) ** 2 + (f**2).sum() - f[i] ** 2 - r**2 for i in range(m))
    middle = ((f - 1 / math.sqrt(m)) ** 2).sum() - r**2
    return [*f, min(corners, middle)]


# Function, parameters, goals, reference point, largest hypervolume that is known (of C2-DTLZ2 on a fine grid).
_FUNCTIONS: dict[str, tuple[Callable[[np.ndarray], list[float]], int, int, list[float], float]] = {
    "zdt1": (zdt1, 6, 2, [1.1, 1.1], 1.1**2 - 1 / 3),
    "zdt2": (zdt2, 6, 2, [1.1, 1.1], 1.1**2 - 2 / 3),
    "zdt3": (zdt3, 6, 2, [1.1, 1.1], 1.331763),
    "dtlz2": (functools.partial(dtlz2, m=3), 6, 3, [1.1] * 3, 1.1**3 - math.pi / 6),
    "branin_currin": (branin_currin, 2, 2, [18.0, 6.0], 59.36012),
    "vehicle_safety": (vehicle_safety, 5, 3, [1864.72, 11.82, 0.2904], 246.81607),
    "c2_dtlz2": (c2_dtlz2, 6, 2, [1.1, 1.1], 0.3823),
}
FUNCTIONS = tuple(_FUNCTIONS)


def function(name: str) -> Problem:
    """One of the functions, on the unit cube."""
    f, d, m, reference, best = _FUNCTIONS[name]
    metrics = [f"f{i}" for i in range(m)]
    constraints = make_constraints([f"{_EXCESS} <= 0"]) if name == "c2_dtlz2" else ()

    def evaluate(config: Mapping[str, Any]) -> Metrics:
        values = f(np.array([config[f"x{i}"] for i in range(d)]))
        return dict(zip([*metrics, _EXCESS], map(float, values), strict=False))

    def volume(found: Sequence[Metrics]) -> float:
        rows = [[one[metric] for metric in metrics] for one in found if one and one.get(_EXCESS, 0.0) <= 0]
        return hypervolume(np.array(rows).reshape(-1, m), np.array(reference))

    space = Space({f"x{i}": Float(0.0, 1.0) for i in range(d)})
    goals = make_goals(metrics)
    return Problem(
        name=name, space=space, goals=goals, constraints=constraints, evaluate=evaluate, volume=volume, best=best
    )


FAILING = ("branin_currin", "c2_dtlz2", "dtlz2")  # nothing of VehicleSafety lies outside its reference point


def failing(name: str) -> Problem:
    """A function of which nothing is measured but feasible trials within the reference point; all others fail."""
    problem, reference = function(name), _FUNCTIONS[name][3]

    def evaluate(config: Mapping[str, Any]) -> Metrics:
        found = problem.evaluate(config) or {}
        metrics = {goal.metric: found[goal.metric] for goal in problem.goals}
        is_wanted = found.get(_EXCESS, 0.0) <= 0 and all(map(operator.le, metrics.values(), reference))
        return metrics if is_wanted else None

    return replace(problem, name=f"{name}, failing", constraints=(), evaluate=evaluate)


def worst_instead(problem: Problem) -> Problem:
    """A problem for one run, whose failed trials seem to have the worst of each metric so far; the first ones still fail."""
    worst: dict[str, float] = {}

    def evaluate(config: Mapping[str, Any]) -> Metrics:
        found = problem.evaluate(config)
        for metric, value in (found or {}).items():
            worst[metric] = max(value, worst.get(metric, value))
        return found or dict(worst) or None

    return replace(problem, name=f"{problem.name}, as the worst", evaluate=evaluate)


# ------------------------------------------------------------------------------------------------ tasks of a folder


def names(folder: Path) -> list[str]:
    """The tasks that peers were recorded on."""
    return sorted(path.stem for path in (folder / "peers_mo").glob("*.json"))


def task(folder: Path, name: str) -> Problem:
    """A task with two goals; parameters of branches stand in them."""
    one = bench.load_module(folder).load(name)
    metrics = one.mo["objectives"]

    def evaluate(config: Mapping[str, Any]) -> Metrics:
        found = one.objective(flatten(config))
        values = {metric: float(found.get(metric, math.nan)) for metric in metrics}
        return values if all(map(math.isfinite, values.values())) else None

    form = "nested" if any(parameter.get("condition") for parameter in one.space) else "flat"
    return Problem(
        name=name,
        space=space_from_list(one.space, form),
        goals=make_goals(metrics),
        evaluate=evaluate,
        volume=lambda found: one.hypervolume([metrics for metrics in found if metrics]),
        best=one.mo["best_hv"],
    )


def recorded(folder: Path, name: str) -> dict[str, list[list[Metrics]]]:
    """What peers found, trial by trial, by peer and run; of several runs of one seed the longest."""
    data = json.loads((folder / "peers_mo" / f"{name}.json").read_text())
    metrics = bench.load_module(folder).load(name).mo["objectives"]
    runs = {}
    for peer, found in data["runs"].items():
        longest = {run["seed"]: run["points"] for run in sorted(found, key=lambda run: len(run["points"]))}
        runs[peer] = [[p and dict(zip(metrics, p, strict=True)) for p in points] for points in longest.values()]
    return runs
