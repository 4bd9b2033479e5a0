"""The same seed gives the same study twice, through each of the layers."""

from __future__ import annotations

import numpy as np
import pytest

from raytune_hpo.compat import hyperopt, optuna
from raytune_hpo.compat import ray_tune as tune


def by_optuna(sampler):
    def objective(trial):
        x = trial.suggest_float("x", -2, 2)
        if trial.suggest_categorical("kind", ["line", "parabola"]) == "line":
            return abs(x)
        return x**2 + trial.suggest_int("shift", 0, 3)

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=15)
    return [(trial.params, trial.value) for trial in study.trials]


@pytest.mark.parametrize("kind", ["TPESampler", "RandomSampler", "CmaEsSampler", "NSGAIISampler", "QMCSampler"])
def test_optuna(kind):
    make = getattr(optuna.samplers, kind)
    first, again, other = by_optuna(make(seed=3)), by_optuna(make(seed=3)), by_optuna(make(seed=4))
    assert first == again
    assert first != other or kind == "QMCSampler"  # which is the same sequence for every seed unless it is scrambled


def by_hyperopt(algo, seed):
    hp, trials = hyperopt.hp, hyperopt.Trials()
    space = {"x": hp.uniform("x", -2, 2), "k": hp.choice("k", [1, {"y": hp.quniform("y", 0, 9, 3)}])}
    hyperopt.fmin(
        lambda config: config["x"] ** 2, space, algo=algo, max_evals=15, trials=trials,
        rstate=np.random.default_rng(seed), show_progressbar=False, verbose=False,
    )  # fmt: skip
    return trials.vals


@pytest.mark.parametrize("algo", [hyperopt.tpe, hyperopt.rand, hyperopt.auto], ids=["tpe", "rand", "auto"])
def test_hyperopt(algo):
    assert by_hyperopt(algo.suggest, 3) == by_hyperopt(algo.suggest, 3) != by_hyperopt(algo.suggest, 4)


def by_ray_tune(tmp_path, **settings):
    def objective(config):
        tune.report({"loss": config["x"] ** 2 + config["k"]})

    results = tune.Tuner(
        objective,
        param_space={"x": tune.uniform(-2, 2), "k": tune.choice([1, 2, 3])},
        tune_config=tune.TuneConfig(
            metric="loss", mode="min", num_samples=12, max_concurrent_trials=1, runtime="local", **settings
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
    ).fit()
    return [result.config for result in results]


@pytest.mark.parametrize("search_alg", [None, "tpe"])
def test_ray_tune_by_its_own_setting(tmp_path, search_alg):
    first, again, other = (by_ray_tune(tmp_path, search_alg=search_alg, seed=seed) for seed in (3, 3, 4))
    assert first == again != other


def test_ray_tune_by_numpys_global_generator(tmp_path):
    found = []
    before = np.random.get_state()
    try:
        for seed in (3, 3, 4):
            np.random.seed(seed)
            found.append(by_ray_tune(tmp_path))
    finally:
        np.random.set_state(before)
    assert found[0] == found[1] != found[2]
