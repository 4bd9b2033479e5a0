"""Samplers under special conditions: noisy objectives, failures, wide spaces, prior knowledge, earlier studies.

    python benchmarks/conditions.py --only noise noisy_tasks
    python benchmarks/conditions.py --only failures width beliefs earlier
    python benchmarks/conditions.py --quick                 # tiny sizes: does it run?

noise    functions with normal noise of .03, .1 and .3 of the median regret of random configurations. The measure is the
         true regret of the recommended configuration: for every contender, the same kind of Gaussian process is fitted
         to its trials, and the trial with the lowest mean is recommended.
noisy_tasks  the noisy tasks that lie in the folder of shared tasks, with the runs of other tuners recorded there. Each tuner
         recommends by its own rule: ours by ``results.recommended``, SMAC by its incumbent, others the lowest loss seen.
failures  functions where every third trial fails by accident, and where a half of the space fails, with the optimum in it or
         not. For comparison, failed trials are told to ``auto`` as the worst loss so far.
width    functions of 100 parameters, with the optimum in another place of the box for each seed.
duration  the time of a suggestion in a space of 100 floats and 100 choices.
workers  functions and the lookup table LeNet1 (see lookup_tables.py; where it is there), by 8, 32 and 100 workers on a
         virtual clock, each trial with a time of its own from an exponential distribution.
beliefs  priors around the optimum, around a point as far from it as their deviation says, and around the worst corner.
earlier  three earlier studies of the same family (the optimum moves a little, and so does the scale of every parameter), of
         unrelated functions, and of the same functions upside down. If shared tasks lie beside the checkout (see
         sample_efficiency.py): the other data sets of the same learner.

Regrets are in units of the median of random configurations. There are ten seeds, and forty where functions are played with
priors and earlier studies; intervals are at 95 %, by bootstrap over functions and seeds. Writes results/conditions.json.
"""

from __future__ import annotations

import dataclasses
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import one_core  # noqa: F401

# isort: split
import lookup_tables
import numpy as np
import tasks
from common import Figure, at_least, at_most, run
from functions import FUNCTIONS, LEAST, PEERS, Array, Function, geometric, installed_peers, levy, rosenbrock
from tasks import noisy, shared

import raytune_hpo as hpo
from raytune_hpo.experiments import LookupTable
from raytune_hpo.rng import derive

SEEDS = 10
MANY_SEEDS = 40  # where one function with two optima decides a ratio of ten
LEVELS = (0.03, 0.1, 0.3)
NOISY = ("camel", "levy5", "hartmann6", "rosenbrock5")
DEVIATION = 0.1  # of priors, as a share of the range
KNOWN = ("branin", "levy5", "hartmann6")
FAMILIES = {"lcbench": ("lcbench_189905", "lcbench_167161", "lcbench_146212"), "svm": ("svm_40981", "svm_1053")}

Config: TypeAlias = Mapping[str, Any]
Loss: TypeAlias = Callable[[Config], float]


def optimum(function: Function) -> Array:
    """Where the function is at its lowest, as far as a long search from many places finds."""
    from scipy.optimize import minimize

    lows, highs = np.array(function.bounds).T
    points = derive(0, "optimum").uniform(lows, highs, size=(2000, function.dims))
    starts = sorted(points, key=function.value)[:10]
    found = [minimize(function.value, start, bounds=function.bounds) for start in starts]
    return np.asarray(min(found, key=lambda one: float(one.fun)).x)


def space_of(function: Function, prior: Callable[[int], Any] | None = None) -> dict[str, hpo.Float]:
    """Its box.

    Args:
        prior: what is believed of a dimension, by its number.
    """
    pairs = zip(function.names, function.bounds, strict=True)
    return {name: hpo.Float(*box, prior=prior(i) if prior else None) for i, (name, box) in enumerate(pairs)}


