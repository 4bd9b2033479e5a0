"""Scripts for Ray Tune with functions: reports, spaces, stop rules, results, folders."""

from __future__ import annotations

import json
import os
import pickle
import random
import threading
from pathlib import Path

import cloudpickle
import numpy as np
import pytest

from raytune_hpo.compat import ray_tune as tune
from raytune_hpo.compat.ray_tune import air, train
from raytune_hpo.compat.ray_tune.air import session
from raytune_hpo.compat.ray_tune.listener import Nobody
from raytune_hpo.compat.ray_tune.search import BasicVariantGenerator, ConcurrencyLimiter
from raytune_hpo.compat.ray_tune.stopper import (
    CombinedStopper,
    ExperimentPlateauStopper,
    FunctionStopper,
    MaximumIterationStopper,
    TrialPlateauStopper,
)
from raytune_hpo.compat.ray_tune.trial_folder import TrialRecord
from raytune_hpo.compat.ray_tune.trial_runner import TrialRunner
from raytune_hpo.errors import SpaceError


@pytest.fixture(autouse=True)
def _results(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AIR_LOCAL_CACHE_DIR", str(tmp_path / "ray_results"))


def run(trainable, space=None, *, stop=None, failures=None, name=None, callbacks=None, checkpoints=None, **config):
    run_config = tune.RunConfig(
        name=name, verbose=0, stop=stop, failure_config=failures, callbacks=callbacks, checkpoint_config=checkpoints
    )
    tuner = tune.Tuner(trainable, param_space=space, tune_config=tune.TuneConfig(**config), run_config=run_config)
    return tuner.fit()


def descent(config):
    loss = 1.0
    for _ in range(4):
        loss *= 1 - config["lr"]
        tune.report({"loss": loss})


# ------------------------------------------------------------------------------------------------ reports

SPELLINGS = {
    "keywords": lambda loss: tune.report(loss=loss),
    "session": lambda loss: session.report({"loss": loss}),
    "train": lambda loss: train.report({"loss": loss}),
    "tune": lambda loss: tune.report({"loss": loss}),
    "metrics": lambda loss: tune.report(metrics={"loss": loss}, checkpoint=None),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_all_spellings_of_report_say_the_same(spelling):
    def objective(config):
        for step in range(3):
            SPELLINGS[spelling](config["x"] / (step + 1))

    (result,) = run(objective, {"x": 6.0})
    assert result.metrics["loss"] == 2.0
    assert result.metrics["training_iteration"] == 3
    assert list(result.metrics_dataframe["loss"]) == [6.0, 3.0, 2.0]


def test_a_returned_number_is_the_anonymous_metric():
    results = run(lambda config: config["x"] ** 2, {"x": tune.grid_search([1, 2, 3])}, mode="min")
    assert [r.metrics["_metric"] for r in results] == [1, 4, 9]
    assert results.get_best_result("_metric", "min").config == {"x": 1}


def test_what_is_yielded_is_reported_and_what_is_returned_is_one_more_result():
    def objective(config):
        yield {"loss": 3.0}
        yield {"loss": 2.0}
        return {"loss": 1.0, "extra": "word"}

    (result,) = run(objective)
    assert result.metrics["loss"] == 1.0 and result.metrics["extra"] == "word"
    assert result.metrics["training_iteration"] == 3


def test_every_result_is_completed():
    (result,) = run(descent, {"lr": 0.5})
    names = (
        "training_iteration time_total_s time_this_iter_s timestamp date done trial_id hostname node_ip pid config "
        "iterations_since_restore experiment_tag"
    )
    assert set(names.split()) <= set(result.metrics)
    assert result.metrics["done"] is True and result.metrics["config"] == {"lr": 0.5}
    assert result.metrics["pid"] == os.getpid()


def test_threads_of_a_trial_report_for_it():
    def objective(config):
        thread = threading.Thread(target=lambda: tune.report({"loss": config["x"]}))
        thread.start()
        thread.join()

    results = run(objective, {"x": tune.grid_search([1, 2])})
    assert [r.metrics["loss"] for r in results] == [1, 2]


def test_outside_a_trial_nothing_is_reported(caplog):
    tune.report({"loss": 1})
    assert "outside a trial" in caplog.text
    assert tune.get_checkpoint() is None and tune.get_context().get_trial_id() is None


# ------------------------------------------------------------------------------------------------ spaces


def test_num_samples_multiplies_the_grid_and_the_rest_is_drawn_anew():
    space = {
        "a": tune.grid_search([1, 2]),
        "deep": {"b": tune.grid_search(["x", "y", "z"])},
        "lr": tune.loguniform(1e-4, 1e-1),
        "constant": {"of": [1, 2]},
    }
    results = run(lambda config: {"loss": 1}, space, num_samples=2, seed=1)
    configs = [r.config for r in results]
    assert len(results) == 12
    assert {(c["a"], c["deep"]["b"]) for c in configs} == {(a, b) for a in (1, 2) for b in "xyz"}
    assert len({c["lr"] for c in configs}) == 12
    assert all(c["constant"] == {"of": [1, 2]} for c in configs)


def test_grids_in_a_list_are_parameters_of_their_own():
    results = run(lambda config: {"loss": 1}, {"pair": [tune.grid_search([1, 2]), tune.grid_search([3, 4])]})
    assert sorted(r.config["pair"] for r in results) == [[1, 3], [1, 4], [2, 3], [2, 4]]


def test_constants_of_every_kind_and_both_styles_of_sample_from():
    marker = {1, 2}
    space = {
        "x": tune.uniform(0, 1),
        "new": tune.sample_from(lambda config: 2 * config["x"]),
        "old": tune.sample_from(lambda spec: 3 * spec.config.x),
        "none": tune.sample_from(lambda: "free"),
        "function": len,
        "object": marker,
    }

    def objective(config):
        return {"loss": 1, "same": config["object"] == marker, "length": config["function"]("four")}

    (result,) = run(objective, space, seed=3)
    config = result.config
    assert config["new"] == 2 * config["x"] and config["old"] == 3 * config["x"] and config["none"] == "free"
    assert result.metrics["same"] and result.metrics["length"] == 4


class Epochs:
    """A model that counts what it has seen."""

    def __init__(self):
        self.seen = []


@pytest.mark.parametrize("way", ["constant", "nested", "parameter", "class"])
def test_no_trial_changes_what_another_or_the_script_has(way):
    model, data, lock = Epochs(), np.arange(3), threading.Lock()
    made = {"model": model, "data": data, "lock": lock}

    def fit(given):
        given["model"].seen.append(1)
        is_shared = np.shares_memory(given["data"], data) and given["lock"] is lock
        return {"seen": len(given["model"].seen), "is_shared": is_shared and not given["data"].flags.writeable}

    class Fitting(tune.Trainable):
        def setup(self, config, **given):
            self.given = given

        def step(self):
            return {**fit(self.given), "done": True}

    space = {"x": tune.grid_search([1, 2, 3])}
    trainable, more = {
        "constant": (fit, made),
        "nested": (lambda config: fit(config["made"]), {"made": made}),
        "parameter": (tune.with_parameters(lambda config, **given: fit(given), **made), {}),
        "class": (tune.with_parameters(Fitting, **made), {}),
    }[way]
    results = run(trainable, {**space, **more})
    assert [(r.metrics["seen"], r.metrics["is_shared"]) for r in results] == [(1, True)] * 3
    assert model.seen == [] and data.flags.writeable


def test_a_configuration_may_be_used_up():
    is_first = [True]

    def objective(config):
        x = config.pop("x") + config["list"].pop()
        if is_first and is_first.pop():
            raise OSError("once")
        tune.report({"loss": x})

    class Records(tune.Callback):
        def on_trial_result(self, iteration, trials, trial, result, **info):
            result["config"].clear()

    space = {"x": tune.grid_search([1, 2]), "list": [5]}
    failures = tune.FailureConfig(max_failures=1)
    results = run(objective, space, failures=failures, callbacks=[Records()], metric="loss", mode="min")
    assert [r.metrics["loss"] for r in results] == [6, 7]
    assert results.get_best_result().config == {"x": 1, "list": [5]}


def test_without_a_space_there_are_as_many_trials_as_samples():
    results = run(lambda config: {"loss": len(config)}, num_samples=3)
    assert [(r.config, r.metrics["loss"]) for r in results] == [({}, 0)] * 3


def test_numpys_global_seed_repeats_a_search():
    def configs():
        np.random.seed(7)
        return [r.config for r in run(descent, {"lr": tune.uniform(0, 1)}, num_samples=3)]

    assert configs() == configs()
    assert configs() != [r.config for r in run(descent, {"lr": tune.uniform(0, 1)}, num_samples=3)]


@pytest.mark.parametrize(
    ("points", "num_samples", "grid"),
    [
        ([{"x": 0.25, "y": 0}], 1, [0]),
        ([{"x": 0.25, "y": 0}], 2, [0, 0, 1, 2]),
        ([{"x": 0.25}], 1, [0, 1, 2]),
        ([{"x": 0.25}], 2, [0, 1, 2, 0, 1, 2]),
        ([{"x": 0.25, "y": 0}, {"x": 0.5}], 1, [0, 0, 1, 2]),
    ],
)
def test_a_point_takes_the_place_of_a_sample_and_leaves_the_grid_what_it_leaves_out(points, num_samples, grid):
    space = {"x": tune.uniform(0, 1), "y": tune.grid_search([0, 1, 2])}
    search = BasicVariantGenerator(points_to_evaluate=points)
    results = run(lambda config: {"loss": 1}, space, search_alg=search, num_samples=num_samples)
    assert [r.config["y"] for r in results] == grid
    assert results[0].config["x"] == 0.25


def test_scripts_read_and_write_the_axis_of_a_grid():
    axis = tune.grid_search((1, 2))
    assert axis["grid_search"] == [1, 2]
    results = run(lambda config: {"loss": 1}, {"a": axis, "b": {"c": {"grid_search": [3, 4]}}, "d": [axis]})
    assert len(results) == 8


def test_a_grid_with_a_value_twice_says_how_to_repeat_it():
    with pytest.raises(SpaceError, match="in a script for Ray Tune, num_samples"):
        tune.Tuner(descent, param_space={"lr": {"grid_search": [1, 1, 2]}}).fit()


def test_points_come_first_and_what_they_leave_out_is_drawn():
    search = tune.search.BasicVariantGenerator(points_to_evaluate=[{"lr": 0.25}])
    first, _ = run(descent, {"lr": tune.uniform(0, 1), "n": tune.randint(0, 9)}, num_samples=2, search_alg=search)
    assert first.config["lr"] == 0.25 and 0 <= first.config["n"] < 9


# ------------------------------------------------------------------------------------------------ stop rules


def endless(config):
    step = 0
    while True:
        step += 1
        tune.report({"loss": config.get("x", 1) / step, "nested": {"count": step}})


@pytest.mark.parametrize(
    "stop",
    [
        {"training_iteration": 8},
        {"loss": 99, "nested/count": 8},
        lambda trial_id, result: result["training_iteration"] >= 8,
        MaximumIterationStopper(8),
        CombinedStopper(MaximumIterationStopper(20), MaximumIterationStopper(8)),
        TrialPlateauStopper("loss", std=0.011, num_results=2),
    ],
    ids=["dict", "nested", "function", "stopper", "combined", "plateau"],
)
def test_an_endless_function_is_stopped_at_the_report_that_reaches_it(stop):
    (result,) = run(endless, stop=stop)
    assert len(result.metrics_dataframe) == 8 and result.metrics["done"] is True
    assert result.error is None


@pytest.mark.parametrize("stop", [3, "loss", MaximumIterationStopper], ids=["number", "name", "class"])
def test_what_is_no_stop_rule_is_refused_where_it_is_given(stop):
    with pytest.raises(ValueError, match="stop is a dict such as"):
        tune.RunConfig(stop=stop)


def test_a_stop_rule_that_never_applies_is_warned_of(caplog):
    run(descent, {"lr": 0.5}, stop={"accuracy": 0.9, "training_iteration": 99})
    assert "no result has had accuracy" in caplog.text


def test_a_function_that_says_done_is_done():
    def objective(config):
        for step in range(9):
            tune.report({"loss": step, "done": step == 2})

    (result,) = run(objective)
    assert result.metrics["training_iteration"] == 3


def test_stop_all_ends_the_experiment():
    class First(tune.Stopper):
        seen = 0

        def __call__(self, trial_id, result):
            self.seen += 1
            return False

        def stop_all(self):
            return self.seen >= 5

    results = run(endless, stop=First(), num_samples=-1)
    assert 1 <= len(results) < 50 and results.num_errors == 0
    assert sum(len(r.metrics_dataframe) for r in results) >= 5


def test_a_plateau_of_the_experiment_ends_it():
    stop = ExperimentPlateauStopper("loss", top=3, mode="min")
    results = run(lambda config: {"loss": 1.0}, stop=stop, num_samples=-1, max_concurrent_trials=1)
    assert 3 <= len(results) < 20


def test_plateaus_are_those_of_ray_tune():
    flat = ExperimentPlateauStopper("loss", top=2, patience=1)
    assert [flat("t", {"loss": loss}) for loss in (1.0, 0.5, 0.5)] == [False, False, True]
    longer = ExperimentPlateauStopper("loss", top=2, patience=2)
    assert [longer("t", {"loss": 1.0}) for _ in range(3)] == [False, False, True]
    exact = TrialPlateauStopper("loss", std=0.0, num_results=2, grace_period=1)
    assert not any(exact("t", {"loss": 1.0}) for _ in range(5))


def test_stoppers_that_cannot_work_are_refused():
    assert FunctionStopper.is_valid_function(len) and not FunctionStopper.is_valid_function(tune.Stopper)
    with pytest.raises(ValueError, match="a function of a trial's id and its result, got 3"):
        FunctionStopper(3)
    with pytest.raises(ValueError, match="a number of results, got '5'"):
        MaximumIterationStopper("5")


def test_a_time_budget_ends_the_experiment():
    results = run(endless, num_samples=-1, time_budget_s=0.5)
    assert results.num_errors == 0 and results.num_terminated == len(results) > 0


# ------------------------------------------------------------------------------------------------ failures


def fails_at_three(config):
    for step in range(1, 5):
        if step == 3 and config["x"] == 1:
            raise ZeroDivisionError("at three")
        tune.report({"loss": config["x"] / step})


def test_exceptions_stay_in_their_results():
    results = run(fails_at_three, {"x": tune.grid_search([0, 1, 2])}, metric="loss", mode="min")
    assert results.num_errors == 1 and results.num_terminated == 2
    assert "error='ZeroDivisionError'" in repr(results)
    assert isinstance(results.errors[0], ZeroDivisionError) and isinstance(results[1].error, ZeroDivisionError)
    assert results[1].metrics["training_iteration"] == 2
    assert results.get_best_result().config == {"x": 0}
    assert "at three" in (Path(results[1].path) / "error.txt").read_text()


def test_a_trial_that_fails_before_it_reports_has_its_configuration_alone():
    def broken(config):
        raise RuntimeError("no")

    (result,) = run(broken, {"x": 1})
    assert result.metrics == {"config": {"x": 1}} and "training_iteration" not in result.metrics


def test_failed_trials_go_on_from_their_last_checkpoint(tmp_path):
    begun = []

    def objective(config):
        saved = tune.get_checkpoint()
        start = 0 if saved is None else saved.to_dict()["step"]
        begun.append(start)
        for step in range(start + 1, 6):
            if step == 4 and len(begun) < 3:
                raise RuntimeError("again")
            tune.report({"loss": 1 / step}, checkpoint=tune.Checkpoint.from_dict({"step": step}))

    (result,) = run(objective, failures=tune.FailureConfig(max_failures=2))
    assert begun == [0, 3, 3]
    assert result.error is None and result.metrics["training_iteration"] == 5
    assert result.checkpoint.to_dict() == {"step": 5}


def test_fail_fast_ends_the_experiment():
    results = run(fails_at_three, {"x": tune.grid_search(list(range(1, 42)))}, failures=tune.FailureConfig(fail_fast=True),
                  max_concurrent_trials=1)  # fmt: skip
    assert results.num_errors == 1 and len(results) < 41


def test_fail_fast_can_raise():
    with pytest.raises(ZeroDivisionError, match="at three"):
        run(fails_at_three, {"x": 1}, failures=tune.FailureConfig(fail_fast="raise"))


# ------------------------------------------------------------------------------------------------ results


def test_the_best_is_by_the_last_result_or_by_another_scope():
    curves = {"early": [0.0, 5.0], "late": [4.0, 1.0], "broken": [float("nan"), float("nan")]}

    def objective(config):
        for loss in curves[config["curve"]]:
            tune.report({"loss": loss})

    results = run(objective, {"curve": tune.grid_search(list(curves))}, metric="loss", mode="min")
    assert results.num_errors == 0
    assert results.get_best_result().config["curve"] == "late"
    assert results.get_best_result(scope="all").config["curve"] == "early"
    assert results.get_best_result("loss", "max").config["curve"] == "early"
    assert results.get_best_result(scope="avg").config["curve"] == "early"
    with pytest.raises(ValueError, match="scope is one of"):
        results.get_best_result(scope="first")


def test_without_a_metric_the_best_needs_one_but_for_a_single_trial():
    (single,) = results = run(descent, {"lr": 0.1})
    assert results.get_best_result() is single
    several = run(descent, {"lr": tune.grid_search([0.1, 0.5])})
    with pytest.raises(ValueError, match="metric"):
        several.get_best_result()
    assert several.get_best_result("loss", "min").config["lr"] == 0.5
    with pytest.raises(RuntimeError, match="no trial has a value"):
        several.get_best_result("nothing", "min")


def test_the_table_of_results():
    results = run(descent, {"lr": tune.grid_search([0.1, 0.5])}, metric="loss", mode="min")
    table = results.get_dataframe()
    assert list(table["config/lr"]) == [0.1, 0.5] and list(table["training_iteration"]) == [4, 4]
    best = results.get_dataframe(filter_metric="loss", filter_mode="max")
    assert list(best["training_iteration"]) == [1, 1]
    assert len(results) == 2 and results[0].config == next(iter(results)).config
    assert results.study.best_trial.config == {"lr": 0.5}


# ------------------------------------------------------------------------------------------------ folders


def test_each_trial_works_in_its_own_folder_and_leaves_its_records_there(tmp_path):
    here = os.getcwd()

    def objective(config):
        Path("mine.txt").write_text(str(config["x"]))
        tune.report({"loss": 1.0, "array": np.arange(2), "where": os.getcwd()})

    results = run(objective, {"x": tune.grid_search([1, 2, 3])}, name="folders")
    assert os.getcwd() == here
    for result in results:
        folder = Path(result.path)
        assert folder.parent == tmp_path / "ray_results" / "folders" == Path(results.experiment_path)
        assert (folder / "mine.txt").read_text() == str(result.config["x"])
        assert result.metrics["where"] == str(folder)
        assert json.loads((folder / "params.json").read_text()) == result.config
        assert pickle.loads((folder / "params.pkl").read_bytes()) == result.config
        assert json.loads((folder / "result.json").read_text())["array"] == [0, 1]
        assert "training_iteration" in (folder / "progress.csv").read_text().splitlines()[0]
        assert tune.Result.from_path(folder).metrics["loss"] == 1.0


def test_params_are_pickled_as_far_as_they_can_be(tmp_path):
    for name, config in (("whole", {"a": (1, 2), "f": len}), ("in part", {"a": (1, 2), "lock": threading.Lock()})):
        TrialRecord(tmp_path / name, config).close()
    assert pickle.loads((tmp_path / "whole" / "params.pkl").read_bytes()) == {"a": (1, 2), "f": len}
    assert pickle.loads((tmp_path / "in part" / "params.pkl").read_bytes())["a"] == [1, 2]


def test_the_script_may_keep_its_own_working_folder(monkeypatch):
    monkeypatch.setenv("RAY_CHDIR_TO_TRIAL_DIR", "0")
    (result,) = run(lambda config: {"loss": 1, "where": os.getcwd()})
    assert result.metrics["where"] == os.getcwd()


def test_a_trial_finds_the_folder_that_its_script_was_started_in(monkeypatch):
    monkeypatch.delenv("TUNE_ORIG_WORKING_DIR", raising=False)
    (result,) = run(lambda config: {"from": os.environ["TUNE_ORIG_WORKING_DIR"]})
    assert result.metrics["from"] == os.getcwd()


def test_names_are_the_scripts_to_make():
    made = run(descent, {"lr": 0.5}, trial_name_creator=lambda trial: f"t-{trial.trial_id}",
               trial_dirname_creator=lambda trial: f"d-{trial.trainable_name}")  # fmt: skip
    assert Path(made[0].path).name == "d-descent"


@pytest.mark.parametrize("names", ["trial_name_creator", "trial_dirname_creator"])
def test_trials_of_one_name_have_a_folder_each(names):
    for _ in range(2):  # also those of a second experiment in the same folder
        results = run(descent, {"lr": tune.grid_search([0.1, 0.5])}, name="again", **{names: lambda trial: "same"})
        assert len({result.path for result in results}) == 2
        assert [len(result.metrics_dataframe) for result in results] == [4, 4]
        assert all(Path(result.path).name.startswith("same") for result in results)


def test_a_trial_that_is_restarted_keeps_the_folder_that_its_script_named():
    is_mended = []

    def fragile(config):
        tune.report({"loss": config["x"]})
        if config["x"] == 2 and not is_mended:
            raise RuntimeError("once")

    first = run(fragile, {"x": tune.grid_search([1, 2])}, name="r", trial_dirname_creator=lambda trial: "same")
    is_mended.append(True)
    again = tune.Tuner.restore(first.experiment_path, fragile, restart_errored=True).fit()
    assert [result.path for result in again] == [result.path for result in first]
    assert [len(result.metrics_dataframe) for result in again] == [1, 1] and again.num_errors == 0


@pytest.mark.parametrize("name", ["", "..", "a/b", "/elsewhere"])
def test_a_trials_folder_lies_in_that_of_its_experiment(name):
    with pytest.raises(ValueError, match="without slashes"):
        run(descent, {"lr": 0.5}, trial_dirname_creator=lambda trial: name)


def test_a_limit_is_for_a_searcher():
    with pytest.raises(ValueError, match="limits a searcher of raytune_hpo.compat.ray_tune.search, got 'optuna'"):
        ConcurrencyLimiter("optuna", max_concurrent=2)


@pytest.mark.parametrize("callbacks", [3, tune.Callback(), [3], [tune.Callback]])
def test_what_is_no_list_of_callbacks_is_refused(callbacks):
    with pytest.raises(ValueError, match="callbacks is a list of objects"):
        tune.RunConfig(callbacks=callbacks)


def test_the_context_names_the_trial():
    def objective(config):
        context = tune.get_context()
        tune.report({
            "id": context.get_trial_id(),
            "dir": context.get_trial_dir(),
            "name": train.get_context().get_trial_name(),
            "cpus": context.get_trial_resources().head_cpus,
            "experiment": session.get_experiment_name(),
        })  # fmt: skip

    (result,) = run(tune.with_resources(objective, {"cpu": 2}), name="named")
    metrics = result.metrics
    assert metrics["id"] == metrics["trial_id"] and metrics["dir"] == result.path
    assert metrics["name"] == f"objective_{metrics['id']}" and metrics["cpus"] == 2 and metrics["experiment"] == "named"


def test_the_same_name_again_begins_another_experiment_beside_it():
    first = run(descent, {"lr": 0.5}, name="again")
    second = run(lambda config: {"other": 1}, {"y": tune.grid_search([1, 2])}, name="again")
    assert len(first) == 1 and len(second) == 2
    assert first[0].metrics["trial_id"] != second[0].metrics["trial_id"]


def test_parameters_and_resources_nest_in_either_order():
    data = np.arange(5)

    def objective(config, data):
        tune.report({"sum": int(data.sum())})

    for trainable in (
        tune.with_resources(tune.with_parameters(objective, data=data), {"cpu": 1}),
        tune.with_parameters(tune.with_resources(objective, lambda config: {"cpu": 1}), data=data),
        tune.with_resources(
            tune.with_parameters(objective, data=data), tune.PlacementGroupFactory([{"CPU": 1}, {"CPU": 1}])
        ),
    ):
        assert run(trainable)[0].metrics["sum"] == 10


@pytest.mark.parametrize("function", [lambda: 1, lambda a, b: 1, lambda config, *, size: 1])
def test_a_function_of_other_arguments_is_refused_before_anything_runs(function):
    with pytest.raises(tune.TuneError, match="a function is called with a configuration"):
        tune.Tuner(function)
    with pytest.raises(tune.TuneError, match="unexpected keyword argument 'data'"):
        tune.Tuner(tune.with_parameters(descent, data=1))


def test_parameters_are_not_sent_with_the_code():
    trainable = tune.with_parameters(lambda config, data: 1, data=np.zeros(10**6))
    runner = TrialRunner(None, trainable, Nobody(), in_thread=False)
    assert len(cloudpickle.dumps(runner)) < 10**5


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        (7, "a dict such as .*, got 7"),
        ({"cpu": "two"}, r"resources\['cpu'\] is a number of at least 0, got 'two'"),
        ({"GPU": -1}, r"resources\['gpu'\] is a number of at least 0, got -1"),
        ({"cpus": 2}, "did you mean 'cpu'"),
    ],
)
def test_wrong_resources_are_refused_where_they_are_given(resources, words):
    with pytest.raises(ValueError, match=words):
        tune.with_resources(descent, resources)
    if isinstance(resources, dict):
        with pytest.raises(ValueError, match=words):
            tune.PlacementGroupFactory([resources])


