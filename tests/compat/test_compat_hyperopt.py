"""Scripts written for hyperopt, after one import line was changed."""

from __future__ import annotations

import functools
import importlib
import pickle
import pkgutil
import threading
import time
from importlib.util import find_spec
from operator import attrgetter

import numpy as np
import pytest

import raytune_hpo.compat.hyperopt as hyperopt
from raytune_hpo.compat.hyperopt import (
    STATUS_FAIL,
    STATUS_OK,
    SparkTrials,
    Trials,
    early_stop,
    fmin,
    hp,
    rand,
    space_eval,
    tpe,
)
from raytune_hpo.compat.hyperopt.exceptions import AllTrialsFailed
from raytune_hpo.compat.hyperopt.pyll.base import scope
from raytune_hpo.compat.hyperopt.pyll.stochastic import sample

SPACE = hp.choice(
    "kind",
    [
        {"kind": "line", "x": hp.uniform("x", -5, 5)},
        {"kind": "parabola", "x": hp.normal("z", 0, 2), "n": hp.quniform("n", 1, 9, 2)},
    ],
)


def loss_of(config):
    return abs(config["x"]) + 1 if config["kind"] == "line" else (config["x"] - 1) ** 2 + config["n"] / 10


def minimised(fn=loss_of, space=SPACE, seed=0, **options):
    given = {"algo": tpe.suggest, "max_evals": 40, "rstate": np.random.default_rng(seed), "show_progressbar": False}
    return fmin(fn, space, **{**given, **options})


def test_fmin_returns_positions_of_choices():
    trials = Trials()
    best = minimised(trials=trials)
    assert best["kind"] == 1
    assert set(best) == {"kind", "z", "n"}
    assert space_eval(SPACE, best) == {"kind": "parabola", "x": best["z"], "n": best["n"]}
    assert min(trials.losses()) < 0.5
    assert trials.argmin == best
    assert minimised(return_argmin=False)["kind"] == "parabola"


@pytest.mark.parametrize(
    "algo", [tpe.suggest, rand.suggest, functools.partial(tpe.suggest, n_startup_jobs=5, gamma=0.4)]
)
def test_the_same_seed_gives_the_same_trials(algo):
    one, other = Trials(), Trials()
    minimised(trials=one, algo=algo)
    minimised(trials=other, algo=algo)
    assert one.vals == other.vals


def test_tpe_is_ours_and_learns():
    by_tpe, at_random = Trials(), Trials()
    minimised(trials=by_tpe, max_evals=60)
    minimised(trials=at_random, algo=rand.suggest, max_evals=60)
    assert np.mean(by_tpe.losses()[30:]) < np.mean(at_random.losses()[30:])


def test_a_lone_parameter_is_a_number():
    best = minimised(lambda x: (x - 1) ** 2, hp.uniform("x", -3, 3))
    assert set(best) == {"x"}
    assert best["x"] == pytest.approx(1, abs=0.4)


def test_documents_of_hyperopt():
    trials = Trials()
    minimised(
        lambda c: {"loss": loss_of(c), "status": STATUS_OK, "attachments": {"a": b"1"}, "more": [1]}, trials=trials
    )
    assert trials.results[0]["more"] == [1]
    assert trials.trial_attachments(trials.trials[0])["a"] == b"1"
    assert all(len(vals) in (0, 1) for vals in trials.trials[3]["misc"]["vals"].values())
    assert [doc["tid"] for doc in trials.trials] == list(range(40))


def test_failures_are_never_the_best():
    trials = Trials()
    best = minimised(
        lambda c: {"status": STATUS_FAIL} if c["kind"] == "parabola" else {"loss": loss_of(c), "status": STATUS_OK},
        trials=trials,
    )
    assert best["kind"] == 0
    assert STATUS_FAIL in trials.statuses()


def test_exceptions_leave():
    trials = Trials()
    with pytest.raises(ZeroDivisionError):
        minimised(lambda c: 1 / 0, trials=trials)
    assert len(trials) == 0


@pytest.mark.parametrize("trials", [Trials, functools.partial(SparkTrials, parallelism=2)])
def test_a_trial_that_raises_is_not_tried_again(trials):
    tried = []

    def loss(x):
        tried.append(x)
        if x > 0.5:
            raise ValueError("too far")
        return x

    minimised(
        loss, hp.uniform("x", 0, 1), trials=trials(), max_evals=10, catch_eval_exceptions=True, verbose=False, seed=1
    )
    assert len(tried) == len(set(tried)) == 10