def tried(sampler: str, space: Any, loss: Loss, seed: int, num_trials: int, **settings: Any) -> list[Config]:
    """The configurations of a study, one at a time."""
    with hpo.Study(space, sampler=sampler, seed=seed, **{"storage": "memory", **settings}) as study:
        for _ in range(num_trials):
            trial = study.ask()
            study.tell(trial, loss(trial.config))
        return [trial.config for trial in study.results()]


def regrets_of(function: Function, configs: Sequence[Config]) -> Array:
    """The best regret so far, (n,)."""
    return np.minimum.accumulate([function.regret(config) for config in configs])


def interval(values: Sequence[Array]) -> list[float]:
    """Of the mean over functions of the means over runs, with both drawn again."""
    rng, m = np.random.default_rng(0), len(values)
    means = [
        np.mean([rng.choice(values[i], len(values[i])).mean() for i in rng.integers(m, size=m)]) for _ in range(1000)
    ]
    return np.quantile(means, [0.025, 0.975]).tolist()


def seeds_of(quick: bool, usual: int = SEEDS) -> range:
    return range(2 if quick else usual)


# ------------------------------------------------------------------------------------------------ noise


def recommended(function: Function, configs: Sequence[Config], seen: Sequence[float]) -> float:
    """The true regret of the trial with the lowest mean by a Gaussian process of what was seen."""
    with hpo.Study(space_of(function), storage="memory", sampler="gp", seed=0) as study:
        for config, value in zip(configs, seen, strict=True):
            study.enqueue(config)
            study.tell(study.ask(), value)
        return min(function.regret(study.results().recommended_config), 1.0)


def under_noise(label: str, function: Function, seed: int, points: Sequence[int]) -> list[float]:
    """The regrets of what is recommended after so many trials."""
    rng, configs, seen = derive(seed, "noise"), list[Config](), list[float]()

    def loss(config: Config) -> float:
        configs.append(dict(config))
        seen.append(function.regret(config) + function.noise * float(rng.standard_normal()))
        return seen[-1]

    if label in PEERS:
        PEERS[label][0](label, function, loss, seed, points[-1])
    else:
        tried(label, space_of(function), loss, seed, points[-1])
    return [recommended(function, configs[:point], seen[:point]) for point in points]


def noise(quick: bool) -> list[Figure]:
    """The regrets of what is recommended, and in how many seeds they are below those of random configurations."""
    points, names = ((6, 8), NOISY[:1]) if quick else ((50, 100), NOISY)
    peers = [peer for peer in ("[optuna_tpe]", "[optuna_gp]") if peer in installed_peers()]
    figures = []
    for level in LEVELS[:1] if quick else LEVELS:
        found: dict[str, Array] = {}
        for label in ("random", *peers, "gp", "tpe", "auto"):
            functions = [dataclasses.replace(FUNCTIONS[name], noise=level) for name in names]
            found[label] = np.array(
                [[under_noise(label, one, seed, points) for seed in seeds_of(quick)] for one in functions]
            )
            for i, point in enumerate(points):
                values = found[label][:, :, i]
                detail = {"interval": interval(values), **dict(zip(names, values.mean(axis=1).tolist(), strict=True))}
                what = f"noise {level}: regret of what {label} recommends after {point} trials"
                figures.append(
                    Figure(
                        name=f"noise {level} {label} {point}", what=what, measured=values.mean(), unit="", detail=detail
                    )
                )
        for label in ("gp", "auto"):
            below = found[label][:, :, -1].mean(axis=0) < found["random"][:, :, -1].mean(axis=0)
            what = f"noise {level}: seeds in which {label} is ahead of random configurations"
            share = 100 * float(below.mean())
            figures.append(at_least(90, name=f"noise {level} {label} ahead", what=what, measured=share, unit="%"))
    return figures


