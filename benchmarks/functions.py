"""Regret on standard functions of two to twenty dimensions: our samplers and the peers that are installed.

    python benchmarks/functions.py random auto gp tpe cmaes de  # with the peers, hours on two cores: Optuna's GP is slow
    python benchmarks/functions.py tpe --seeds 3 --only branin hartmann6
    python benchmarks/functions.py --quick                      # tiny sizes: does it run?

Branin (2), six-hump camel (2), Hartmann (6), Levy (5), Ackley (5, 10), Rosenbrock (5, 20), Rastrigin (10, 20), and
noisy versions of some. A noisy run is judged by the true value at its incumbent (the configuration with the lowest
value seen). The optimum of Ackley and Rastrigin is moved away from the middle of the box, a point that designs tend to
try. Regrets after 50 and 100 trials are in units of the median of random configurations; the table has their geometric
means over seeds.

Peers: Optuna's TPE, CMA-ES and GP, hyperopt, SMAC; ``pip install -e '.[bench]'`` brings them, and the GP needs torch
too. Writes results/functions.json.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import logging
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import one_core  # noqa: F401

# isort: split
import numpy as np
from common import RESULTS, Figure, arguments, circumstances, number, use_ray, write
from tasks.jobs import Contender
from tasks.playing import play
from tasks.report import grid
from tasks.task import Outcome, Task

from raytune_hpo.rng import derive
from raytune_hpo.space import Float, Space

POINTS = (50, 100)
NOISE = 0.1  # standard deviation, in units of the median regret of random configurations
LEAST = 1e-9  # regrets below it count as so much: the geometric mean of zeros is of no use
_MEDIAN_OF = 10_000

Array: TypeAlias = np.ndarray
Loss = Callable[[Mapping[str, float]], float]

# ------------------------------------------------------------------------------------------------ functions


def branin(x: Array) -> float:
    """Three equal optima."""
    a, b, c, r, s, t = 1.0, 5.1 / (4 * np.pi**2), 5 / np.pi, 6.0, 10.0, 1 / (8 * np.pi)
    return float(a * (x[1] - b * x[0] ** 2 + c * x[0] - r) ** 2 + s * (1 - t) * np.cos(x[0]) + s)


_ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
_A = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann(x: Array) -> float:
    """Six dimensions, six local optima."""
    return -float(_ALPHA @ np.exp(-(_A * (x - _P) ** 2).sum(axis=1)))


def ackley(x: Array) -> float:
    """A narrow funnel in a rugged plain."""
    return float(20 - 20 * np.exp(-0.2 * np.sqrt(np.mean(x**2))) + np.e - np.exp(np.mean(np.cos(2 * np.pi * x))))


def rosenbrock(x: Array) -> float:
    """A curved valley."""
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


def rastrigin(x: Array) -> float:
    """A bowl with dents in a regular grid."""
    return float((x**2 - 10 * np.cos(2 * np.pi * x) + 10).sum())


def levy(x: Array) -> float:
    """Waves along every axis, in a wide bowl."""
    w = 1 + (x - 1) / 4
    waves = (w[:-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:-1] + 1) ** 2)
    return float(np.sin(np.pi * w[0]) ** 2 + waves.sum() + (w[-1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[-1]) ** 2))


def camel(x: Array) -> float:
    """Six humps; two optima."""
    return float((4 - 2.1 * x[0] ** 2 + x[0] ** 4 / 3) * x[0] ** 2 + x[0] * x[1] + (4 * x[1] ** 2 - 4) * x[1] ** 2)


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function over a box.

    Attributes:
        low, high: of every dimension, or of each.
        best: its minimum.
    """

    value: Callable[[Array], float]
    dims: int
    low: float | tuple[float, ...]
    high: float | tuple[float, ...]
    best: float = 0.0
    noise: float = 0.0

    @functools.cached_property
    def names(self) -> list[str]:
        return [f"x{i}" for i in range(self.dims)]

    @functools.cached_property
    def bounds(self) -> list[tuple[float, float]]:
        lows, highs = np.broadcast_to(self.low, self.dims), np.broadcast_to(self.high, self.dims)
        return list(zip(lows.tolist(), highs.tolist(), strict=True))

    @functools.cached_property
    def median(self) -> float:
        """The regret of half of all random points."""
        lows, highs = np.array(self.bounds).T
        points = derive(0, "median").uniform(lows, highs, size=(_MEDIAN_OF, self.dims))
        return float(np.median([self.value(point) for point in points])) - self.best

    def regret(self, config: Mapping[str, float]) -> float:
        """Without noise, in units of the median of random points."""
        return (self.value(np.array([config[name] for name in self.names])) - self.best) / self.median


