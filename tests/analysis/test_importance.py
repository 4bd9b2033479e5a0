"""Importances of studies whose functions are known: shares, branches, pruned trials, and what cannot be said."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.plots.view import view
from tests.faces.studies import done, failed, pruned, results_of, running

BOX = {"a": hpo.uniform(0, 1), "b": hpo.uniform(0, 1), "idle": hpo.uniform(0, 1)}
BRANCHES = {
    "model": hpo.choice(
        [
            {"kind": "svm", "C": hpo.loguniform(1e-3, 1e3), "tol": hpo.uniform(0, 1)},
            {"kind": "tree", "depth": hpo.randint(1, 11)},
        ]
    ),
    "warmup": hpo.uniform(0, 1),
}


def study(space, value, num=300, *, seed=0, **settings):
    """Completed trials of a random search."""
    configs = hpo.Space(space).sample(num, np.random.default_rng(seed))
    return results_of(*[done(value(config), config) for config in configs], space=space, **settings)


def branched(config):
    model = config["model"]
    if model["kind"] == "tree":
        return 10.0 + model["depth"]
    return float(abs(np.log10(model["C"])))


def test_ped_anova_has_the_shares_of_a_box_of_good_trials():
    """The best tenth is a < 0.2 and b < 0.5, so a and b share as 4 to 1."""
    shares = study(BOX, lambda c: max(c["a"] / 0.2, c["b"] / 0.5), 2000).importances()
    assert list(shares) == ["a", "b", "idle"]
    assert shares == {
        "a": pytest.approx(0.8, abs=0.03),
        "b": pytest.approx(0.2, abs=0.03),
        "idle": pytest.approx(0, abs=0.02),
    }
    assert sum(shares.values()) == pytest.approx(1)


def test_what_matters_far_from_the_best_is_not_what_matters_near_it():
    """Only where a is small does b matter at all: looked at everywhere a is all, among the best b is."""
    results = study(BOX, lambda c: 10 * (c["a"] > 0.25) + c["b"], 2000)
    assert results.importances(quantile=0.24)["a"] > 0.9
    assert results.importances(quantile=0.1, region=0.25)["b"] > 0.9


def test_fanova_has_the_shares_of_a_weighted_sum():
    shares = study(BOX, lambda c: 2 * c["a"] + c["b"], 400).importances(method="fanova")
    assert shares == {
        "a": pytest.approx(0.8, abs=0.05),
        "b": pytest.approx(0.2, abs=0.05),
        "idle": pytest.approx(0, abs=0.02),
    }


def test_interactions_find_the_pair_that_acts_together():
    pairs = study(BOX, lambda c: (c["a"] - 0.5) * (c["b"] - 0.5), 500).interactions()
    assert next(iter(pairs)) == ("a", "b")
    assert pairs["a", "b"] > 0.5
    assert max(share for pair, share in pairs.items() if pair != ("a", "b")) < 0.1


@pytest.mark.parametrize("method", ["ped_anova", "fanova"])
def test_a_parameter_of_a_branch_is_judged_among_its_trials(method):
    """All that matters at large is the model; within each branch it is the branch's own parameter."""
    shares = study(BRANCHES, branched).importances(method=method)
    assert shares["model"] > 0.8
    assert shares["model/svm/C"] > 0.8
    assert shares["model/tree/depth"] > 0.8
    assert max(shares["warmup"], shares["model/svm/tol"]) < 0.1


def test_a_maximised_metric_and_an_unnamed_one_are_judged_by_what_is_good():
    space = {"x": hpo.uniform(0, 1), "y": hpo.uniform(0, 1)}
    results = study(space, lambda c: {"gain": c["x"], "cost": c["y"]}, metric="gain", mode="max")
    assert results.importances()["x"] > 0.9
    assert results.importances("cost")["y"] > 0.9
    with pytest.raises(SpecError, match="did you mean 'cost'"):
        results.importances("cots")


def test_pruned_trials_count_and_failed_and_running_ones_do_not():
    space = {"x": hpo.uniform(0, 1), "n": hpo.randint(0, 10)}
    results = results_of(*[pruned(0.5) for _ in range(7)], *[failed()] * 9, running(), space=space)
    assert results.importances() == {}
    results = results_of(*[pruned(0.5) for _ in range(7)], *[failed()] * 9, done(0.4), space=space)
    assert set(results.importances()) == {"x", "n"}


@pytest.mark.parametrize("method", ["ped_anova", "fanova"])
def test_where_all_are_equal_nothing_matters(method):
    assert set(study(BOX, lambda c: 1.0, 50).importances(method=method).values()) == {0.0}