def noisy_tasks(quick: bool) -> list[Figure]:
    """The true regrets of what is recommended on the shared noisy tasks, by ours and by recorded peers."""
    folder = shared.find()
    if folder is None or not (names := noisy.names(folder)):
        return []
    points, names = ((6, 8), names[:1]) if quick else ((25, 50, 100), names)
    found = {
        label: {
            name: np.array(
                [_recommended_on(noisy.load(folder, name, seed), label, seed, points) for seed in seeds_of(quick)]
            )
            for name in names
        }
        for label in ("random", "tpe", "gp", "auto")
    }
    figures = []
    for i, point in enumerate(points):
        ours = {label: {name: runs[:, i] for name, runs in by_task.items()} for label, by_task in found.items()}
        peers = {f"[{peer}]": by_task for peer, by_task in noisy.recorded(folder, point).items()}
        for label, by_task in (ours | peers).items():
            if set(by_task) == set(names):
                figures.append(_on_noisy_tasks(label, point, {name: np.array(runs) for name, runs in by_task.items()}))
    ahead = sum(found["auto"].values())[:, -1] < sum(found["random"].values())[:, -1]
    what, share = "noisy tasks: seeds in which auto is ahead of random configurations", 100 * float(ahead.mean())
    return [*figures, at_least(90, name="tasks auto ahead", what=what, measured=share, unit="%")]


def _on_noisy_tasks(label: str, point: int, regrets: Mapping[str, Array]) -> Figure:
    """The mean over tasks, given the regrets of all runs of each."""
    by_task = {name: float(runs.mean()) for name, runs in regrets.items()}
    detail = {"interval": interval([*regrets.values()]), "runs": min(map(len, regrets.values())), "tasks": by_task}
    what = f"noisy tasks: regret of what {label} recommends after {point} trials"
    measured = float(np.mean([*by_task.values()]))
    return Figure(name=f"tasks {label} {point}", what=what, measured=measured, unit="", detail=detail)


def _recommended_on(task: noisy.NoisyTask, label: str, seed: int, points: Sequence[int]) -> list[float]:
    """The true regrets of what a study recommends at some points."""
    regrets = []
    with hpo.Study(task.space, sampler=label, seed=seed, storage="memory") as study:
        for number in range(1, points[-1] + 1):
            trial = study.ask()
            study.tell(trial, task.loss(trial.config))
            if number in points:
                regrets.append(task.regret(study.results().recommended_config))
    return regrets


# ------------------------------------------------------------------------------------------------ failures


def failures(quick: bool) -> list[Figure]:
    """The best regrets where trials fail, and those of ``auto`` in units of those if it is told the worst loss instead."""
    points, names = ((6, 8), KNOWN[:1]) if quick else ((30, 60), (*KNOWN, "ackley5"))
    figures = []
    for cause in ("by accident", "in a half"):
        found = {}
        for label in ("random", "tpe", "auto told the worst", "auto"):
            runs = [
                [_failing(label, FUNCTIONS[name], cause, seed, points) for seed in seeds_of(quick)] for name in names
            ]
            found[label] = np.array(runs)
            for i, point in enumerate(points):
                values = found[label][:, :, i]
                detail = {"interval": interval(values), **dict(zip(names, values.mean(axis=1).tolist(), strict=True))}
                what = f"failures {cause}: regret of {label} after {point} trials"
                name = f"failures {cause} {label} {point}"
                figures.append(Figure(name=name, what=what, measured=values.mean(), unit="", detail=detail))
        pairs = np.stack([found[label][:, :, -1].ravel() for label in ("auto", "auto told the worst")], axis=1)
        what = f"failures {cause}: regret of auto after {points[-1]} trials, in units of that if told the worst loss"
        detail = {"interval": _interval_of_times(pairs)}
        figures.append(
            Figure(name=f"failures {cause}", what=what, measured=_times(*pairs.T), unit="times", detail=detail)
        )
    return figures