_ACKLEY = {"value": ackley, "low": -11.0, "high": 22.7}
_RASTRIGIN = {"value": rastrigin, "low": -2.12, "high": 8.12}
_ROSENBROCK = {"value": rosenbrock, "low": -5.0, "high": 10.0}
_LEVY = {"value": levy, "low": -10.0, "high": 10.0}
_CAMEL = {"value": camel, "dims": 2, "low": (-3.0, -2.0), "high": (3.0, 2.0), "best": -1.0316284534898774}
_BRANIN = {"value": branin, "dims": 2, "low": (-5.0, 0.0), "high": (10.0, 15.0), "best": 0.39788735772973816}
_HARTMANN = {"value": hartmann, "dims": 6, "low": 0.0, "high": 1.0, "best": -3.322368011415514}
FUNCTIONS = {
    "branin": Function(**_BRANIN),
    "camel": Function(**_CAMEL),
    "hartmann6": Function(**_HARTMANN),
    "levy5": Function(**_LEVY, dims=5),
    "ackley5": Function(**_ACKLEY, dims=5),
    "ackley10": Function(**_ACKLEY, dims=10),
    "rosenbrock5": Function(**_ROSENBROCK, dims=5),
    "rosenbrock20": Function(**_ROSENBROCK, dims=20),
    "rastrigin10": Function(**_RASTRIGIN, dims=10),
    "rastrigin20": Function(**_RASTRIGIN, dims=20),
    "branin_noisy": Function(**_BRANIN, noise=NOISE),
    "hartmann6_noisy": Function(**_HARTMANN, noise=NOISE),
    "ackley5_noisy": Function(**_ACKLEY, dims=5, noise=NOISE),
}


class Recorder:
    """Evaluates with noise, and keeps the true regret of the best that was seen.

    Attributes:
        regrets: after each trial, of the configuration whose noisy value was the lowest.
    """

    def __init__(self, function: Function, seed: int) -> None:
        self._function, self._rng = function, derive(seed, "noise")
        self._lowest = math.inf
        self.regrets: list[float] = []

    def __call__(self, config: Mapping[str, float]) -> float:
        regret = self._function.regret(config)
        seen = regret + self._function.noise * float(self._rng.standard_normal())
        incumbent = regret if seen < self._lowest or not self.regrets else self.regrets[-1]
        self._lowest = min(self._lowest, seen)
        self.regrets.append(incumbent)
        return seen


# ------------------------------------------------------------------------------------------------ contenders


def ours(label: str, function: Function, loss: Loss, seed: int, num_trials: int) -> None:
    space = Space({name: Float(*bounds) for name, bounds in zip(function.names, function.bounds, strict=True)})
    task = Task(name="", tags=(), space=space, best=0.0, median=1.0, evaluate=lambda config: Outcome(loss(config), 1.0))
    play(Contender.read(label).make(), task, seed=seed, num_trials=num_trials)


def optuna(label: str, function: Function, loss: Loss, seed: int, num_trials: int) -> None:
    import optuna as library

    library.logging.set_verbosity(library.logging.ERROR)
    warnings.simplefilter("ignore", library.exceptions.ExperimentalWarning)
    samplers = {
        "[optuna_tpe]": library.samplers.TPESampler,
        "[optuna_cmaes]": library.samplers.CmaEsSampler,
        "[optuna_gp]": library.samplers.GPSampler,
    }
    pairs = zip(function.names, function.bounds, strict=True)
    domains = {name: library.distributions.FloatDistribution(*bounds) for name, bounds in pairs}
    study = library.create_study(sampler=samplers[label](seed=seed))
    for _ in range(num_trials):
        trial = study.ask(domains)
        study.tell(trial, loss(trial.params))


def hyperopt(label: str, function: Function, loss: Loss, seed: int, num_trials: int) -> None:
    from hyperopt import fmin, hp, tpe

    logging.getLogger("hyperopt").setLevel(logging.ERROR)
    space = {name: hp.uniform(name, *bounds) for name, bounds in zip(function.names, function.bounds, strict=True)}
    rng = np.random.default_rng(seed)
    fmin(loss, space, algo=tpe.suggest, max_evals=num_trials, rstate=rng, show_progressbar=False, verbose=False)


