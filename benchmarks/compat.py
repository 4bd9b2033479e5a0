"""The cost of the compatibility layers for other tuners' scripts: CPU time per empty trial.

    python benchmarks/compat.py            # a minute or two
    python benchmarks/compat.py --quick    # tiny sizes: does it run?

Each round runs a random search over two parameters in this process: through a layer, through ``hpo.tune``, and through
the original library. The three are interleaved, so that the machine is the same for all. Ray Tune itself is left out,
because it starts processes. Its layer is compared with ``hpo.tune`` with a journal in a file, as the layer has, and
with writing the layer's files alone: creating a file takes from 5 microseconds in memory to 500 on a disk where free
inodes are far to seek. TMPDIR says where the files are created.
"""

from __future__ import annotations

import functools
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

from common import Figure, run

import raytune_hpo as hpo

Search = Callable[[int], None]  # runs so many trials
SIZES = {True: (20, 1), False: (500, 5)}  # trials, and rounds of them


def milliseconds(search: Search, num_trials: int) -> float:
    """Of the processor, for each trial, all threads together."""
    begin = time.process_time()
    search(num_trials)
    return (time.process_time() - begin) / num_trials * 1000


def compared(name: str, what: str, quick: bool, **searches: Search) -> list[Figure]:
    """The medians of several rounds; the first of the searches is the one that is told."""
    num_trials, rounds = SIZES[quick]
    for search in searches.values():
        search(10)  # imports, and whatever is made once
    taken: dict[str, list[float]] = {key: [] for key in searches}
    for _ in range(rounds):
        for key, search in searches.items():
            taken[key].append(milliseconds(search, num_trials))
    medians = {key: round(statistics.median(values), 4) for key, values in taken.items()}
    detail = {"trials": num_trials, "rounds": rounds, "ms_a_trial": medians}
    first = next(iter(searches))
    return [Figure(name=name, what=what, measured=medians[first], unit="ms of CPU a trial", detail=detail)]


def ours(num_trials: int) -> None:
    """The same search without a layer."""
    space = {"x": hpo.uniform(0.0, 1.0), "y": hpo.uniform(0.0, 1.0)}
    hpo.tune(
        lambda config: config["x"] + config["y"], space, metric="loss", num_trials=num_trials, sampler="random", seed=0,
        runtime="local", max_concurrent=1, storage="memory", progress=False,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ Optuna


def by_optuna(optuna: Any, num_trials: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_float("y", 0, 1), n_trials=num_trials)


def by_optuna_reporting(optuna: Any, num_trials: int) -> None:
    """Twenty reports a trial, each of which is judged."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), pruner=optuna.pruners.NopPruner())

    def objective(trial: Any) -> float:
        x = trial.suggest_float("x", 0, 1)
        for step in range(20):
            trial.report(x / (step + 1), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(x)

    study.optimize(objective, n_trials=num_trials)


def measure_optuna(quick: bool) -> list[Figure]:
    import optuna as theirs

    from raytune_hpo.compat import optuna as layer

    of_layer, of_theirs = functools.partial(by_optuna, layer), functools.partial(by_optuna, theirs)
    return compared("optuna", "Optuna's names", quick, layer=of_layer, hpo=ours, original=of_theirs)


def measure_optuna_reporting(quick: bool) -> list[Figure]:
    import optuna as theirs

    from raytune_hpo.compat import optuna as layer

    of_layer, of_theirs = (functools.partial(by_optuna_reporting, each) for each in (layer, theirs))
    return compared("optuna_reporting", "Optuna's names, twenty reports", quick, layer=of_layer, original=of_theirs)


# ------------------------------------------------------------------------------------------------ hyperopt


def by_hyperopt(hyperopt: Any, num_trials: int) -> None:
    import numpy as np

    space = {"x": hyperopt.hp.uniform("x", 0, 1), "y": hyperopt.hp.uniform("y", 0, 1)}
    hyperopt.fmin(
        lambda config: config["x"] + config["y"], space, algo=hyperopt.rand.suggest, max_evals=num_trials,
        rstate=np.random.default_rng(0), show_progressbar=False, verbose=False,
    )  # fmt: skip


def measure_hyperopt(quick: bool) -> list[Figure]:
    import hyperopt as theirs

    from raytune_hpo.compat import hyperopt as layer

    of_layer, of_theirs = functools.partial(by_hyperopt, layer), functools.partial(by_hyperopt, theirs)
    return compared("hyperopt", "hyperopt's names", quick, layer=of_layer, hpo=ours, original=of_theirs)


# ------------------------------------------------------------------------------------------------ Ray Tune


def ours_kept(folder: str, num_trials: int) -> None:
    """The same search without a layer, with one report a trial and its journal in a file."""

    def objective(config: dict[str, Any]) -> None:
        hpo.report(loss=config["x"] + config["y"])

    space = {"x": hpo.uniform(0.0, 1.0), "y": hpo.uniform(0.0, 1.0)}
    storage = f"sqlite:///{tempfile.mkdtemp(dir=folder)}/study.db"
    hpo.tune(
        objective, space, metric="loss", num_trials=num_trials, sampler="random", seed=0,
        runtime="local", max_concurrent=1, storage=storage, progress=False,
    )  # fmt: skip


def by_ray_tune(folder: str, num_trials: int) -> None:
    """One result a trial, with its folder and its files."""
    from raytune_hpo.compat import ray_tune as tune

    def objective(config: dict[str, Any]) -> None:
        tune.report({"loss": config["x"] + config["y"]})

    tuner = tune.Tuner(
        objective,
        param_space={"x": tune.uniform(0.0, 1.0), "y": tune.uniform(0.0, 1.0)},
        tune_config=tune.TuneConfig(
            metric="loss", mode="min", num_samples=num_trials, max_concurrent_trials=1, seed=0, runtime="local"
        ),
        run_config=tune.RunConfig(storage_path=tempfile.mkdtemp(dir=folder), verbose=0),
    )
    assert len(tuner.fit()) == num_trials


def files_alone(folder: str, num_trials: int) -> None:
    """What the disk takes for a folder and four small files a trial, whoever makes them."""
    root = tempfile.mkdtemp(dir=folder)
    for number in range(num_trials):
        trial = f"{root}/objective_{number:05d}"
        os.mkdir(trial)
        for name in ("params.json", "params.pkl", "result.json", "progress.csv"):
            with open(f"{trial}/{name}", "wb", buffering=0) as file:
                file.write(b"x" * 500)


def measure_ray_tune(quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        layer, kept, files = (functools.partial(each, folder) for each in (by_ray_tune, ours_kept, files_alone))
        return compared("ray_tune", "Ray Tune's names", quick, layer=layer, hpo=kept, in_memory=ours, files=files)


MEASURES = {
    "optuna": measure_optuna,
    "optuna_reporting": measure_optuna_reporting,
    "hyperopt": measure_hyperopt,
    "ray_tune": measure_ray_tune,
}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    run(__doc__, MEASURES)