def test_a_search_goes_on_with_its_trials():
    trials = Trials()
    minimised(trials=trials, max_evals=12)
    again = pickle.loads(pickle.dumps(trials))
    minimised(trials=again, max_evals=20)
    assert len(again) == 20
    minimised(trials=again, max_evals=20)
    assert len(again) == 20


def test_points_and_early_stops():
    seen = []
    minimised(lambda c: seen.append(c) or loss_of(c), points_to_evaluate=[{"kind": 0, "x": 0.25}], max_evals=3)
    assert seen[0] == {"kind": "line", "x": 0.25}
    stopped = Trials()
    minimised(lambda c: 1.0, trials=stopped, early_stop_fn=early_stop.no_progress_loss(5))
    assert len(stopped) < 40


def test_every_kind_of_parameter():
    space = {
        "a": hp.uniform("a", 0, 1),
        "b": hp.loguniform("b", -3, 0),
        "c": hp.quniform("c", 0, 10, 3),
        "d": hp.qloguniform("d", 0, 3, 1),
        "e": hp.normal("e", 0, 1),
        "f": hp.lognormal("f", 0, 1),
        "g": hp.qnormal("g", 0, 5, 1),
        "h": hp.qlognormal("h", 0, 1, 1),
        "i": hp.randint("i", 5),
        "j": hp.randint("j", 3, 8),
        "k": hp.uniformint("k", 1, 4),
        "l": hp.pchoice("l", [(0.2, "x"), (0.8, hp.uniform("m", 5, 6))]),
        "n": 1 + hp.lognormal("n", 0, 1),
    }
    seen = []
    minimised(lambda c: seen.append(c) or c["a"], space, max_evals=40)
    for c in seen:
        assert 0 <= c["a"] <= 1 and 0.04 < c["b"] <= 1 and c["c"] % 3 == 0
        assert c["i"] in range(5) and c["j"] in range(3, 8) and c["k"] in range(1, 5) and c["n"] > 1
        assert c["l"] == "x" or 5 <= c["l"] <= 6
    assert isinstance(seen[0]["k"], int)


@pytest.mark.parametrize("algo", [tpe.suggest, rand.suggest])
def test_labels_come_in_the_order_of_their_names(algo):
    space = {"z": hp.uniform("z", 0, 1), "first": hp.choice("m", [hp.uniform("a", 0, 1), hp.uniform("b", 0, 1)])}
    trials = Trials()
    best = fmin(lambda config: config["z"], space, algo=algo, max_evals=3, trials=trials, show_progressbar=False)
    assert list(best) == sorted(best) and list(trials.vals) == ["a", "b", "m", "z"]


def test_graphs_are_hyperopts_own():
    assert isinstance(sample(SPACE, np.random.default_rng(0)), dict)
    assert "switch" in str(SPACE)
    assert hyperopt.pyll.stochastic.sample is sample
    assert hyperopt.hp.uniform is hp.uniform


@pytest.mark.parametrize("path", ["pyll.base", "pyll.stochastic", "base", "utils", "mongoexp", "graph_viz", "rdists"])
def test_a_module_of_hyperopts_has_a_second_name(path):
    module = importlib.import_module(f"raytune_hpo.compat.hyperopt.{path}")
    assert module is importlib.import_module(f"hyperopt.{path}")
    assert attrgetter(path)(hyperopt) is module


def test_every_module_that_scripts_import_has_a_name_here():
    internal = {"algobase", "atpe_models", "ipy", "main", "std_out_err_redirect_tqdm", "tests"}
    paths = {each.name for each in pkgutil.iter_modules(importlib.import_module("hyperopt").__path__)} - internal
    assert [path for path in sorted(paths) if find_spec(f"raytune_hpo.compat.hyperopt.{path}") is None] == []


def test_a_whole_number_by_the_scope_of_pyll_base():
    best = minimised(lambda c: (c["n"] - 3) ** 2, {"n": scope.int(hp.quniform("n", 1, 9, 1))})
    assert best == {"n": 3}


def test_the_search_object_of_hyperopt_takes_our_suggestions():
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import Ridge

    from raytune_hpo.compat.hyperopt.sklearn import HyperoptSearchCV

    space = {"alpha": hp.loguniform("alpha", -3, 3)}
    search = HyperoptSearchCV(Ridge(), space, max_evals=3, algo=tpe.suggest, random_state=0)
    assert set(search.fit(*load_diabetes(return_X_y=True)).best_params_) == {"alpha"}


def test_a_former_generator_seeds_as_well():
    one, other = Trials(), Trials()
    minimised(trials=one, rstate=np.random.RandomState(3))
    minimised(trials=other, rstate=np.random.RandomState(3))
    assert one.vals == other.vals


