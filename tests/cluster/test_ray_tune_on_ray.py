"""Scripts for Ray Tune on a cluster: trials in processes of their own, callbacks and stop rules in the driver's."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from raytune_hpo.compat import ray_tune as tune
from raytune_hpo.compat.ray_tune.schedulers import ASHAScheduler, PopulationBasedTraining

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]


def make(trainable, space, tmp_path, *, stop=None, callbacks=None, failures=None, **config):
    run_config = tune.RunConfig(
        name="on-ray", storage_path=str(tmp_path), verbose=0, stop=stop, callbacks=callbacks, failure_config=failures
    )
    return tune.Tuner(trainable, param_space=space, tune_config=tune.TuneConfig(**config), run_config=run_config)


def test_where_a_cluster_is_connected_trials_run_there(tmp_path):
    driver = os.getpid()

    def objective(config, data):
        Path("mine").write_text("here")
        for step in range(1, 6):
            tune.report({"loss": config["x"] / step, "sum": int(data.sum()), "away": os.getpid() != driver})

    space = {"x": tune.grid_search([1, 2, 3])}
    trainable = tune.with_parameters(objective, data=np.arange(100_000))
    results = make(trainable, space, tmp_path, metric="loss", mode="min", scheduler=ASHAScheduler(max_t=4)).fit()
    assert results.num_errors == 0 and len(results) == 3
    assert all(r.metrics["away"] and r.metrics["sum"] == 4999950000 for r in results)
    assert all((Path(r.path) / "mine").read_text() == "here" for r in results)
    assert results.get_best_result().metrics["training_iteration"] == 4


@pytest.mark.slow
def test_callbacks_and_stoppers_are_called_in_the_driver(tmp_path):
    heard = []

    class Hears(tune.Callback):
        def on_trial_result(self, iteration, trials, trial, result, **info):
            heard.append((os.getpid(), trial.trial_id, result["training_iteration"]))
            result["added"] = len(trials)

        def on_trial_error(self, iteration, trials, trial, **info):
            heard.append(("error", trial.trial_id))

    def endless(config):
        step = 0
        while True:
            step += 1
            if config["x"] == 2 and step == 3:
                raise RuntimeError("at three")
            tune.report({"loss": step})

    tuner = make(endless, {"x": tune.grid_search([1, 2])}, tmp_path, callbacks=[Hears()],
                 stop=lambda trial_id, result: result["loss"] >= 5)  # fmt: skip
    results = tuner.fit()
    assert [r.metrics["loss"] for r in results] == [5, 2]
    assert isinstance(results[1].error, RuntimeError)
    assert {entry[0] for entry in heard} == {os.getpid(), "error"}
    assert all(r.metrics["added"] >= 1 for r in results)


@pytest.mark.slow
def test_a_population_of_objects_trains_on_the_cluster(tmp_path):
    class Trains(tune.Trainable):
        def setup(self, config):
            self.value = 0.0

        def step(self):
            self.value += 1 - abs(self.config["rate"] - 0.5)
            return {"score": self.value}

        def save_checkpoint(self, folder):
            (Path(folder) / "value").write_text(repr(self.value))

        def load_checkpoint(self, folder):
            self.value = float((Path(folder) / "value").read_text())

    mutations = {"rate": tune.uniform(0, 1)}
    pbt = PopulationBasedTraining("training_iteration", perturbation_interval=2, hyperparam_mutations=mutations)
    results = make(Trains, {"rate": tune.uniform(0, 1)}, tmp_path, metric="score", mode="max", num_samples=3,
                   scheduler=pbt, stop={"training_iteration": 6}).fit()  # fmt: skip
    assert len(results) == 3 and results.num_errors == 0
    assert all(list(r.metrics_dataframe["training_iteration"]) == [1, 2, 3, 4, 5, 6] for r in results)


@pytest.mark.slow
def test_a_trial_that_takes_its_worker_down_is_an_error(tmp_path):
    def deadly(config):
        tune.report({"loss": config["x"]})
        if config["x"] == 1:
            os._exit(7)

    results = make(deadly, {"x": tune.grid_search([0, 1])}, tmp_path).fit()
    assert results.num_errors == 1 and results.num_terminated == 1
    assert "worker" in str(results[1].error)
