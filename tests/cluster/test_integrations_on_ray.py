"""Neighbours on a real cluster: experiments of Ray Tune with our samplers, and callbacks beside a study."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cluster_support import SPACE, by_value, slow
from ray import tune
from ray.tune.search import ConcurrencyLimiter

import raytune_hpo as hpo
from raytune_hpo.facts import SessionOpened
from raytune_hpo.integrations.ray_tune import Searcher
from raytune_hpo.journal import open_storage

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("cluster")]
SETTINGS = {"sampler": "random", "progress": False}
BRANCHES = {
    "model": tune.choice([{"kind": "svm", "C": tune.uniform(0, 1)}, {"kind": "forest", "depth": tune.randint(2, 9)}]),
    "lr": tune.uniform(0, 1),
    "steps": 3,
}


@by_value
def trainable(config: dict) -> None:
    for step in range(1, config["steps"] + 1):
        tune.report({"eval": {"loss": (config["lr"] - 0.3) ** 2 + 1 / step}})


@pytest.fixture
def experiment(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")

    def run(search: Any, space: Any = None, function: Callable = trainable, **settings: Any) -> Any:
        settings = {"metric": "eval/loss", "mode": "min", "num_samples": 6, **settings}
        tuner = tune.Tuner(
            function,
            param_space=space or {},
            tune_config=tune.TuneConfig(search_alg=search, reuse_actors=True, **settings),
            run_config=tune.RunConfig(name=name, storage_path=str(tmp_path), verbose=0),
        )
        return tuner.fit()

    return run


def test_ray_tunes_own_space_in_one_line(experiment: Callable) -> None:
    found = experiment(Searcher(sampler="tpe", seed=1), BRANCHES, max_concurrent_trials=2)
    assert len(found) == 6 and not found.errors
    for result in found:
        assert result.config["steps"] == 3 and {"C", "depth"} & result.config["model"].keys()


def test_a_space_of_ours_with_early_stopping_a_limiter_and_the_end_of_a_grid(experiment: Callable) -> None:
    grid = {"lr": hpo.Float(0, 1, step=0.25), "steps": 3}
    search = ConcurrencyLimiter(Searcher(grid, sampler="grid", metric="eval/loss", mode="min"), max_concurrent=1)
    scheduler = tune.schedulers.ASHAScheduler(time_attr="training_iteration", max_t=3, grace_period=1)
    found = experiment(search, num_samples=50, scheduler=scheduler)
    assert sorted(result.config["lr"] for result in found) == [0, 0.25, 0.5, 0.75, 1]


@by_value
def fails_at_first(config: dict) -> None:
    if not os.path.exists(config["marker"]):
        open(config["marker"], "w").close()
        raise RuntimeError("the first trial of all fails")
    tune.report({"eval": {"loss": config["lr"]}})


def test_an_experiment_is_restored_with_what_its_sampler_had_learned(
    experiment: Callable, name: str, tmp_path: Path
) -> None:
    space = {"lr": tune.uniform(0, 1), "marker": str(tmp_path / "marker")}
    found = experiment(Searcher(sampler="tpe", seed=1), space, fails_at_first, num_samples=4, max_concurrent_trials=2)
    assert len(found.errors) == 1
    restored = tune.Tuner.restore(
        str(tmp_path / name), trainable=fails_at_first, restart_errored=True, param_space=space
    )
    again = restored.fit()
    assert len(again) == 4 and not again.errors


def test_callbacks_hear_a_study_on_the_cluster_in_this_process_each_fact_once(name: str, storage: str) -> None:
    heard: list[Any] = []
    hpo.tune(slow, SPACE, num_trials=4, callbacks=[heard.append], name=name, storage=storage, **SETTINGS)
    assert heard == list(open_storage(storage).read(name))


def test_callbacks_of_a_background_run_hear_its_own_session_from_here_and_from_elsewhere(
    name: str, storage: str
) -> None:
    first = hpo.tune(slow, SPACE, num_trials=2, name=name, storage=storage, **SETTINGS)
    here: list[Any] = []
    there: list[Any] = []
    tuner = hpo.Tuner(slow, SPACE, num_trials=6, callbacks=[here.append], name=name, storage=storage, **SETTINGS)
    with tuner.start() as run, hpo.attach(name) as other:
        other.follow(there.append)
        assert run.wait(60) and other.wait(60)
    stored = list(open_storage(storage).read(name))
    newest = max(index for index, fact in enumerate(stored) if isinstance(fact, SessionOpened))
    assert len(first) == 2 and newest > 0
    assert here == there == stored[newest:]
