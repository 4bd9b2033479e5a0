"""Studies go to Optuna, are looked at in its dashboard, and come back."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import optuna
import pytest
import scipy.stats
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

import raytune_hpo as hpo
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.errors import SpaceError, SpecError, StudyExists
from raytune_hpo.integrations.optuna import from_optuna, to_optuna
from raytune_hpo.integrations.optuna_distributions import OptunaParameter, choices_for
from raytune_hpo.results import Results
from raytune_hpo.space.rounded import Quantised
from tests.integrations.neighbours import fit

optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(scope="module")
def results():
    return fit(storage="memory", num_trials=25)


# ------------------------------------------------------------------------------------------------ there


def test_every_trial_is_there_by_its_number_with_its_values_curve_and_times(results):
    study = to_optuna(results)
    assert study.study_name == "digits" and study.metric_names == ["loss"]
    assert study.best_trial.number == results.best_trial.number and study.best_value == results.best_value
    states = {"completed": TrialState.COMPLETE, "failed": TrialState.FAIL}
    assert {trial.status for trial in results} == set(states)
    for ours, theirs in zip(results, study.trials, strict=True):
        assert theirs.number == ours.number and theirs.state is states[ours.status]
        assert theirs.value == ours.metrics.get("loss")
        assert theirs.intermediate_values == {report.step: report.metrics["loss"] for report in ours.reports}
        assert theirs.datetime_start.timestamp() == pytest.approx(ours.started_at, abs=1e-5)
        assert theirs.datetime_complete.timestamp() == pytest.approx(ours.finished_at, abs=1e-5)
        assert theirs.user_attrs.get("size") == ours.metrics.get("size")
        assert theirs.user_attrs.get("raytune_hpo:error") == ours.error


def test_branches_that_were_not_taken_are_absent(results):
    for ours, theirs in zip(results, to_optuna(results).trials, strict=True):
        kind = ours.config["model"]["kind"]
        own = {"svm": "model/svm/C", "forest": "model/forest/depth"}[kind]
        assert theirs.params.keys() == {"model", own, "batch", "act"}
        assert theirs.params["model"] == kind and theirs.params["batch"] == ours.config["batch"]


def test_optuna_goes_on_with_it():
    results = fit(lambda c: c["x"] ** 2 + c["n"], {"x": hpo.uniform(-1, 1), "n": hpo.randint(0, 3)}, storage="memory")
    study = to_optuna(results)
    study.sampler = optuna.samplers.TPESampler(seed=0, n_startup_trials=5)
    study.optimize(lambda t: t.suggest_float("x", -1, 1) ** 2 + t.suggest_int("n", 0, 2), n_trials=5)
    assert len(study.trials) == 17 and optuna.importance.get_param_importances(study)


def test_pruned_running_and_waiting_trials(story):
    study = to_optuna(Results.from_ledger(Ledger.fold(story.crashed)))
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "RUNNING", "FAIL", "PRUNED"]
    assert study.trials[1].datetime_complete is None and study.trials[1].intermediate_values == {1: 8.0}
    assert study.trials[3].value == 5.0
    waiting = to_optuna(Results.from_ledger(Ledger.fold(story.first)), study_name="waiting")
    assert waiting.trials[1].state.name == "RUNNING"


def test_several_goals(tmp_path):
    def objective(config):
        hpo.report(loss=config["x"], size=1.0, step=1)
        return {"loss": config["x"], "size": 1 - config["x"], "note": "both"}

    results = fit(objective, {"x": hpo.uniform(0, 1)}, metric=["loss", "size"], mode=["min", "max"], storage="memory")
    study = to_optuna(results)
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MAXIMIZE"]
    assert {t.number for t in study.best_trials} == {t.number for t in results.best_trials}
    assert study.trials[0].user_attrs["note"] == "both"
    back = from_optuna(study)
    assert [trial.metrics for trial in back] == [dict(trial.metrics) for trial in results]
    assert back.goals == results.goals


def test_an_empty_study():
    results = Results(fit(storage="memory", num_trials=1).spec, [])
    assert to_optuna(results).trials == []


def test_a_name_that_is_taken_is_refused_or_replaced(results, tmp_path):
    storage = optuna.storages.InMemoryStorage()
    to_optuna(results, storage)
    with pytest.raises(StudyExists, match="has a study 'digits'; give study_name=, or replace=True"):
        to_optuna(results, storage)
    assert len(to_optuna(results, storage, replace=True).trials) == 25
    to_optuna(results, storage, study_name="digits again")
    assert optuna.get_all_study_names(storage) == ["digits", "digits again"]


@pytest.mark.slow
def test_the_dashboard_shows_it(results, tmp_path):
    url = f"sqlite:///{tmp_path}/optuna.db"
    to_optuna(results, url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).parent / "optuna-dashboard", url, "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        studies = json.loads(_fetch(f"http://127.0.0.1:{port}/api/studies"))
        (summary,) = studies["study_summaries"]
        assert summary["study_name"] == "digits"
        shown = json.loads(_fetch(f"http://127.0.0.1:{port}/api/studies/{summary['study_id']}"))
        assert len(shown["trials"]) == 25
        assert {item["name"] for item in shown["union_search_space"]} == {
            "model", "model/svm/C", "model/forest/depth", "batch", "act",
        }  # fmt: skip
        assert "<title>Optuna Dashboard" in _fetch(f"http://127.0.0.1:{port}/dashboard/")
    finally:
        server.terminate()
        server.wait(60)


def _fetch(url, patience_s=60):
    deadline = time.monotonic() + patience_s
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.read().decode()
        except OSError:
            assert time.monotonic() < deadline, f"nobody answers at {url}"
            time.sleep(0.2)


# ------------------------------------------------------------------------------------------------ domains


@pytest.mark.parametrize(
    ("domain", "distribution"),
    [
        (hpo.uniform(-1, 2), FloatDistribution(-1, 2)),
        (hpo.loguniform(1e-3, 1), FloatDistribution(1e-3, 1, log=True)),
        (hpo.Float(0, 1, step=0.3), FloatDistribution(0, 0.9, step=0.3)),
        (hpo.Float(1, 4, step=1, log=True), FloatDistribution(1, 4, log=True)),
        (hpo.quniform(0.05, 0.95, 0.1), FloatDistribution(0.1, 0.9, step=0.1)),
        (hpo.Float(0.0, math.pi, step=math.pi / 7), FloatDistribution(0, math.pi / 7 * 7)),
        (hpo.qloguniform(0.5, 8, 0.5), FloatDistribution(0.5, 8, log=True)),
        (Quantised(hpo.loguniform(0.01, 8), 0.5), FloatDistribution(0, 8, step=0.5)),
        (hpo.randint(0, 10), IntDistribution(0, 9)),
        (hpo.lograndint(1, 100), IntDistribution(1, 99, log=True)),
        (hpo.Int(0, 10, step=3), IntDistribution(0, 9, step=3)),
        (hpo.qrandint(16, 256, 16), IntDistribution(16, 256, step=16)),
        (hpo.Space({"n": IntDistribution(1, 64, log=True)}).columns[0].domain, IntDistribution(1, 64, log=True)),
        (hpo.choice(["a", None, 2.5]), CategoricalDistribution(["a", None, 2.5])),
        (hpo.ordinal([1, 2, 4]), CategoricalDistribution([1, 2, 4])),
        (hpo.Float(3, 3), FloatDistribution(3, 3)),
    ],
    ids=str,
)
def test_every_domain_has_a_distribution_that_holds_all_of_its_values(domain, distribution):
    translation = OptunaParameter(domain)
    assert translation.distribution == distribution
    for value in domain.quantiles(50):
        assert translation.distribution._contains(translation.distribution.to_internal_repr(translation(value)))


@pytest.mark.parametrize(
    "domain",
    [hpo.randn(3, 2), hpo.qrandn(0, 1, 0.25), scipy.stats.norm(5, 1), scipy.stats.poisson(3), scipy.stats.lognorm(1)],
    ids=["randn", "qrandn", "norm", "poisson", "lognorm"],
)
def test_domains_without_bounds_are_cut_beyond_all_that_was_drawn(domain):
    space = hpo.Space({"x": domain})
    whole = isinstance(space.decode([[0.5]])[0]["x"], int)
    far = 10**6 if whole else 1e6
    distribution = OptunaParameter(space.columns[0].domain, [far]).distribution
    assert distribution.high == far and distribution.low < 1
    for config in space.sample(200, np.random.default_rng(0)):
        assert distribution._contains(config["x"])


def test_options_that_optuna_cannot_keep_or_tell_apart_become_text():
    assert choices_for([1, True, "a"]) == ["1", "True", "'a'"]
    assert choices_for([(1, 2), dict, float]) == ["(1, 2)", "builtins.dict", "builtins.float"]
    assert choices_for([object(), object()]) == ["0: <object object>", "1: <object object>"]
    results = fit(lambda c: float(len(c["layers"])), {"layers": hpo.choice([(8,), (8, 8)])}, storage="memory")
    assert {trial.params["layers"] for trial in to_optuna(results).trials} == {"(8,)", "(8, 8)"}


# ------------------------------------------------------------------------------------------------ and back


def define_by_run(trial):
    kind = trial.suggest_categorical("kind", ["svm", "forest"])
    size = trial.suggest_float("C", 1e-3, 1e3, log=True) if kind == "svm" else float(trial.suggest_int("depth", 2, 9))
    for step in range(3):
        trial.report(size + step, step)
        if step == 1 and size > 100:
            raise optuna.TrialPruned
    if size < 3:
        raise ValueError("too small")
    trial.set_user_attr("size_mb", 1.5)
    trial.set_user_attr("classes", ["a", "b"])
    return size


@pytest.fixture
def optuna_study():
    study = optuna.create_study(study_name="theirs", sampler=optuna.samplers.RandomSampler(seed=5))
    study.optimize(define_by_run, n_trials=40, catch=ValueError)
    return study


LEFT_OUT = pytest.mark.filterwarnings("ignore:user attributes .'classes'. are left out")


def test_a_study_of_optuna_as_results(optuna_study):
    with pytest.warns(UserWarning, match="user attributes .'classes'. are left out: a metric is") as warned:
        results = from_optuna(optuna_study, metric="size")
    assert len(warned) == 1
    states = [trial.state.name for trial in optuna_study.trials]
    assert {"COMPLETE", "PRUNED", "FAIL"} == set(states)
    assert [trial.status.value[:4].upper() for trial in results] == [state[:4] for state in states]
    assert results.best_value == optuna_study.best_value and results.name == "theirs"
    for ours, theirs in zip(results, optuna_study.trials, strict=True):
        assert {name: value for name, value in ours.config.items() if value is not None} == theirs.params
        assert [report.step for report in ours.reports] == list(theirs.intermediate_values)
        assert ours.started_at == pytest.approx(theirs.datetime_start.timestamp())
        assert ours.duration_s == pytest.approx(theirs.duration.total_seconds(), abs=1e-4)
    assert results.best_trial.metrics["size_mb"] == 1.5 and "classes" not in results.best_trial.metrics
    assert len(results.to_dataframe()) == 40


@LEFT_OUT
def test_a_tuner_goes_on_with_it(optuna_study, storage):
    imported = from_optuna(optuna_study, metric="size", sampler="tpe", storage=storage)
    seen = []

    def objective(config):
        seen.append(config)
        return config["depth"] or config["C"]

    settings = {"name": "theirs", "metric": "size", "sampler": "tpe", "seed": None, "max_concurrent": 1}
    results = fit(objective, imported.spec.space, storage=storage, num_trials=45, **settings)
    assert len(results) == 45 and len(seen) == 5
    assert [trial.config for trial in results][:40] == [trial.config for trial in imported]
    with pytest.raises(StudyExists, match="exists in"):
        from_optuna(optuna_study, storage=storage)


def test_the_sampler_that_goes_on_has_learned(storage):
    study = optuna.create_study(study_name="x", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=40)
    imported = from_optuna(study, sampler="gp", storage=storage)
    settings = {"name": "x", "metric": "value", "sampler": "gp", "seed": None, "max_concurrent": 1}
    results = fit(lambda config: config["x"], imported.spec.space, storage=storage, num_trials=46, **settings)
    assert sorted(trial.config["x"] for trial in results[40:])[3] < 0.2, "random ones would lie around 0.5"


@LEFT_OUT
def test_a_space_of_ones_own(optuna_study):
    space = {
        "model": hpo.choice(
            [{"kind": "svm", "C": hpo.loguniform(1e-3, 1e3)}, {"kind": "forest", "depth": hpo.Int(2, 9)}]
        )
    }
    results = from_optuna(optuna_study, space=space, config=lambda params: {"model": params})
    assert results.best_config == {"model": optuna_study.best_params}
    with pytest.raises(SpaceError, match="trial 0 of Optuna has no configuration in the space"):
        from_optuna(optuna_study, space={"x": hpo.uniform(0, 1)})


def test_ranges_that_changed_are_widened():
    study = optuna.create_study()
    for high in (1.0, 5.0):
        study.optimize(
            lambda t, high=high: t.suggest_float("a/x", 0, high) + t.suggest_int("n", 0, int(high)), n_trials=3
        )
    space = from_optuna(study).spec.space
    assert [(c.name, c.domain.lo, c.domain.hi) for c in space.columns] == [("a.x", 0.0, 5.0), ("n", 0, 5)]


@pytest.mark.parametrize(
    ("one", "other", "merged"),
    [
        (FloatDistribution(1, 9, log=True), FloatDistribution(0, 8), hpo.Float(0.0, 9.0)),
        (FloatDistribution(0.1, 1, log=True), FloatDistribution(1, 8, log=True), hpo.Float(0.1, 8.0, log=True)),
        (FloatDistribution(0.0, 0.6, step=0.3), FloatDistribution(0.3, 0.9, step=0.3), hpo.Float(0.0, 0.9, step=0.3)),
        (FloatDistribution(0, 1, step=0.5), FloatDistribution(0, 1), hpo.Float(0.0, 1.0)),
        (IntDistribution(1, 9, step=4), IntDistribution(5, 13, step=4), hpo.Int(1, 13, step=4)),
        (IntDistribution(1, 9, step=4), IntDistribution(2, 10, step=4), hpo.Int(1, 10, step=1)),
    ],
)
@pytest.mark.parametrize("is_reversed", [False, True])
def test_scales_and_steps_that_changed_are_those_that_hold_all_values(one, other, merged, is_reversed):
    study = optuna.create_study()
    for distribution in (other, one) if is_reversed else (one, other):
        study.add_trial(
            optuna.create_trial(params={"x": distribution.low}, distributions={"x": distribution}, value=1.0)
        )
    assert from_optuna(study).spec.space.columns[0].domain == merged


def test_distributions_that_no_domain_holds_are_refused():
    study = optuna.create_study()
    for distribution in (CategoricalDistribution([1, 2]), CategoricalDistribution([2, 3])):
        study.add_trial(optuna.create_trial(params={"x": 2}, distributions={"x": distribution}, value=1.0))
    with pytest.raises(SpaceError, match="no single domain holds Cat.*give space= and config="):
        from_optuna(study)


def test_a_trial_that_waited_in_the_queue_keeps_its_number_and_its_times():
    study = optuna.create_study()
    begin = datetime(2026, 1, 1)
    for start, end in ((50, 60), (0, 10), (5, 55)):
        trial = optuna.create_trial(params={"x": 0.5}, distributions={"x": FloatDistribution(0, 1)}, value=float(start))
        trial.datetime_start, trial.datetime_complete = begin + timedelta(seconds=start), begin + timedelta(seconds=end)
        study.add_trial(trial)
    results = from_optuna(study)
    assert [trial.metrics["value"] for trial in results] == [50.0, 0.0, 5.0]
    assert [trial.started_at - begin.timestamp() for trial in results] == [50, 0, 5]
    assert [trial.duration_s for trial in results] == [10, 10, 50]


def test_trials_that_were_running_are_run_again_and_unfit_ones_left_out(storage):
    study = optuna.create_study(study_name="halted")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    study.ask()  # nothing was suggested to it yet
    running = study.ask({"x": FloatDistribution(0, 1)})
    study.enqueue_trial({"x": 0.5})
    study.add_trial(
        optuna.create_trial(params={"x": 0.25}, distributions={"x": FloatDistribution(0, 1)}, value=math.inf)
    )
    imported = from_optuna(study, storage=storage)
    assert [trial.status.value for trial in imported] == ["completed"] * 3 + ["waiting", "failed"]
    assert imported[3].config == running.params and imported[3].meta == {"optuna": 4}
    assert "inf" in imported[4].error
    settings = {"metric": "value", "name": "halted", "sampler": "auto", "seed": None, "num_trials": 6}
    results = fit(lambda config: config["x"], imported.spec.space, storage=storage, **settings)
    assert results[3].status == "completed" and results[3].attempt == 2 and len(results) == 6
    assert results[5].config == {"x": 0.5}, "what was enqueued comes before what a sampler suggests"


def test_points_in_the_queue_that_are_no_whole_configuration_are_left_out_with_a_warning():
    study = optuna.create_study(study_name="queue")
    study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_int("n", 0, 3), n_trials=2)
    for point in ({"x": 0.5}, {"x": 0.5, "n": 2}, {}, {"x": 7.0, "n": 2}):
        study.enqueue_trial(point)
    with pytest.warns(UserWarning, match=r"trials \[2, 4, 5\] are left out: they wait"):
        assert len(from_optuna(study)) == 2


def feasible_below_half(trial):
    x = trial.suggest_float("x", 0, 1)
    trial.set_constraint("limit", x - 0.5)
    if x > 0.9:
        trial.report(0.0, 1)
        raise optuna.TrialPruned
    return -x


def test_trials_that_break_a_constraint_have_failed():
    study = optuna.create_study(study_name="limited", sampler=optuna.samplers.RandomSampler(seed=1))
    study.optimize(feasible_below_half, n_trials=30)
    results = from_optuna(study)
    assert results.best_config == study.best_params and results.best_value == study.best_value
    for trial in results:
        assert trial.status == ("completed" if trial.config["x"] <= 0.5 else "failed")
        assert trial.error == (None if trial.config["x"] <= 0.5 else "breaks constraint 'limit'")
        assert trial.config["x"] > 0.9 or trial.metrics["value"] == -trial.config["x"], "its value is kept"


@pytest.mark.filterwarnings("ignore:.*constraints_func")
def test_constraints_of_a_sampler_hold_too():
    def overruns(trial):
        return (-1.0, trial.params["x"] - 0.5, trial.params["x"] - 0.8)

    sampler = optuna.samplers.NSGAIISampler(seed=0, constraints_func=overruns)
    study = optuna.create_study(sampler=sampler, directions=["minimize", "maximize"])
    study.optimize(lambda t: (t.suggest_float("x", 0, 1), t.params["x"]), n_trials=20)
    results = from_optuna(study)
    errors = {trial.error for trial in results if trial.config["x"] > 0.5}
    assert errors <= {"breaks constraint '1'", "breaks constraint '1', '2'"} and errors
    assert all(trial.config["x"] <= 0.5 for trial in results.best_trials)


def test_attributes_of_numpy_are_kept_and_those_that_no_metric_can_be_are_named():
    study = optuna.create_study(study_name="attributes")

    def objective(trial):
        trial.set_user_attr("seen", np.int64(7))
        trial.set_user_attr("rate", np.float32(0.5))
        trial.set_user_attr("gap", math.nan)
        trial.set_user_attr("curve", np.ones(3))
        trial.set_user_attr("by", {"a": 1})
        return trial.suggest_float("x", 0, 1)

    study.optimize(objective, n_trials=1)
    with pytest.warns(UserWarning, match=r"user attributes \['by', 'curve'\] are left out"):
        metrics = dict(from_optuna(study)[0].metrics)
    assert (metrics["seen"], metrics["rate"]) == (7, 0.5) and math.isnan(metrics["gap"])
    assert metrics.keys() == {"value", "seen", "rate", "gap"}


def test_there_and_back_again(results):
    back = from_optuna(to_optuna(results))
    ours, again = results.to_dataframe(), back.to_dataframe()
    for column in ("status", "metrics/loss", "metrics/size", "config/batch"):
        assert list(again[column].astype(str)) == list(ours[column].astype(str))
    assert [t.error for t in back] == [t.error for t in results]


def test_a_study_without_parameters_asks_for_a_space():
    with pytest.raises(SpecError, match="no parameters in any complete or pruned trial; give space="):
        from_optuna(optuna.create_study())
    empty = from_optuna(optuna.create_study(), space={"x": hpo.uniform(0, 1)})
    assert len(empty) == 0 and empty.goals[0].metric == "value"


def test_names_that_become_one_are_refused():
    study = optuna.create_study()
    study.optimize(lambda trial: trial.suggest_float("a/x", 0, 1) + trial.suggest_float("a.x", 0, 1), n_trials=1)
    with pytest.raises(SpaceError, match='two parameters have the same name once "/" becomes "."'):
        from_optuna(study)


def test_a_trial_that_breaks_an_outcome_constraint_is_not_the_best_there():
    objective = lambda config: {"loss": config["x"], "size": 10 * config["x"], "speed": 5.0}  # noqa: E731
    bounds = {"outcome_constraints": ["size <= 5", "speed >= 4"], "mode": "max", "storage": "memory"}
    limited = fit(objective, {"x": hpo.uniform(0, 1)}, **bounds)
    study = to_optuna(limited)
    assert study.best_trial.number == limited.best_trial.number and max(t.value for t in study.trials) > 0.5
    size = limited[0].metrics["size"]
    assert study.trials[0].system_attrs == {"constraints": [pytest.approx(size - 5), -1.0]}
    assert from_optuna(study).best_value == limited.best_value


def test_what_is_neither_a_study_nor_results_is_named(results):
    with pytest.raises(SpecError, match="from_optuna takes a study, .* got 'theirs'"):
        from_optuna("theirs")
    with pytest.raises(SpecError, match="to_optuna takes results, .* got 'digits'"):
        to_optuna("digits")
    with pytest.raises(SpecError, match="got 'optuna.db'; write \"sqlite:///optuna.db\""):
        to_optuna(results, "optuna.db")


def test_a_name_is_needed_for_each_value_and_an_attribute_with_that_name_is_left_out():
    study = optuna.create_study()
    study.optimize(lambda trial: trial.set_user_attr("loss", 4) or trial.suggest_float("x", 0, 1), n_trials=1)
    with pytest.raises(SpecError, match=r"metric names each value of Optuna's study, which has 1, got \['a', 'b'\]"):
        from_optuna(study, metric=["a", "b"])
    with pytest.warns(UserWarning, match=r"user attributes \['loss'\] are left out: these are the names of"):
        assert from_optuna(study, metric="loss")[0].metrics["loss"] == study.best_value