def test_amounts_of_resources_may_be_of_numpys_types():
    (bundle,) = tune.PlacementGroupFactory([{"CPU": np.int64(2), "GPU": np.float32(0.5), "disk": None}]).bundles
    assert bundle == {"CPU": 2.0, "GPU": 0.5}


def test_what_a_function_of_the_space_makes_can_be_looked_at():
    assert tune.sample_from(lambda config: 2 * config["x"]).sample({"x": 3}) == 6
    assert tune.sample_from(lambda spec: 2 * spec.config.x).sample({"x": 3}) == 6
    assert tune.sample_from(lambda: 5).sample(size=3) == [5, 5, 5]


def test_resources_of_the_users_own_stand_in_a_dict_of_theirs():
    (result,) = run(
        tune.with_resources(
            lambda config: {"all": tune.get_trial_resources().required_resources},
            {"cpu": 1, "custom_resources": {"disk": 2}},
        )
    )
    assert result.metrics["all"] == {"CPU": 1, "disk": 2}


def test_functions_of_ray_1_get_a_reporter_and_the_folder_of_their_checkpoint():
    def objective(config, checkpoint_dir=None, reporter=None):
        begin = int(Path(checkpoint_dir, "step").read_text()) + 1 if checkpoint_dir else 0
        for step in range(begin, 4):
            with tune.checkpoint_dir(step=step) as folder:
                Path(folder, "step").write_text(str(step))
            reporter(step=step, begin=begin)
            if step == 1 and begin == 0:
                raise OSError("once")

    (result,) = run(objective, {"x": tune.uniform(0, 1)}, failures=tune.FailureConfig(max_failures=1))
    assert (result.metrics["begin"], result.metrics["step"]) == (2, 3)
    assert Path(result.checkpoint.path, "step").read_text() == "3"