def _failing(label: str, function: Function, cause: str, seed: int, points: Sequence[int]) -> list[float]:
    """The best regrets after so many trials, those that failed included; 1 while all have failed."""
    sampler, _, told_the_worst = label.partition(" ")
    lows, highs = np.array(function.bounds).T
    accidents, towards = derive(seed, "accidents"), derive(seed, "half").standard_normal(function.dims)
    regrets: list[float] = []  # of failed trials NaN

    def loss(config: Config) -> float:
        place = (np.array([*config.values()]) - lows) / (highs - lows) - 0.5
        fails = accidents.random() < 1 / 3 if cause == "by accident" else place @ towards > 0
        regrets.append(math.nan if fails else function.regret(config))
        return float(np.nanmax([1.0, *regrets])) if fails and told_the_worst else regrets[-1]

    tried(sampler, space_of(function), loss, seed, points[-1])
    return [min(float(np.nanmin([1.0, *regrets[:point]])), 1.0) for point in points]


# ------------------------------------------------------------------------------------------------ width


def wide(seed: int) -> dict[str, Function]:
    """Functions of 100 parameters, whose optimum is somewhere in the inner half of the box."""
    rng, dims = derive(seed, "width"), 100

    def moved(low: float, high: float, at: float) -> dict[str, Any]:
        begin = at - (high - low) * rng.uniform(0.25, 0.75, size=dims)
        return {"dims": dims, "low": tuple(begin.tolist()), "high": tuple((begin + high - low).tolist())}

    some = rng.permutation(dims)[:6]
    hartmann = FUNCTIONS["hartmann6"]
    return {
        "levy100": Function(value=levy, **moved(-10, 10, 1)),
        "rosenbrock100": Function(value=rosenbrock, **moved(-5, 10, 1)),
        "hartmann6 in 100": dataclasses.replace(hartmann, dims=dims, value=lambda x: hartmann.value(x[some])),
    }


def width(quick: bool) -> list[Figure]:
    """The regrets after 200 trials, and in how many seeds ``auto`` is ahead."""
    num_trials, labels = (6 if quick else 200), ("random", "tpe", "auto")
    found: dict[tuple[str, str], list[float]] = {}
    for seed in seeds_of(quick):
        for name, function in wide(seed).items():
            for label in labels:
                configs = tried(label, space_of(function), function.regret, seed, num_trials)
                found.setdefault((name, label), []).append(float(regrets_of(function, configs)[-1]))
    figures = []
    for name in wide(0):
        for label in labels:
            what = f"{name}: regret of {label} after {num_trials} trials"
            measured = float(np.mean(found[name, label]))
            figures.append(Figure(name=f"{name} {label}", what=what, measured=measured, unit=""))
        best = np.minimum(found[name, "random"], found[name, "tpe"])
        share = 100 * float((np.array(found[name, "auto"]) < best).mean())
        what = f"{name}: seeds in which auto is ahead of random and tpe"
        figures.append(at_least(90, name=f"{name} ahead", what=what, measured=share, unit="%"))
    return figures


def duration(quick: bool) -> list[Figure]:
    """How long a suggestion takes in a space of 100 floats and 100 choices."""
    num_trials = 12 if quick else 200
    space = {f"x{i}": hpo.Float(0, 1) for i in range(100)} | {f"c{i}": hpo.Choice(list("abcde")) for i in range(100)}

    def loss(config: Config) -> float:
        return sum((config[f"x{i}"] - 0.4) ** 2 + (config[f"c{i}"] != "d") / (1 + i) for i in range(100))

    took = []
    with hpo.Study(space, storage="memory", seed=1) as study:
        for config in hpo.Space(space).sample(num_trials, derive(0, "width")):
            study.enqueue(config)
            study.tell(study.ask(), loss(config))
        for _ in range(10):
            begin = time.process_time()
            trial = study.ask()
            took.append(time.process_time() - begin)
            study.tell(trial, loss(trial.config))
    what = f"100 floats and 100 choices: time of a suggestion after {num_trials} trials"
    return [at_most(0.3, name="200 parameters", what=what, measured=float(np.median(took)), unit="s")]