def test_the_sampler_may_be_left_out():
    assert set(fmin(lambda x: x, hp.uniform("x", 0, 1), max_evals=5, show_progressbar=False)) == {"x"}


def test_a_value_may_stand_in_the_place_of_a_distribution():
    from raytune_hpo.compat.hyperopt import pyll

    space = hp.choice("a", [-1, hp.uniform("b", 0, 1)])
    [drawn] = [node for node in pyll.dfs(space) if node.name == "randint"]
    fixed = pyll.clone(space, memo={drawn: pyll.as_apply(1)})
    trials = Trials()
    best = fmin(lambda x: x, fixed, algo=tpe.suggest, max_evals=8, trials=trials, show_progressbar=False)
    assert set(trials.vals["a"]) == {1} and 0 <= best["b"] <= 1


def test_spark_trials_run_beside_each_other_without_spark():
    together = threading.Barrier(3, timeout=30)  # which three trials have to reach at the same time

    def loss(x):
        together.wait()
        if x > 3:
            raise ValueError("too far")
        return {"status": STATUS_OK, "loss": (x - 1) ** 2}

    trials = SparkTrials(parallelism=3)
    best = minimised(loss, hp.uniform("x", -5, 5), trials=trials, max_evals=12, verbose=False)
    assert trials.count_total_trials() == 12 and trials.count_unfinished_trials() == 0
    assert 0 < trials.count_failed_trials() == 12 - trials.count_successful_trials()
    assert best == trials.argmin == pickle.loads(pickle.dumps(trials)).argmin


def test_spark_trials_end_with_their_time():
    trials = SparkTrials(parallelism=2, timeout=0.2)
    minimised(lambda x: time.sleep(0.01) or x, hp.uniform("x", 0, 1), trials=trials, max_evals=None, verbose=False)
    assert 0 < trials.count_successful_trials() < 100
    with pytest.raises(AllTrialsFailed):
        minimised(lambda x: 1 / 0, hp.uniform("x", 0, 1), trials=SparkTrials(), max_evals=3, verbose=False)


@pytest.mark.parametrize("before, after", [("xy", "x"), ("x", "xy"), ("x", "y")])
def test_a_search_goes_on_with_other_labels(before, after):
    trials = Trials()
    for labels, max_evals in ((before, 15), (after, 20)):
        space = {label: hp.uniform(label, 0, 1) for label in labels}
        minimised(lambda config: sum(config.values()), space, max_evals=max_evals, trials=trials)
    assert len(trials) == 20 and set(trials.trials[-1]["misc"]["vals"]) == set(after)


def test_spark_trials_ask_a_stop_function_once_for_each_loss():
    asked = []

    def stop(trials, *args):
        asked.append((len(trials), None in trials.losses(), args))
        return len(trials) >= 6, [len(trials)]

    trials = SparkTrials(parallelism=2)
    minimised(lambda x: x, hp.uniform("x", 0, 1), max_evals=100, trials=trials, early_stop_fn=stop)
    assert asked == [(num, False, (num - 1,) if num > 1 else ()) for num in range(1, 7)]
    asked.clear()
    minimised(lambda x: x, hp.uniform("x", 0, 1), max_evals=101, trials=trials, early_stop_fn=stop)
    assert len(asked) == 1  # those of the first search are not asked of again
    flat = SparkTrials(parallelism=2)
    minimised(
        lambda x: 1.0, hp.uniform("x", 0, 1), max_evals=100, trials=flat, early_stop_fn=early_stop.no_progress_loss(5)
    )
    assert 5 <= len(flat) < 100


@pytest.mark.parametrize("wrong", [{"timeout": 0}, {"timeout": "a"}, {"loss_threshold": "a"}])
def test_limits_of_spark_trials_are_numbers(wrong):
    with pytest.raises(Exception, match="argument should be None or a"):
        SparkTrials(**wrong)
    with pytest.raises(Exception, match="argument should be None or a"):
        minimised(lambda x: x, hp.uniform("x", 0, 1), max_evals=2, trials=SparkTrials(2), **wrong)


def test_spark_trials_that_all_raise_say_why(caplog):
    with pytest.raises(AllTrialsFailed, match="all 2 trials failed; the first: ZeroDivisionError: division by zero"):
        minimised(lambda x: 1 / 0, hp.uniform("x", 0, 1), max_evals=2, trials=SparkTrials(2))
    assert caplog.text.count("failed: ZeroDivisionError: division by zero") == 2
