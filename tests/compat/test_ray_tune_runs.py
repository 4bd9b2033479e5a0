"""Scripts for Ray Tune that call tune.run, restore experiments, listen, and import by old names."""

from __future__ import annotations

import importlib
import pkgutil
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from raytune_hpo.compat import ray_tune as tune
from raytune_hpo.compat.ray_tune import search
from raytune_hpo.compat.ray_tune.logger import LoggerCallback, TBXLoggerCallback, pretty_print
from raytune_hpo.compat.ray_tune.not_carried import StandIn
from raytune_hpo.compat.ray_tune.schedulers import ASHAScheduler


@pytest.fixture(autouse=True)
def _results(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AIR_LOCAL_CACHE_DIR", str(tmp_path / "ray_results"))


def descent(config):
    for step in range(1, 4):
        tune.report({"loss": config["x"] / step})


# ------------------------------------------------------------------------------------------------ tune.run


def test_run_returns_an_analysis():
    analysis = tune.run(
        descent, config={"x": tune.grid_search([3, 1, 2])}, metric="loss", mode="min", verbose=0, name="old",
        resources_per_trial={"cpu": 1}, scheduler=ASHAScheduler(),
    )  # fmt: skip
    assert analysis.best_config == {"x": 1} == analysis.get_best_config("loss", "min")
    assert analysis.best_result["loss"] == 1 / 3 and analysis.best_trial.last_result == analysis.best_result
    assert analysis.get_best_config("loss", "max", scope="all") == {"x": 3}
    assert len(analysis.trials) == 3 == len(analysis.dataframe()) == len(analysis.results_df)
    assert set(analysis.trial_dataframes) == {trial.trial_id for trial in analysis.trials}
    best = analysis.best_trial
    assert list(analysis.trial_dataframes[best.trial_id]["loss"]) == [1, 1 / 2, 1 / 3]
    assert list(analysis.best_dataframe["loss"]) == [1, 1 / 2, 1 / 3]
    assert analysis.best_logdir == best.logdir and Path(analysis.experiment_path).name == "old"
    assert list(analysis.best_result_df["loss"]) == [1 / 3]
    assert analysis.get_all_configs(prefix=True)[best.path] == {"config/x": 1}
    assert analysis.best_checkpoint is None and analysis.get_last_checkpoint() is None


def test_run_raises_at_the_end_where_a_trial_has_failed():
    finished = []

    def sometimes(config):
        if config["x"] == 1:
            raise KeyError("one")
        finished.append(config["x"])
        return 1

    space = {"x": tune.grid_search([0, 1, 2])}
    with pytest.raises(tune.TuneError, match="1 of 3 trials have failed"):
        tune.run(sometimes, config=space, verbose=0)
    assert sorted(finished) == [0, 2]
    assert len(tune.run(sometimes, config=space, verbose=0, raise_on_failed_trial=False).trials) == 3


def test_run_takes_names_and_refuses_what_it_does_not_know():
    tune.register_trainable("registered", descent)
    assert len(tune.run("registered", config={"x": 1}, verbose=0).trials) == 1
    with pytest.raises(tune.NotCarried, match="colour"):
        tune.run(descent, config={"x": 1}, colour="blue")
    trials = tune.run_experiments({"first": {"run": descent, "config": {"x": 1}}}, verbose=0)
    assert trials[0].last_result["loss"] == 1 / 3
    assert len(tune.run_experiments(tune.Experiment("second", descent, config={"x": 1}), verbose=0)) == 1


def test_a_tuner_takes_settings_of_run():
    tuner = tune.Tuner(descent, param_space={"x": 1}, _tuner_kwargs={"num_samples": 3, "verbose": 0})
    assert len(tuner.fit()) == 3
    with pytest.raises(tune.NotCarried, match="colour"):
        tune.Tuner(descent, _tuner_kwargs={"colour": "blue"})


def test_old_checkpoint_arguments():
    class Counts(tune.Trainable):
        def step(self):
            return {"loss": self.iteration}

        def save_checkpoint(self, folder):
            return {"at": self.iteration}

    analysis = tune.run(Counts, stop={"training_iteration": 4}, checkpoint_freq=1, keep_checkpoints_num=1,
                        checkpoint_score_attr="min-loss", metric="loss", mode="min", verbose=0)  # fmt: skip
    trial = analysis.trials[0]
    assert analysis.get_best_checkpoint(trial).to_dict() == {"at": 1}
    assert analysis.get_last_checkpoint(trial).to_dict() == {"at": 4}


# ------------------------------------------------------------------------------------------------ restoring


def experiment(trainable, name="kept", **options):
    return tune.Tuner(
        trainable,
        param_space={"x": tune.grid_search([1, 2, 3, 4])},
        tune_config=tune.TuneConfig(metric="loss", mode="min", max_concurrent_trials=1, **options),
        run_config=tune.RunConfig(name=name, verbose=0),
    )


@pytest.mark.parametrize("how", ["resume_errored", "restart_errored"])
def test_failed_trials_are_taken_up_again(how, tmp_path):
    begun = []

    def fragile(config):
        saved = tune.get_checkpoint()
        step = 0 if saved is None else saved.to_dict()["step"]
        begun.append((config["x"], step))
        while step < 4:
            step += 1
            if step == 3 and config["x"] == 2 and len(begun) <= 4:
                raise RuntimeError("once")
            tune.report({"loss": config["x"] / step}, checkpoint=tune.Checkpoint.from_dict({"step": step}))

    first = experiment(fragile).fit()
    assert first.num_errors == 1
    path = tmp_path / "ray_results" / "kept"
    assert tune.Tuner.can_restore(path) and not tune.Tuner.can_restore(tmp_path)
    tuner = tune.Tuner.restore(str(path), fragile, **{how: True})
    assert tuner.get_results().num_errors == 1 and len(tuner.get_results()) == 4
    again = tuner.fit()
    assert len(again) == 4 and again.num_errors == 0
    assert begun[4:] == [(2, 2 if how == "resume_errored" else 0)]
    assert [r.metrics["trial_id"] for r in again] == [r.metrics["trial_id"] for r in first]
    assert again[1].metrics["training_iteration"] == 4
    assert len(tune.Tuner.restore(str(path), fragile).fit()) == 4 and len(begun) == 5  # nothing is left to do
    with pytest.raises(ValueError, match="resumed or restarted"):
        tune.Tuner.restore(str(path), fragile, resume_errored=True, restart_errored=True)


SCRIPT = """
import sys, time
from raytune_hpo.compat import ray_tune as tune

def slow(config):
    saved = tune.get_checkpoint()
    step = 0 if saved is None else saved.to_dict()["step"]
    print("begins", config["x"], step, file=open({log!r}, "a"))
    while step < 5:
        step += 1
        tune.report({{"loss": config["x"] / step}}, checkpoint=tune.Checkpoint.from_dict({{"step": step}}))
        if config["x"] == 2 and step == 3 and sys.argv[1] == "first":
            print("hangs", file=open({log!r}, "a"), flush=True)
            time.sleep(600)

if sys.argv[1] == "first":
    config = tune.TuneConfig(metric="loss", mode="min", max_concurrent_trials=1)
    run_config = tune.RunConfig(name="killed", verbose=0, storage_path={storage!r})
    tuner = tune.Tuner(slow, param_space={{"x": tune.grid_search([1, 2, 3])}}, tune_config=config, run_config=run_config)
else:
    tuner = tune.Tuner.restore({storage!r} + "/killed", slow)
results = tuner.fit()
print([(r.config["x"], r.metrics["training_iteration"], len(r.metrics_dataframe)) for r in results], results.num_errors)
"""


def test_an_experiment_that_was_killed_goes_on(tmp_path):
    log, script = tmp_path / "log", tmp_path / "script.py"
    script.write_text(SCRIPT.format(log=str(log), storage=str(tmp_path)))
    process = subprocess.Popen([sys.executable, str(script), "first"])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (log.exists() and "hangs" in log.read_text()):
        time.sleep(0.05)
    process.kill()
    process.wait()
    done = subprocess.run(
        [sys.executable, str(script), "second"], capture_output=True, text=True, timeout=100, check=True
    )
    assert done.stdout.strip().splitlines()[-1] == "[(1, 5, 5), (2, 5, 5), (3, 5, 5)] 0"
    before, after = log.read_text().splitlines()[:3], log.read_text().splitlines()[3:]
    assert before == ["begins 1 0", "begins 2 0", "hangs"]
    assert sorted(after) == ["begins 2 3", "begins 3 0"]  # what may have killed the session comes last


def test_objects_in_a_space_are_given_again(tmp_path):
    def objective(config):
        return config["lock"].locked() + config["x"]

    def space():
        return {"x": tune.grid_search([1, 2]), "lock": threading.Lock()}

    config = tune.RunConfig(name="objects", verbose=0)
    first = tune.Tuner(objective, param_space=space(), run_config=config).fit()
    with pytest.raises(ValueError, match="the same param_space again"):
        tune.Tuner.restore(first.experiment_path, objective)
    again = tune.Tuner.restore(first.experiment_path, objective, param_space=space()).fit()
    assert [r.metrics["_metric"] for r in again] == [1, 2] and len(first) == 2


def test_what_the_folders_have_lost_is_in_the_journal(tmp_path, caplog):
    first = experiment(descent).fit()
    shutil.rmtree(first[1].path)
    results = tune.Tuner.restore(first.experiment_path, descent).get_results()
    assert [r.metrics["loss"] for r in results] == [r.metrics["loss"] for r in first]
    assert results.num_terminated == 4 and "storage_path that all nodes share" in caplog.text


def test_restoring_needs_an_experiment(tmp_path):
    with pytest.raises(ValueError, match="has no tuner.pkl"):
        tune.Tuner.restore(str(tmp_path), descent)
    with pytest.raises(RuntimeError, match="has not been called"):
        tune.Tuner(descent).get_results()


# ------------------------------------------------------------------------------------------------ callbacks


class Records(tune.Callback):
    def __init__(self):
        self.heard = []

    def setup(self, stop=None, num_samples=None, total_num_samples=None, **info):
        self.heard.append(("setup", total_num_samples))

    def on_trial_start(self, iteration, trials, trial, **info):
        self.heard.append(("start", trial.status, trial.config["x"]))

    def on_trial_result(self, iteration, trials, trial, result, **info):
        assert trial in trials and trial.last_result is result
        self.heard.append(("result", result["training_iteration"]))
        result["added"] = len(self.heard)

    def on_trial_complete(self, iteration, trials, trial, **info):
        self.heard.append(("complete", trial.status))

    def on_trial_error(self, iteration, trials, trial, **info):
        self.heard.append(("error", trial.status))

    def on_experiment_end(self, trials, **info):
        self.heard.append(("end", len(trials)))


def listened(trainable, callbacks, **options):
    run_config = tune.RunConfig(callbacks=callbacks, **{"verbose": 0, **options})
    config = tune.TuneConfig(max_concurrent_trials=1)
    return tune.Tuner(trainable, param_space={"x": 1}, tune_config=config, run_config=run_config).fit()


def test_callbacks_hear_everything_in_order_and_may_add_to_results():
    records = Records()
    (result,) = listened(descent, [records])
    assert records.heard == [
        ("setup", 1), ("start", "RUNNING", 1), ("result", 1), ("result", 2), ("result", 3), ("complete", "TERMINATED"),
        ("end", 1),
    ]  # fmt: skip
    assert list(result.metrics_dataframe["added"]) == [3, 4, 5]


def test_callbacks_hear_of_failures():
    def broken(config):
        raise RuntimeError("no")

    records = Records()
    listened(broken, [records])
    assert ("error", "ERROR") in records.heard


@pytest.mark.parametrize("hook", ["setup", "on_trial_start", "on_trial_result", "on_experiment_end"])
def test_a_callback_that_raises_ends_the_experiment(hook):
    def breaks(**info):
        raise LookupError("in the callback")

    callback = tune.Callback()
    setattr(callback, hook, breaks)
    with pytest.raises(LookupError, match="in the callback"):
        listened(descent, [callback])


def test_callbacks_hear_that_a_trial_is_tried_again():
    heard = []

    class Listens(tune.Callback):
        def on_trial_start(self, **info):
            heard.append("start")

        def on_trial_recover(self, **info):
            heard.append("recover")

        def on_trial_restore(self, **info):
            heard.append("restore")

        def on_trial_error(self, trial, **info):
            heard.append(str(trial.get_error()).splitlines()[-1])

    def broken(config):
        raise RuntimeError("no")

    listened(broken, [Listens()], failure_config=tune.FailureConfig(max_failures=1))
    assert heard == ["start", "recover", "restore", "RuntimeError: no"]


def test_loggers_and_what_they_print(capsys):
    class Prints(LoggerCallback):
        def log_trial_start(self, trial):
            print("start", trial.trainable_name)

        def log_trial_result(self, iteration, trial, result):
            print("result", result["loss"])

        def log_trial_end(self, trial, failed=False):
            print("end", failed)

    (result,) = listened(descent, [Prints(), TBXLoggerCallback()])
    assert capsys.readouterr().out.split("\n")[:5] == ["start descent", "result 1.0", "result 0.5",
                                                       f"result {1 / 3}", "end False"]  # fmt: skip
    assert list(Path(result.path).glob("events.out.tfevents*"))
    assert "loss: 0.3333333333333333" in pretty_print(result.metrics)


def test_reporters_print_a_table(capsys):
    reporter = tune.CLIReporter(metric_columns={"loss": "the loss"}, parameter_columns=["x"])
    listened(descent, [], progress_reporter=reporter, verbose=1)
    out = capsys.readouterr().out
    assert "the loss" in out and "TERMINATED" in out
    listened(descent, [], progress_reporter=reporter)
    assert "TERMINATED" not in capsys.readouterr().out


def test_what_trials_print_is_shown_with_their_names(capsys):
    def prints(config):
        print("hello from", config["x"])
        return 1

    tune.Tuner(prints, param_space={"x": 5}, run_config=tune.RunConfig(log_to_file=True)).fit()
    lines = [line for line in capsys.readouterr().out.splitlines() if "hello" in line]
    assert len(lines) == 1 and lines[0].startswith("(prints_") and lines[0].endswith("hello from 5")


@pytest.mark.parametrize(
    "wanted, name", [(True, "stdout"), ("all.log", "all.log"), (("out.log", "err.log"), "out.log")]
)
def test_the_output_of_trials_is_in_the_file_that_the_script_names(wanted, name):
    (result,) = listened(lambda config: print("hello"), [], log_to_file=wanted)
    assert (Path(result.path) / name).read_text() == "hello\n"


def test_callbacks_that_cannot_be_pickled_are_said_to_be_left_out(caplog):
    callback = tune.Callback()
    callback.lock = threading.Lock()
    results = listened(descent, [callback])
    assert "goes on without its callbacks" in caplog.text
    assert len(tune.Tuner.restore(results.experiment_path, descent).fit()) == 1


# ------------------------------------------------------------------------------------------------ names

MODULES = """
    schedulers schedulers.pb2 schedulers.hb_bohb schedulers.async_hyperband schedulers.resource_changing_scheduler search
    search.optuna search.hyperopt search.bayesopt search.ax search.nevergrad search.bohb search.basic_variant search.hebo
    search.skopt search.flaml search.dragonfly search.zoopt search.sigopt search.sample stopper logger result experiment
    experiment.trial registry search.concurrency_limiter execution.placement_groups execution.tune_controller
    integration.xgboost integration.lightgbm integration.keras integration.pytorch_lightning utils tuner tune_config
    syncer trainable callback error resources result_grid train train.torch train.tensorflow train.xgboost train.horovod
    train.huggingface train.batch_predictor train.predictor air air.session air.config air.checkpoint
    air.integrations.mlflow air.integrations.keras air.integrations.wandb suggest suggest.hyperopt suggest.optuna
    air.constants air.result experimental.output impl.config logger.wandb registry trainable.util utils.util
""".split()

# Paths of files of Ray's, and of earlier releases, with a name that scripts import from there.
DEEP = {
    "analysis.experiment_analysis": "ExperimentAnalysis",
    "execution.placement_groups": "PlacementGroupFactory",
    "experiment.trial": "Trial",
    "integration.mlflow": "MLflowLoggerCallback",
    "logger.csv": "CSVLoggerCallback",
    "sample": "Integer",
    "search.ax.ax_search": "AxSearch",
    "search.concurrency_limiter": "ConcurrencyLimiter",
    "search.hebo": "HEBOSearch",
    "search.hyperopt.hyperopt_search": "HyperOptSearch",
    "search.optuna.optuna_search": "OptunaSearch",
    "search.sample": "Categorical",
    "search.variant_generator": "grid_search",
    "stopper.maximum_iteration": "MaximumIterationStopper",
    "suggest.hyperopt": "HyperOptSearch",
    "suggest.suggestion": "ConcurrencyLimiter",
    "trainable.trainable": "Trainable",
    "trial": "Trial",
    "utils.log": "Verbosity",
    "utils.placement_groups": "PlacementGroupFactory",
}


@pytest.mark.parametrize("module", MODULES)
def test_every_module_that_scripts_import_is_there(module):
    assert importlib.import_module(f"raytune_hpo.compat.ray_tune.{module}").__doc__


@pytest.mark.parametrize(("path", "name"), DEEP.items())
def test_a_deep_path_leads_to_the_same_object(path, name):
    found = getattr(importlib.import_module(f"raytune_hpo.compat.ray_tune.{path}"), name)
    home = importlib.import_module(found.__module__)
    assert getattr(home, found.__name__) is found and not isinstance(found, StandIn)


def test_a_deep_path_can_be_the_first_import_of_a_script():
    code = """
import raytune_hpo.compat.ray_tune.search.optuna.optuna_search
import raytune_hpo.compat.ray_tune.suggest.optuna as former
from raytune_hpo.compat.ray_tune import execution, search, suggest
print(raytune_hpo.compat.ray_tune.search.optuna.optuna_search is search.optuna is former is suggest.optuna)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=150)
    assert done.stdout.strip() == "True"


def test_former_searchers_are_all_those_of_today():
    modules = {name for name in sys.modules if name.startswith("raytune_hpo.compat.ray_tune.search.")}
    assert {each.name for each in pkgutil.iter_modules(search.__path__)} <= {name.split(".")[4] for name in modules}
    assert all(sys.modules[name.replace("search", "suggest", 1)] is sys.modules[name] for name in modules)


def test_verbosity_by_its_name_shows_nothing(capsys):
    from raytune_hpo.compat.ray_tune.experimental.output import AirVerbosity
    from raytune_hpo.compat.ray_tune.utils.log import Verbosity

    for verbose in (AirVerbosity.SILENT, Verbosity.V0_MINIMAL):
        tune.Tuner(lambda config: 1, run_config=tune.RunConfig(verbose=verbose)).fit()
    assert capsys.readouterr() == ("", "")


def test_names_that_cannot_be_carried_can_be_imported_and_say_so_on_use():
    from raytune_hpo.compat.ray_tune.execution.tune_controller import TuneController
    from raytune_hpo.compat.ray_tune.train import DataConfig
    from raytune_hpo.compat.ray_tune.train.torch import TorchTrainer

    for name in (TuneController, DataConfig, TorchTrainer):
        with pytest.raises(tune.NotCarried, match="has no counterpart here"):
            name()
    with pytest.raises(tune.NotCarried, match=r"ray\.train\.torch\.TorchTrainer"):
        TorchTrainer.fit()
    with pytest.raises(tune.NotCarried, match="TorchTrainer"):

        class Mine(TorchTrainer):
            pass


def test_importing_the_layer_starts_nothing():
    code = "import sys; from raytune_hpo.compat import ray_tune; print('ray' in sys.modules, 'xgboost' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=150)
    assert done.stdout.strip() == "False False"


def test_without_a_cluster_trials_run_in_this_process():
    import os

    (result,) = tune.Tuner(descent, param_space={"x": 1}, run_config=tune.RunConfig(verbose=0), runtime="local").fit()
    assert result.metrics["pid"] == os.getpid()