# ------------------------------------------------------------------------------------------------ workers


def workers(quick: bool) -> list[Figure]:
    """Regrets at equal trials of many workers, in units of those of one, and how much sooner they are through."""
    num_trials, asked = (12, {4: 2.0}) if quick else (200, {8: 1.1, 32: 1.4, 100: 2.0})
    found: dict[int, list[tuple[float, float]]] = {}
    for space, regret in _parallel_problems(quick).values():
        for seed in seeds_of(quick):
            for num_workers in (1, *asked):
                found.setdefault(num_workers, []).append(_by(num_workers, space, regret, seed, num_trials))
    alone, took_alone = np.array(found.pop(1)).T
    figures = []
    for num_workers, runs in found.items():
        regrets, took = np.array(runs).T
        measured, pairs = _times(regrets, alone), np.column_stack([regrets, alone])
        detail = {"regrets": regrets.tolist(), "of_one_worker": alone.tolist(), "interval": _interval_of_times(pairs)}
        what = f"{num_workers} workers: regret after {num_trials} trials, in units of that of one worker"
        name, most = f"{num_workers} workers", asked[num_workers]
        figures.append(at_most(most, name=name, what=what, measured=measured, unit="times", detail=detail))
        what = f"{num_workers} workers: how much sooner {num_trials} trials have ended"
        sooner = geometric((took_alone / took).tolist())
        figures.append(Figure(name=f"{num_workers} workers sooner", what=what, measured=sooner, unit="times"))
    return figures


def _parallel_problems(quick: bool) -> dict[str, tuple[Any, Loss]]:
    """The space and the regret of each problem."""
    names = ("branin",) if quick else ("branin", "hartmann6")
    problems: dict[str, tuple[Any, Loss]] = {
        name: (space_of(FUNCTIONS[name]), FUNCTIONS[name].regret) for name in names
    }
    file, conf = (lookup_tables.BESIDE / name for name in lookup_tables.TABLES["lenet1"])
    if file.exists() and not quick:
        table = LookupTable.read(file, conf)
        final = table.curves[:, -1]
        best, median = float(final.max()), float(np.median(final))
        problems["lenet1"] = table.space, lambda config: (best - table.value(config)) / (best - median)
    return problems


def _by(num_workers: int, space: Any, regret: Loss, seed: int, num_trials: int) -> tuple[float, float]:
    """The regret of the best of so many trials, and the time of the virtual clock at which the last of them ended."""
    rng = derive(seed, "times")

    def objective(config: Config) -> dict[str, float]:
        return {"loss": regret(config), "cost_s": float(rng.exponential())}

    results = hpo.simulate(
        objective, space, metric="loss", sampler="auto", seed=seed, num_trials=num_trials, num_workers=num_workers
    )
    return results.best_value, max(trial.finished_at for trial in results)


# ------------------------------------------------------------------------------------------------ beliefs


def beliefs(quick: bool) -> list[Figure]:
    """Right: as good after 10 trials as after 30 without. In the worst corner: no loss 5 d + 30 trials later."""
    early, late, names = (4, 6, KNOWN[:1]) if quick else (10, 30, KNOWN)
    found: dict[str, list[float]] = {"with": [], "near": [], "without": [], "wrong": [], "none": []}
    for name in names:
        function = FUNCTIONS[name]
        lows, highs = np.array(function.bounds).T
        best = optimum(function)
        worst = np.where(best - lows > highs - best, lows, highs)
        end = late if quick else 5 * function.dims + 30
        for seed in seeds_of(quick, MANY_SEEDS):
            play = partial(_played, function, seed)
            off = best + DEVIATION * (highs - lows) * derive(seed, "off").standard_normal(function.dims)
            plain = play(None, max(end, late))
            found["with"].append(play(_around(best), early)[-1])
            found["near"].append(play(_around(off.clip(lows, highs)), early)[-1])
            found["without"].append(plain[late - 1])
            found["wrong"].append(play(_around(worst), end)[-1])
            found["none"].append(plain[end - 1])
    what = f"prior at the optimum: regret after {early} trials, in units of that after {late} without"
    near_what = f"prior off by its deviation: regret after {early} trials, in units of that after {late} without"
    else_what = "prior in the worst corner: regret after 5 d + 30 trials, in units of that without"
    return [
        _compared("good prior", what, 1.0, found, "with", "without"),
        _compared("near prior", near_what, 1.0, found, "near", "without"),
        _compared("wrong prior", else_what, 1.1, found, "wrong", "none"),
    ]