def smac(label: str, function: Function, loss: Loss, seed: int, num_trials: int) -> None:
    from ConfigSpace import ConfigurationSpace
    from smac import HyperparameterOptimizationFacade, Scenario
    from smac.runhistory import TrialValue

    space = ConfigurationSpace(dict(zip(function.names, function.bounds, strict=True)), seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(
            space, n_trials=num_trials, deterministic=not function.noise, seed=seed, output_directory=Path(folder)
        )
        # It would evaluate by itself what it was given; here it is asked and told.
        facade = HyperparameterOptimizationFacade(
            scenario, lambda config, seed=0: 0.0, overwrite=True, logging_level=50
        )
        for _ in range(num_trials):
            info = facade.ask()
            facade.tell(info, TrialValue(cost=loss(dict(info.config))), save=False)


Play: TypeAlias = Callable[[str, Function, Loss, int, int], None]
PEERS: dict[str, tuple[Play, tuple[str, ...]]] = {
    "[optuna_tpe]": (optuna, ("optuna",)),
    "[optuna_cmaes]": (optuna, ("optuna", "cmaes")),
    "[optuna_gp]": (optuna, ("optuna", "torch")),
    "[hyperopt]": (hyperopt, ("hyperopt",)),
    "[smac]": (smac, ("smac",)),
}


def installed_peers() -> list[str]:
    return [name for name, (_, needs) in PEERS.items() if all(importlib.util.find_spec(module) for module in needs)]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One contender on one function with one seed."""

    label: str
    function: str
    seed: int
    num_trials: int

    def run(self) -> list[float]:
        """Regrets after each trial."""
        recorder = Recorder(FUNCTIONS[self.function], self.seed)
        playing = PEERS[self.label][0] if self.label in PEERS else ours
        playing(self.label, FUNCTIONS[self.function], recorder, self.seed, self.num_trials)
        return recorder.regrets[: self.num_trials]


# ------------------------------------------------------------------------------------------------ the table


def options() -> argparse.Namespace:
    parser = arguments(__doc__)
    add = parser.add_argument
    add("samplers", nargs="*", metavar="SAMPLER", help="name, or name:option=value,...; default: random")
    add("--only", nargs="+", metavar="FUNCTION", choices=list(FUNCTIONS), default=list(FUNCTIONS))
    add("--seeds", type=int, default=5, metavar="N", help="runs of each contender on each function (default 5)")
    add("--no-peers", action="store_true", help="ours alone")
    add("--local", action="store_true", help="in this process, without Ray")
    args = parser.parse_args()
    args.samplers = args.samplers or ["random"]
    if args.quick:
        args.local, args.seeds, args.only = True, 2, args.only[:2]
    return args


def run(jobs: Sequence[Job], *, local: bool) -> Iterator[list[float]]:
    if local:
        yield from (job.run() for job in jobs)
        return
    import ray

    use_ray()
    remote = ray.remote(num_cpus=1)(Job.run)
    yield from (ray.get(done) for done in [remote.remote(job) for job in jobs])


def rows(found: Mapping[tuple[str, str], float], labels: Sequence[str], names: Sequence[str]) -> Iterator[list[str]]:
    """A line for each function, the best marked."""
    yield ["", *labels]
    for name in names:
        values = [found[label, name] for label in labels]
        yield [name, *[number(value) + ("*" if value == min(values) else "") for value in values]]


def main() -> None:
    args = options()
    around = circumstances("functions")
    points = (4, 8) if args.quick else POINTS
    labels = [*args.samplers, *([] if args.no_peers else installed_peers())]
    jobs = [
        Job(label=label, function=name, seed=seed, num_trials=points[-1])
        for name in args.only
        for label in labels
        for seed in range(args.seeds)
    ]
    regrets: dict[tuple[str, str], list[list[float]]] = {}
    for job, curve in zip(jobs, run(jobs, local=args.local), strict=True):
        regrets.setdefault((job.label, job.function), []).append(curve)
    figures: list[dict[str, Any]] = []
    for point in points:
        found = {key: geometric([curve[point - 1] for curve in curves]) for key, curves in regrets.items()}
        print(f"regret after {point} trials, measured over {args.seeds} seeds")
        print(grid(rows(found, labels, args.only)), "\n", flush=True)
        figures += [_figure(label, name, point, value, args.seeds) for (label, name), value in found.items()]
    when = {key: around[key] for key in ("at", "command", "commit", "uncommitted_changes")}
    write(args.out or (None if args.quick else RESULTS / "functions.json"), around, [{**f, **when} for f in figures])


def geometric(regrets: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(np.maximum(regrets, LEAST)))))


def _figure(label: str, name: str, point: int, value: float, num_seeds: int) -> dict[str, Any]:
    what = f"{label} on {name}: regret after {point} trials"
    return asdict(
        Figure(name=f"{label} {name} {point}", what=what, measured=value, unit="", detail={"seeds": num_seeds})
    )


if __name__ == "__main__":
    main()