def test_checkpoints_that_are_kept():
    def objective(config):
        for step, score in enumerate([3, 9, 1, 7, 2]):
            tune.report({"score": score}, checkpoint=tune.Checkpoint.from_dict({"step": step}))

    keep = tune.CheckpointConfig(num_to_keep=2, checkpoint_score_attribute="score", checkpoint_score_order="max")
    (result,) = run(objective, checkpoints=keep)
    kept = [(checkpoint.to_dict()["step"], metrics["score"]) for checkpoint, metrics in result.best_checkpoints]
    assert kept == [(1, 9), (3, 7), (4, 2)]  # the two best, and the latest
    assert result.checkpoint.to_dict() == {"step": 4}
    assert result.get_best_checkpoint("score", "max").to_dict() == {"step": 1}
    (everything,) = run(objective)
    assert len(everything.best_checkpoints) == 5
    (latest,) = run(objective, checkpoints=train.CheckpointConfig(num_to_keep=1))
    assert [m["score"] for _, m in latest.best_checkpoints] == [2]


def test_functions_save_when_they_say_so():
    for wrong in ({"checkpoint_frequency": 1}, {"checkpoint_at_end": True}):
        with pytest.raises(ValueError, match="for trainables that are classes"):
            run(descent, {"lr": 0.1}, checkpoints=air.CheckpointConfig(**wrong))


def test_checkpoints_are_folders_with_metadata(tmp_path):
    (tmp_path / "model").write_text("weights")
    checkpoint = tune.Checkpoint.from_directory(str(tmp_path))
    checkpoint.update_metadata({"epoch": 3})
    with checkpoint.as_directory() as folder:
        assert (Path(folder) / "model").read_text() == "weights"
    copy = checkpoint.to_directory(tmp_path / "copy")
    assert tune.Checkpoint(copy).get_metadata() == {"epoch": 3}
    with pytest.raises(ValueError, match="from_dict"):
        checkpoint.to_dict()
    with pytest.raises(tune.NotCarried, match="folder of this machine"):
        tune.Checkpoint("s3://bucket/it")


def test_a_study_is_the_same_twice():
    def noisy(config):
        for step in range(1, 4):
            tune.report({"loss": (config["x"] - 0.3) ** 2 / step})

    def configs(search):
        results = run(noisy, {"x": tune.uniform(0, 1)}, metric="loss", mode="min", num_samples=6, search_alg=search,
                      max_concurrent_trials=1, seed=5)  # fmt: skip
        return [r.config for r in results]

    for search in (None, "tpe", "optuna", "gp"):
        random.seed(1)
        assert configs(search) == configs(search)