def _around(at: Array) -> Callable[[int], hpo.Normal]:
    """Priors around a point, for each of its coordinates."""
    return lambda i: hpo.Normal(float(at[i]), DEVIATION)


def _compared(
    name: str, what: str, most: float, found: Mapping[str, Sequence[float]], these: str, those: str
) -> Figure:
    """The ratio of regrets of pairs of runs, which is to be at most ``most``, with its interval and the medians."""
    pairs = np.array([found[these], found[those]]).T
    detail = {"interval": _interval_of_times(pairs), **_medians(found)}
    return at_most(most, name=name, what=what, measured=_times(*pairs.T), unit="times", detail=detail)


def _played(function: Function, seed: int, prior: Callable[[int], Any] | None, num_trials: int) -> Array:
    space = space_of(function, prior)
    return regrets_of(function, tried("auto", space, function.regret, seed, num_trials))


def _times(these: Sequence[float] | Array, those: Sequence[float] | Array) -> float:
    """The ratio of geometric means; what is below a thousandth of the median regret counts as that."""
    return geometric(np.maximum(these, 1e-3).tolist()) / geometric(np.maximum(those, 1e-3).tolist())


def _interval_of_times(pairs: Array) -> list[float]:
    """95 % of the ratio of geometric means of the columns (n, 2), with the runs drawn again."""
    rng = np.random.default_rng(0)
    drawn = [_times(*rng.choice(pairs, len(pairs)).T) for _ in range(1000)]
    return np.quantile(drawn, [0.025, 0.975]).tolist()