@pytest.mark.parametrize("method", ["ped_anova", "fanova"])
def test_one_far_outlier_does_not_hide_what_matters(method):
    results = study(BOX, lambda c: 1e30 if c["idle"] > 0.995 else c["a"], 400)
    assert results.importances(method=method)["a"] > 0.8


def test_what_is_asked_for_wrongly_is_said():
    results = study(BOX, lambda c: c["a"], 20)
    with pytest.raises(SpecError, match="did you mean 'fanova'"):
        results.importances(method="fannova")
    with pytest.raises(SpecError, match="quantile < region"):
        results.importances(quantile=0.5, region=0.2)


def test_the_same_study_has_the_same_importances():
    results = study(BRANCHES, branched, 100)
    assert results.importances(method="fanova") == results.importances(method="fanova")
    assert results_of().importances() == {}


@pytest.mark.parametrize(
    ("constraints", "important"),
    [([], "low"), (["recall >= 5"], "high"), (["recall <= 5"], "low"), (["recall >= 2", "recall <= 8"], "low")],
)
def test_a_bound_says_on_which_side_a_metric_is_good(constraints, important):
    """Low recalls depend on one parameter, high ones on another."""
    space = {"high": hpo.uniform(0, 1), "low": hpo.uniform(0, 1)}

    def value(config):
        return {
            "loss": 0.0,
            "recall": 10 * (config["high"] > 0.85) - 10 * (config["low"] > 0.85) * (config["high"] <= 0.85),
        }

    found = study(space, value, metric="loss", outcome_constraints=constraints)
    assert next(iter(found.importances("recall"))) == important
    assert view(found, "recall").goal.mode == ("max" if important == "high" else "min")


@pytest.mark.parametrize("status", [Status.PRUNED, Status.PAUSED])
def test_fronts_of_all_goals_count_last_reports_as_single_goals_do(status):
    configs = hpo.Space(BOX).sample(200, np.random.default_rng(1))
    metrics = [{"f": c["a"] + 0.01 * c["b"], "g": c["a"] - 0.01 * c["b"]} for c in configs]
    trials = [
        done(m, c) if i < 4 else partial(stopped, m, c, status)
        for i, (m, c) in enumerate(zip(metrics, configs, strict=True))
    ]
    found = results_of(*trials, metric=["f", "g"], space=BOX)
    assert set(found.importances("front")) == set(found.importances("f")) == set(BOX)
    assert next(iter(found.importances("front"))) == "a"


def stopped(metrics, config, status, number, goals):
    """A trial that reported once, and was then pruned or paused."""
    return replace(done(metrics, config, steps=1, status=Status.PRUNED)(number, goals), status=status)


def test_trials_that_break_a_constraint_are_the_worst():
    """Low losses need a low "a", and "b" decides which trials are feasible."""
    space = {"a": hpo.uniform(0, 1), "b": hpo.uniform(0, 1)}
    settings = {"sampler": "random", "seed": 0, "num_trials": 150, "runtime": "local", "storage": "memory"}

    def objective(config):
        return {"loss": config["a"], "mb": 10 * config["b"]}

    def searched(**more):
        return hpo.tune(objective, space, metric="loss", max_concurrent=1, progress=False, **settings, **more)

    bounded, free = searched(outcome_constraints=["mb <= 1"]), searched()
    assert next(iter(bounded.importances())) == "b" and next(iter(free.importances())) == "a"
    assert bounded.importances(method="fanova") == free.importances(method="fanova")  # the metric itself is the same
    assert searched(outcome_constraints=["mb <= 10"]).importances() == free.importances()


def test_wrong_questions_are_named():
    results = results_of(*[done(0.1 * i, {"x": 0.05 * i, "n": 1 + i % 3}) for i in range(12)])
    for wrong in ({"quantile": "a"}, {"region": [1]}, {"quantile": None}):
        with pytest.raises(SpecError, match="PED-ANOVA needs 0 < quantile < region <= 1, got"):
            results.importances(**wrong)
    with pytest.raises(SpecError, match="importances have no method None; known: fanova, ped_anova"):
        results.importances(method=None)
    for ask in (results.importances, results.interactions):
        with pytest.raises(SpecError, match=r"a metric is one name, got \['loss'\]"):
            ask(["loss"])
    with pytest.raises(SpecError, match="pairs is a whole number of at least 0, got -1"):
        results.plot.importances(pairs=-1)
    with pytest.raises(SpecError, match=r"a reference point has a value for each goal, \['loss'\], got 3"):
        results.hypervolume(3)
