"""Scripts for Ray Tune with classes, checkpoints, schedulers and searchers."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import ClassVar

import numpy as np
import optuna
import pytest
from hyperopt import hp

from raytune_hpo.compat import optuna as compat_optuna
from raytune_hpo.compat import ray_tune as tune
from raytune_hpo.compat.ray_tune.result import SHOULD_CHECKPOINT
from raytune_hpo.compat.ray_tune.schedulers import (
    ASHAScheduler,
    AsyncHyperBandScheduler,
    FIFOScheduler,
    HyperBandForBOHB,
    HyperBandScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
    PopulationBasedTrainingReplay,
    ResourceChangingScheduler,
    TrialScheduler,
)
from raytune_hpo.compat.ray_tune.schedulers.pb2 import PB2
from raytune_hpo.compat.ray_tune.search import ConcurrencyLimiter, Repeater, Searcher
from raytune_hpo.compat.ray_tune.search.ax import AxSearch
from raytune_hpo.compat.ray_tune.search.bayesopt import BayesOptSearch
from raytune_hpo.compat.ray_tune.search.bohb import TuneBOHB
from raytune_hpo.compat.ray_tune.search.hyperopt import HyperOptSearch
from raytune_hpo.compat.ray_tune.search.nevergrad import NevergradSearch
from raytune_hpo.compat.ray_tune.search.optuna import OptunaSearch
from raytune_hpo.compat.ray_tune.search.others import DragonflySearch, ZOOptSearch
from raytune_hpo.compat.ray_tune.syncer import Syncer
from raytune_hpo.compat.ray_tune.utils import validate_save_restore


@pytest.fixture(autouse=True)
def _results(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AIR_LOCAL_CACHE_DIR", str(tmp_path / "ray_results"))


def run(trainable, space=None, *, stop=None, failures=None, callbacks=None, checkpoints=None, **config):
    run_config = tune.RunConfig(
        verbose=0, stop=stop, failure_config=failures, callbacks=callbacks, checkpoint_config=checkpoints
    )
    tuner = tune.Tuner(trainable, param_space=space, tune_config=tune.TuneConfig(**config), run_config=run_config)
    return tuner.fit()


class Counter(tune.Trainable):
    """Counts; keeps its state as a dict, or in a file."""

    log: ClassVar[list] = []

    def setup(self, config, start=0):
        self.value, self.as_file = start, config.get("as_file", False)
        self.log.append(("setup", self.trial_id))

    def step(self):
        self.value += self.config.get("by", 1)
        return {"value": self.value, "done": self.value >= self.config.get("until", 1e9)}

    def save_checkpoint(self, checkpoint_dir):
        if not self.as_file:
            return {"value": self.value}
        (Path(checkpoint_dir) / "state.json").write_text(json.dumps(self.value))
        return checkpoint_dir

    def load_checkpoint(self, checkpoint):
        if isinstance(checkpoint, dict):
            self.value = checkpoint["value"]
        else:
            self.value = json.loads((Path(checkpoint) / "state.json").read_text())

    def cleanup(self):
        self.log.append(("cleanup", self.trial_id))


@pytest.fixture(autouse=True)
def _log():
    Counter.log.clear()


# ------------------------------------------------------------------------------------------------ the life of a class


def test_a_class_goes_on_until_it_says_done_or_a_stop_rule_does():
    results = run(Counter, {"by": tune.grid_search([1, 2]), "until": 6})
    assert [r.metrics["training_iteration"] for r in results] == [6, 3]
    (stopped,) = run(Counter, stop={"training_iteration": 4})
    assert stopped.metrics["value"] == 4
    assert [what for what, _ in Counter.log] == ["setup", "setup", "cleanup", "cleanup", "setup", "cleanup"] or (
        sorted(what for what, _ in Counter.log) == ["cleanup"] * 3 + ["setup"] * 3
    )


def test_a_class_is_told_about_its_trial():
    class Asks(tune.Trainable):
        def setup(self, config):
            self.seen = (self.logdir, self.trial_id, self.trial_resources.head_cpus, self.iteration)

        def step(self):
            return {"logdir": self.seen[0], "id": self.seen[1], "cpus": self.seen[2], "first": self.seen[3],
                    "iteration": self.training_iteration, "done": True}  # fmt: skip

        @classmethod
        def default_resource_request(cls, config):
            return tune.PlacementGroupFactory([{"CPU": 2}])

    (result,) = run(Asks)
    assert result.metrics["logdir"] == result.path and result.metrics["id"] == result.metrics["trial_id"]
    assert result.metrics["cpus"] == 2 and result.metrics["first"] == 0 and result.metrics["iteration"] == 0


@pytest.mark.parametrize("as_file", [False, True])
def test_checkpoints_by_frequency_and_at_the_end(as_file):
    config = tune.CheckpointConfig(checkpoint_frequency=2, checkpoint_at_end=True)
    (result,) = run(Counter, {"as_file": as_file}, stop={"training_iteration": 5}, checkpoints=config)
    assert [metrics["value"] for _, metrics in result.best_checkpoints] == [2, 4, 5]
    again = Counter({"as_file": as_file})
    again.restore(result.checkpoint)
    assert again.value == 5 and again.iteration == 5
    assert again.train()["training_iteration"] == 6


def test_a_class_that_can_be_saved_is_saved_at_the_end_unless_the_script_says_otherwise(tmp_path):
    stop = {"training_iteration": 3}
    (result,) = run(Counter, stop=stop)
    assert [metrics["value"] for _, metrics in result.best_checkpoints] == [3]
    again = Counter()
    again.restore(result.checkpoint)
    assert again.value == 3
    (result,) = run(Counter, stop=stop, checkpoints=tune.CheckpointConfig(checkpoint_at_end=False))
    assert result.checkpoint is None

    class Unsaved(tune.Trainable):
        def step(self):
            return {"value": 1}

    (result,) = run(Unsaved, stop=stop)
    assert result.error is None and result.checkpoint is None
    given = {"stop": stop, "metric": "value", "mode": "max", "storage_path": str(tmp_path), "verbose": 0}
    assert tune.run(Counter, **given).best_checkpoint is None
    assert tune.run(Counter, checkpoint_config=tune.CheckpointConfig(), **given).best_checkpoint is None
    assert tune.run(Counter, checkpoint_at_end=True, **given).best_checkpoint is not None


def test_a_result_may_ask_for_a_checkpoint_and_so_may_a_callback():
    class Asks(Counter):
        def step(self):
            return {**super().step(), SHOULD_CHECKPOINT: self.value == 1}

    class Wants(tune.Callback):
        def on_trial_result(self, iteration, trials, trial, result, **info):
            if result["value"] == 3:
                result[SHOULD_CHECKPOINT] = True
            if result["value"] == 4:
                trial.checkpoint_now()

    (result,) = run(Asks, stop={"value": 5}, callbacks=[Wants()])
    assert [metrics["value"] for _, metrics in result.best_checkpoints] == [1, 3, 4, 5]


def test_a_class_that_fails_goes_on_from_its_checkpoint():
    class Fragile(Counter):
        failed: ClassVar[list] = []

        def step(self):
            if self.value == 3 and len(self.failed) < 2:
                self.failed.append(self.iteration)
                raise OSError("for a moment")
            return super().step()

    config = tune.CheckpointConfig(checkpoint_frequency=1)
    (result,) = run(Fragile, stop={"training_iteration": 5}, checkpoints=config,
                    failures=tune.FailureConfig(max_failures=3))  # fmt: skip
    assert Fragile.failed == [3, 3] and result.metrics["value"] == 5 and result.error is None


def test_actors_are_used_again_where_they_can_be():
    class Reusable(Counter):
        def reset_config(self, new_config):
            self.value = 0
            self.log.append(("reset", new_config["by"]))
            return True

    results = run(Reusable, {"by": tune.grid_search([1, 2, 3]), "until": 6}, reuse_actors=True, max_concurrent_trials=1)
    assert [r.metrics["value"] for r in results] == [6, 6, 6]
    assert [what for what, _ in Counter.log] == ["setup", "reset", "reset", "cleanup"]


def test_parameters_go_to_setup_and_classes_can_be_used_alone():
    (result,) = run(tune.with_resources(tune.with_parameters(Counter, start=10), {"cpu": 1}), stop={"value": 12})
    assert result.metrics["training_iteration"] == 2
    assert validate_save_restore(Counter)
    alone = Counter({"by": 5})
    assert alone.train()["value"] == 5 and Path(alone.logdir).is_dir()


def test_a_class_without_step_says_what_it_lacks():
    class Idle(tune.Trainable):
        pass

    (result,) = run(Idle)
    assert "defines step" in str(result.error)


# ------------------------------------------------------------------------------------------------ schedulers


def curve(config):
    for step in range(1, 28):
        tune.report({"loss": config["floor"] + 1 / step, "steps_of_mine": 10 * step})


FLOORS = {"floor": tune.grid_search([i / 10 for i in range(9)])}
STOPPING = {
    "asha": lambda: ASHAScheduler(max_t=27, grace_period=1, reduction_factor=3),
    "asha by a count of its own": lambda: AsyncHyperBandScheduler("steps_of_mine", max_t=270, grace_period=10),
    "asha in brackets": lambda: ASHAScheduler(max_t=27, brackets=2, reduction_factor=3),
    "hyperband": lambda: HyperBandScheduler(max_t=27),
    "median": lambda: MedianStoppingRule("training_iteration", grace_period=3, min_samples_required=2),
    "changing resources": lambda: ResourceChangingScheduler(ASHAScheduler(max_t=27)),
    "by name": lambda: "asha",
    "ours": lambda: {"name": "extrapolation", "max_steps": 27},
}


@pytest.mark.filterwarnings("ignore:ResourceChangingScheduler")
@pytest.mark.parametrize("scheduler", STOPPING)
def test_schedulers_stop_trials_that_are_behind(scheduler):
    results = run(curve, FLOORS, metric="loss", mode="min", scheduler=STOPPING[scheduler](), max_concurrent_trials=1)
    lengths = [r.metrics["training_iteration"] for r in results]
    assert results.num_errors == 0 and results.num_terminated == 9
    assert lengths[0] == 27 and min(lengths) < 27
    assert results.get_best_result().config["floor"] == 0.0


def test_asha_ends_trials_at_max_t_which_median_by_time_does_not():
    (result,) = run(curve, {"floor": 1}, metric="loss", mode="min", scheduler=ASHAScheduler(max_t=5))
    assert result.metrics["training_iteration"] == 5
    (result,) = run(curve, {"floor": 1}, scheduler=MedianStoppingRule(metric="loss", mode="min"))
    assert result.metrics["training_iteration"] == 27
    (result,) = run(curve, {"floor": 1}, scheduler=FIFOScheduler())
    assert result.metrics["training_iteration"] == 27


@pytest.mark.parametrize(
    "scheduler",
    [
        ASHAScheduler(max_t=4, reduction_factor=2, stop_last_trials=False),
        ASHAScheduler(max_t=4, reduction_factor=2, brackets=2, stop_last_trials=False),
        HyperBandScheduler(max_t=4, reduction_factor=2, stop_last_trials=False),
    ],
)
def test_trials_that_are_left_at_max_t_run_on(scheduler):
    results = run(curve, FLOORS, metric="loss", mode="min", scheduler=scheduler, max_concurrent_trials=1)
    lengths = {r.metrics["training_iteration"] for r in results}
    assert 27 in lengths and lengths & {1, 2} and not lengths & set(range(3, 27))


def test_a_scheduler_needs_its_metric_in_every_result_but_not_a_number():
    def other(config):
        tune.report({"other": 1})

    (result,) = run(other, metric="loss", mode="min", scheduler=ASHAScheduler())
    assert "metric 'loss' is needed" in str(result.error)

    def unlucky(config):
        for loss in (1.0, float("nan"), 0.5):
            tune.report({"loss": loss})

    (result,) = run(unlucky, metric="loss", mode="min", scheduler=ASHAScheduler())
    assert result.error is None and result.metrics["loss"] == 0.5
    with pytest.raises(ValueError, match="needs a mode"):
        run(unlucky, scheduler=ASHAScheduler())


def test_bohb_pauses_and_promotes():
    class Curve(Counter):
        def step(self):
            super().step()
            return {"score": self.config["height"] * np.tanh(self.value / 5)}

    results = run(
        Curve, {"height": tune.uniform(-1, 1)}, metric="score", mode="max", num_samples=12, seed=0,
        stop={"training_iteration": 9}, search_alg=ConcurrencyLimiter(TuneBOHB(), max_concurrent=2),
        scheduler=HyperBandForBOHB(max_t=9, reduction_factor=3),
    )  # fmt: skip
    lengths = [r.metrics["training_iteration"] for r in results]
    assert len(results) == 12 and results.num_errors == 0 and max(lengths) == 9 and min(lengths) < 9


# ------------------------------------------------------------------------------------------------ populations


def trains(config):
    """Moves by its rate; the best rate falls on the way."""
    value, step = 0.0, 0
    if (saved := tune.get_checkpoint()) is not None:
        value, step = saved.to_dict()["value"], saved.to_dict()["step"]
    while True:
        step += 1
        value += 1 - abs(config["rate"] - 1 / step)
        state = {"value": value, "step": step}
        tune.report({"score": value, "rate": config["rate"]}, checkpoint=tune.Checkpoint.from_dict(state))


class Trains(tune.Trainable):
    def setup(self, config):
        self.value = 0.0

    def step(self):
        self.value += 1 - abs(self.config["rate"] - 1 / (self.iteration + 1))
        return {"score": self.value, "rate": self.config["rate"]}

    def save_checkpoint(self, folder):
        return {"value": self.value}

    def load_checkpoint(self, checkpoint):
        self.value = checkpoint["value"]

    def reset_config(self, new_config):
        self.value = 0.0
        return True


def pbt(**options):
    mutations = {"rate": lambda: random.uniform(0.01, 1.0), "extra": [1, 2, 4], "deep": {"k": tune.randint(1, 9)}}
    return PopulationBasedTraining(
        "training_iteration", perturbation_interval=2, hyperparam_mutations=mutations, **options
    )


@pytest.mark.parametrize("trainable", [trains, Trains], ids=["function", "class"])
@pytest.mark.parametrize("reuse", [False, True])
def test_members_of_a_population_are_the_results(trainable, reuse):
    random.seed(0)
    space = {"rate": tune.uniform(0.5, 1), "mine": tune.randint(0, 1000), "constant": "c"}
    results = run(trainable, space, metric="score", mode="max", num_samples=4, scheduler=pbt(), seed=1,
                  stop={"training_iteration": 10}, reuse_actors=reuse, max_concurrent_trials=2)  # fmt: skip
    assert len(results) == 4 and results.num_errors == 0 and results.num_terminated == 4
    for result in results:
        assert list(result.metrics_dataframe["training_iteration"]) == list(range(1, 11))
        assert result.config["constant"] == "c" and result.config["extra"] in (1, 2, 4)
        assert 1 <= result.config["deep"]["k"] < 9
        assert 0 <= result.config["mine"] < 1000
    rates = [set(result.metrics_dataframe["rate"]) for result in results]
    assert any(len(seen) > 1 for seen in rates)  # somebody has copied, and changed
    assert len({result.metrics_dataframe["rate"][0] for result in results}) == 4  # all began by themselves


def test_a_population_is_the_same_twice():
    def once():
        random.seed(0)
        results = run(trains, {"rate": tune.uniform(0.5, 1)}, metric="score", mode="max", num_samples=3, seed=4,
                      scheduler=pbt(), stop={"training_iteration": 8}, max_concurrent_trials=1)  # fmt: skip
        return [list(result.metrics_dataframe["rate"]) for result in results]

    assert once() == once()


def test_a_population_begins_with_its_constants_and_may_explore_by_a_function():
    random.seed(0)

    def explore(config):
        config["half"] = config["rate"] / 2
        return config

    results = run(trains, {"rate": 0.9, "half": 0.45}, metric="score", mode="max", num_samples=4, seed=3,
                  scheduler=pbt(custom_explore_fn=explore), stop={"training_iteration": 6})  # fmt: skip
    assert all(result.metrics_dataframe["rate"][0] == 0.9 for result in results)
    assert all(result.config["half"] == result.config["rate"] / 2 for result in results)


def test_a_member_goes_on_from_what_it_has_copied_also_where_it_saves_nothing_itself():
    def seldom(config):
        """Saves at its third step alone; what it has come from is in what it saves."""
        saved = tune.get_checkpoint()
        state = {"step": 0, "founder": config["founder"]} if saved is None else saved.to_dict()
        while True:
            state = {**state, "step": state["step"] + 1}
            checkpoint = tune.Checkpoint.from_dict(state) if state["step"] == 3 else None
            tune.report({"score": state["founder"], "founder": state["founder"]}, checkpoint=checkpoint)

    space = {"founder": tune.grid_search([0, 1, 2, 3]), "rate": 0.5}
    pbt = PopulationBasedTraining("training_iteration", perturbation_interval=3, quantile_fraction=0.5,
                                  hyperparam_mutations={"rate": tune.uniform(0, 1)})  # fmt: skip
    results = run(seldom, space, metric="score", mode="max", scheduler=pbt, stop={"training_iteration": 12}, seed=1)
    assert results.num_errors == 0
    for result in results:
        founders = list(result.metrics_dataframe["founder"])
        assert founders == sorted(founders)  # nobody falls back on what it had before it copied
    assert {result.metrics["founder"] for result in results} <= {2, 3}


def test_members_that_are_done_stop_by_themselves():
    class Done(Trains):
        def step(self):
            result = super().step()
            return {**result, "done": self.iteration + 1 == 3}

    results = run(Done, {"rate": tune.uniform(0, 1)}, metric="score", mode="max", num_samples=3, scheduler=pbt())
    assert [r.metrics["training_iteration"] for r in results] == [3, 3, 3]


def test_pb2_moves_within_its_bounds():
    scheduler = PB2("training_iteration", perturbation_interval=2, hyperparam_bounds={"rate": [0.1, 1.0]})
    results = run(Trains, {"rate": 0.9}, metric="score", mode="max", num_samples=4, scheduler=scheduler, seed=0,
                  stop={"training_iteration": 8}, max_concurrent_trials=1)  # fmt: skip
    assert len(results) == 4 and results.num_errors == 0
    assert all(0.1 <= rate <= 1.0 for r in results for rate in r.metrics_dataframe["rate"])


def test_a_population_needs_mutations():
    with pytest.raises(ValueError, match="needs hyperparam_mutations"):
        PopulationBasedTraining()
    with pytest.raises(ValueError, match="a mutation is a list, .* got 'b': 3"):
        PopulationBasedTraining(hyperparam_mutations={"a": {"b": 3}})
    with pytest.raises(ValueError, match="needs hyperparam_bounds"):
        PB2()


def test_parts_made_by_name_take_the_options_that_they_know():
    for name in ("random", "optuna"):
        tune.create_searcher(name, metric="loss", mode="min")
    assert tune.create_searcher("random", max_concurrent=3, metric="loss").max_concurrent == 3
    for name in ("fifo", "async_hyperband"):
        tune.create_scheduler(name, metric="loss", mode="min", max_t=7)


# ------------------------------------------------------------------------------------------------ searchers


def bowl(config):
    return {"loss": (config["x"] - 2) ** 2 + abs(config["y"])}


BOWL = {"x": tune.uniform(-5, 5), "y": tune.quniform(-2, 2, 0.5), "constant": 7}
SEARCHERS = {
    "optuna": lambda: OptunaSearch(seed=1),
    "optuna with a sampler": lambda: OptunaSearch(sampler=optuna.samplers.CmaEsSampler()),
    "hyperopt": lambda: HyperOptSearch(n_initial_points=3, random_state_seed=1),
    "bayesopt": lambda: BayesOptSearch(utility_kwargs={"kind": "ucb", "kappa": 2.5, "xi": 0.0}),
    "ax": AxSearch,
    "nevergrad": lambda: NevergradSearch(optimizer="OnePlusOne"),
    "limited": lambda: ConcurrencyLimiter(OptunaSearch(seed=1), max_concurrent=1),
    "by name": lambda: "hyperopt",
    "ours by name": lambda: "auto",
    "ours with options": lambda: {"name": "tpe"},
}


@pytest.mark.filterwarnings("ignore:BayesOptSearch")
@pytest.mark.parametrize("search", SEARCHERS)
def test_searchers_search(search):
    results = run(bowl, BOWL, metric="loss", mode="min", num_samples=6, search_alg=SEARCHERS[search]())
    assert len(results) == 6 and results.num_errors == 0
    assert all(r.config["constant"] == 7 and (2 * r.config["y"]).is_integer() for r in results)
    assert results.get_best_result().metrics["loss"] == min(r.metrics["loss"] for r in results)


def test_metric_and_mode_may_come_from_the_searcher():
    results = run(bowl, BOWL, num_samples=3, search_alg=OptunaSearch(metric="loss", mode="min", seed=0))
    assert results.get_best_result().metrics["loss"] == min(r.metrics["loss"] for r in results)


def test_a_scheduler_judges_by_what_is_searched_for():
    settings = {"num_samples": 3, "search_alg": OptunaSearch(metric="loss", mode="min", seed=0)}
    for metric, mode in [("loss", "max"), ("y", "min"), (None, "max")]:
        with pytest.raises(ValueError, match=f"a scheduler judges by .*metric={metric!r}, mode={mode!r}"):
            run(bowl, BOWL, scheduler=ASHAScheduler(metric=metric, mode=mode, max_t=2), **settings)
    results = run(bowl, BOWL, scheduler=ASHAScheduler(metric="loss", mode="min", max_t=2), **settings)
    assert len(results) == 3


def test_several_goals():
    def two(config):
        tune.report({"loss": config["x"], "gain": config["x"] ** 2})

    search = OptunaSearch(metric=["loss", "gain"], mode=["min", "max"], seed=0)
    results = run(two, {"x": tune.uniform(0, 1)}, num_samples=5, search_alg=search)
    assert results.get_best_result("loss", "min").config["x"] <= results.get_best_result("gain", "max").config["x"]
    assert len(results.study.best_trials) >= 1


def test_points_and_their_known_rewards():
    points = [{"x": 2.0, "y": 0.0}, {"x": 4.0, "y": 1.0}]
    search = OptunaSearch(points_to_evaluate=points, evaluated_rewards=[0.0, 5.0], seed=0)
    results = run(bowl, BOWL, metric="loss", mode="min", num_samples=3, search_alg=search)
    assert len(results) == 3 and not any(r.config["x"] in (2.0, 4.0) for r in results)
    results = run(
        bowl, BOWL, metric="loss", mode="min", num_samples=3, search_alg=OptunaSearch(points_to_evaluate=points)
    )
    assert [r.config["x"] for r in results][:2] == [2.0, 4.0]


def test_a_space_that_a_function_defines():
    def define(trial):
        kind = trial.suggest_categorical("kind", ["relu", "tanh"])
        width = trial.suggest_float("width", 0.1, 20, log=True)
        trial.suggest_float("below", 0.0, width)  # a range that depends on another parameter
        if kind == "relu":
            trial.suggest_int("mult", 1, 3)
        return {"steps": 5}

    def objective(config):
        assert ("mult" in config) == (config["kind"] == "relu") and config["steps"] == 5
        return {"loss": config["width"]}

    search = OptunaSearch(space=define, metric="loss", mode="min", seed=2)
    results = run(objective, num_samples=12, search_alg=search)
    assert results.num_errors == 0 and all(r.config["below"] <= r.config["width"] for r in results)
    assert {r.config["kind"] for r in results} == {"relu", "tanh"}
    assert all(("mult" in r.config) == (r.config["kind"] == "relu") for r in results)


@pytest.mark.parametrize("module", [optuna.distributions, compat_optuna.distributions])
def test_spaces_of_optunas_distributions(module):
    distributions = {"x": module.FloatDistribution(-5, 5), "y": module.IntDistribution(0, 3)}
    results = run(bowl, {"constant": 7}, metric="loss", mode="min", num_samples=3,
                  search_alg=OptunaSearch(space=distributions, seed=0))  # fmt: skip
    assert all(r.config["constant"] == 7 and isinstance(r.config["y"], int) for r in results)


def test_spaces_of_hyperopts_expressions():
    space = {
        "x": hp.uniform("x", -5, 5),
        "y": hp.choice("y", [0, 1]),
        "branch": hp.choice("branch", [{"kind": "a", "mult": hp.uniform("mult", 1, 2)}, {"kind": "b"}]),
    }
    results = run(bowl, num_samples=8, search_alg=HyperOptSearch(space=space, metric="loss", mode="min"))
    assert results.num_errors == 0
    assert all(("mult" in r.config["branch"]) == (r.config["branch"]["kind"] == "a") for r in results)


def test_constraints_on_parameters_and_on_results():
    search = AxSearch(parameter_constraints=["x + 2*y <= 1.0", "x >= y - 2"], outcome_constraints=["loss <= 30"])
    results = run(bowl, {"x": tune.uniform(-5, 5), "y": tune.uniform(0, 3)}, metric="loss", mode="min", num_samples=8,
                  search_alg=search)  # fmt: skip
    assert all(r.config["x"] + 2 * r.config["y"] <= 1 + 1e-9 and r.config["x"] >= r.config["y"] - 2 for r in results)
    with pytest.raises(ValueError, match="is linear"):
        AxSearch(parameter_constraints=["sin(x)"])


# ------------------------------------------------------------------------------------------------ what is not supported


def test_what_cannot_be_carried_says_so_by_name():
    class Own(Searcher):
        def suggest(self, trial_id):
            return {"x": 1}

    class Mine(TrialScheduler):
        def on_trial_result(self, tune_controller, trial, result):
            return "CONTINUE"

    with pytest.raises(tune.NotCarried, match=r"Own suggests in Ray Tune's own loop.*own-sampler"):
        run(bowl, BOWL, metric="loss", mode="min", search_alg=Own())
    with pytest.raises(tune.NotCarried, match=r"Mine decides trial by trial.*own-scheduler"):
        run(bowl, BOWL, metric="loss", mode="min", scheduler=Mine())
    with pytest.raises(tune.NotCarried, match=r"Tuner\.restore continues"):
        OptunaSearch().save("search.pkl")
    with pytest.raises(tune.NotCarried, match="finished='restart'"):
        tune.ResumeConfig(finished="restart")
    with pytest.raises(tune.NotCarried, match="Repeater"):
        Repeater(OptunaSearch(), repeat=3)
    with pytest.raises(tune.NotCarried, match="PopulationBasedTrainingReplay"):
        PopulationBasedTrainingReplay("policy.txt")
    with pytest.raises(tune.NotCarried, match="RLlib"):
        tune.Tuner("PPO")
    with pytest.raises(tune.NotCarried, match="storage_path is a folder"):
        tune.RunConfig(storage_path="s3://bucket")
    with pytest.raises(tune.NotCarried, match="ZOOptSearch"):
        ZOOptSearch(algo="Asracos", dim_dict={"x": 1})
    with pytest.warns(UserWarning, match="BayesOptSearch: no effect here of patience=3"):
        BayesOptSearch(patience=3)
    with pytest.warns(UserWarning, match="reduction_factor=2.4 is taken for 2"):
        ASHAScheduler(reduction_factor=2.4)
    with pytest.warns(UserWarning, match="keep the resources"):
        ResourceChangingScheduler(ASHAScheduler()).rule()


def test_what_means_nothing_here_is_taken():
    class Copies(Syncer):
        def sync_up(self, local_dir, remote_dir, exclude=None):
            return True

    assert tune.SyncConfig(syncer=Copies(sync_period=60)).syncer.sync_period == 60
    with pytest.warns(UserWarning, match="no effect here of domain='euclidean'"):
        search = DragonflySearch(space={"x": tune.uniform(0, 1)}, metric="loss", mode="min", domain="euclidean")
    search.set_search_properties(config={"time_budget_s": 30})
    results = run(lambda config: {"loss": config["x"]}, num_samples=2, search_alg=search)
    assert len(results) == 2 and not results.errors


@pytest.mark.parametrize("max_t", [2, 4], ids=["stopped early", "stopped at its last round"])
def test_a_boosted_model_is_saved_where_its_training_is_stopped(max_t):
    xgb = pytest.importorskip("xgboost")
    from raytune_hpo.compat.ray_tune.integration.xgboost import TuneReportCheckpointCallback

    X = np.random.default_rng(0).random((40, 3))
    data = xgb.DMatrix(X, (X[:, 0] > 0.5).astype(int))

    def objective(config):
        xgb.train({"objective": "binary:logistic", "nthread": 1, **config}, data, 4, evals=[(data, "train")],
                  callbacks=[TuneReportCheckpointCallback({"loss": "train-logloss"})], verbose_eval=False)  # fmt: skip

    (result,) = run(objective, {"eta": 0.3}, metric="loss", mode="min", scheduler=ASHAScheduler(max_t=max_t))
    model = TuneReportCheckpointCallback.get_model(result.checkpoint)
    assert model.num_boosted_rounds() == result.metrics["training_iteration"] == max_t