def _medians(found: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {key: float(np.median(values)) for key, values in found.items()}


# ------------------------------------------------------------------------------------------------ earlier studies


def relative(function: Function, seed: int, number: int) -> Loss:
    """A function of the same family: moved by up to a twentieth of the box, and stretched by up to a fifth."""
    rng = derive(seed, "family", number)
    lows, highs = np.array(function.bounds).T
    moved, stretched = (highs - lows) * rng.uniform(-0.05, 0.05, function.dims), rng.uniform(0.8, 1.2, function.dims)
    middle = (lows + highs) / 2

    def loss(config: Config) -> float:
        x = np.array([config[name] for name in function.names])
        return (function.value(middle + (x - middle) * stretched + moved) - function.best) / function.median

    return loss


def taught(space: Any, loss: Loss, before: Sequence[Loss], seed: int, num_trials: int, num_before: int) -> list[Config]:
    """The configurations of a study that has learned from earlier ones."""
    with tempfile.TemporaryDirectory() as folder:
        storage, names = f"sqlite:///{folder}/studies.db", [f"before {number}" for number in range(len(before))]
        for number, (name, its) in enumerate(zip(names, before, strict=True)):
            tried("auto", space, its, seed + 100 * number, num_before, storage=storage, name=name)
        return tried("auto", space, loss, seed, num_trials, storage=storage, name="now", earlier=names)


def earlier(quick: bool) -> list[Figure]:
    """The same family: as good after 10 trials as after 30 without. Another one: no more than a tenth worse after 30."""
    early, late, before, names = (4, 6, 12, KNOWN[:1]) if quick else (10, 30, 40, KNOWN)
    found: dict[str, list[float]] = {}
    other = FUNCTIONS["levy5"], FUNCTIONS["hartmann6"]
    for name in names:
        function = FUNCTIONS[name]
        stranger = other[name == "levy5"]
        for seed in seeds_of(quick, MANY_SEEDS):
            family = [relative(function, seed, number) for number in range(3)]
            strange = [_on_the_box_of(function, stranger)]
            upside_down = [lambda config, its=family[0]: -its(config)]
            play = partial(_after_earlier, function, seed, before)
            plain = regrets_of(
                function, tried("auto", space_of(function), function.regret, seed, late + 2 * function.dims)
            )
            for key, value in {
                "family": play(family, early)[-1],
                "alone": plain[late - 1],
                "strange": play(strange, late)[-1],
                "upside down": play(upside_down, late + 2 * function.dims)[-1],
                "alone later": plain[-1],
            }.items():
                found.setdefault(key, []).append(float(value))
    against = [
        ("family", "alone", early, 1.0),
        ("strange", "alone", late, 1.1),
        ("upside down", "alone later", late, 1.1),
    ]
    figures = []
    for key, plain_key, trials, most in against:
        when = f"{trials} + 2 d" if key == "upside down" else f"{trials}"
        what = f"earlier studies, {key}: regret after {when} trials, in units of that of {plain_key}"
        figures.append(_compared(key, what, most, found, key, plain_key))
    return [*figures, *_on_shared_tasks(early, late, before, quick)]


def _after_earlier(function: Function, seed: int, num_before: int, before: Sequence[Loss], num_trials: int) -> Array:
    configs = taught(space_of(function), function.regret, before, seed, num_trials, num_before)
    return regrets_of(function, configs)


def _on_the_box_of(function: Function, stranger: Function) -> Loss:
    """Another function, with its box laid over that of this one; dimensions that are missing stay in the middle."""

    def loss(config: Config) -> float:
        shares = [(config[n] - a) / (b - a) for n, (a, b) in zip(function.names, function.bounds, strict=True)]
        shares = [*shares, *[0.5] * stranger.dims][: stranger.dims]
        x = np.array([a + share * (b - a) for share, (a, b) in zip(shares, stranger.bounds, strict=True)])
        return (stranger.value(x) - stranger.best) / stranger.median

    return loss


def _on_shared_tasks(early: int, late: int, num_before: int, quick: bool) -> list[Figure]:
    """Each data set of a learner after the others of it."""
    folder = shared.find()
    if folder is None or quick:
        return []
    figures = []
    for family, names in FAMILIES.items():
        loaded = {name: tasks.load(name, folder) for name in names}
        found: dict[str, list[float]] = {"with": [], "without": []}
        for name, task in loaded.items():
            others = [partial(_loss, other) for key, other in loaded.items() if key != name]
            for seed in seeds_of(quick):
                configs = taught(task.space, partial(_loss, task), others, seed, early, num_before)
                plain = tried("auto", task.space, partial(_loss, task), seed, late)
                for key, some in {"with": configs, "without": plain}.items():
                    found[key].append(float(task.regrets(np.array([_loss(task, config) for config in some]))[-1]))
        ratio = float(np.mean(found["with"]) / max(np.mean(found["without"]), LEAST))
        what = f"{family}, {len(names)} data sets: regret after {early} trials, in units of that after {late} without"
        figures.append(
            at_most(1.0, name=f"tasks {family}", what=what, measured=ratio, unit="times", detail=_medians(found))
        )
    return figures


def _loss(task: tasks.Task, config: Config) -> float:
    return task.evaluate(config).loss


if __name__ == "__main__":
    run(
        __doc__,
        {
            "noise": noise,
            "noisy_tasks": noisy_tasks,
            "failures": failures,
            "width": width,
            "duration": duration,
            "workers": workers,
            "beliefs": beliefs,
            "earlier": earlier,
        },
    )
