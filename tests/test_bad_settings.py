"""Settings that cannot work are refused when the tuner is built: by rule, by what came, with the way out."""

from __future__ import annotations

import pytest

import raytune_hpo as hpo
from raytune_hpo.errors import SpaceError, SpecError


def build(space=None, objective=lambda config: 1.0, **settings):
    settings = {"num_trials": 3, "runtime": "local", "storage": "memory", "progress": False, **settings}
    return hpo.Tuner(objective, {"x": hpo.uniform(0, 1)} if space is None else space, **settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sampler": "randm"}, "did you mean 'random'"),
        ({"sampler": {"name": "sobol", "scrambel": True}}, "did you mean 'scramble'"),
        ({"sampler": {"scramble": True}}, 'needs a "name"'),
        ({"sampler": {"name": 3}}, 'needs a "name", which is text'),
        ({"sampler": {"name": "portfolio", "arms": [{"name": 3}]}}, 'needs a "name", which is text'),
        (
            {"sampler": {"name": "portfolio", "penalty_weight": "x"}},
            "got penalty_weight='x'",
        ),
        ({"scheduler": {"name": "patience", "min_delta": "x"}}, "got min_delta='x'"),
        ({"sampler": 7}, "got 7"),
        ({"sampler": {"name": "gp", "n_initial": True}}, "whole number n_initial"),
        ({"sampler": {"name": "rf", "kappa": float("inf")}}, "finite kappa"),
        ({"sampler": {"name": "rf", "kappa": "a"}}, "kappa"),
        ({"sampler": {"name": "tpe", "min_bandwidth": 1e-200}}, "min_bandwidth >= 1e-09"),
        ({"sampler": {"name": "cmaes", "sigma": 1e-300}}, "1e-09 <= sigma"),
        ({"sampler": {"name": "hyperopt", "gamma": float("inf")}}, "finite gamma"),
        ({"sampler": {"name": ["gp"]}}, "which is text"),
        ({"sampler": {"name": "portfolio", "warm_up_s": "12h"}}, "needs a finite warm_up_s >= 0, got warm_up_s='12h'"),
        ({"sampler": {"name": "portfolio", "penalty": "top_k", "penalty_weight": 0.5}}, "a whole penalty_weight >= 1"),
        ({"scheduler": "ahsa"}, "did you mean 'asha'"),
        ({"scheduler": {"name": "asha", "eta": 1}}, "got eta=1"),
        ({"metric": []}, "at least one metric"),
        ({"metric": ["a", "a"]}, "named once"),
        ({"metric": ["a", "b"], "mode": ["min"]}, "one entry for each metric"),
        ({"mode": "minimize"}, 'mode is "min" or "max"'),
        ({"num_trials": 0}, "at least 1"),
        ({"num_trials": 2.5}, "whole number"),
        ({"num_trials": None}, "needs an end"),
        ({"time_budget_s": 0}, "positive"),
        ({"time_budget_s": float("nan")}, "positive"),
        ({"target": "low"}, "target"),
        ({"target": 0.1, "metric": ["a", "b"]}, "one metric"),
        ({"max_concurrent": 0}, "at least 1"),
        ({"max_retries": -1}, "at least 0"),
        ({"keep_checkpoints": None}, "at least 0"),
        ({"keep_checkpoints": 1.5}, "at least 0"),
        ({"trial_timeout_s": -3}, "above 0"),
        ({"points_to_evaluate": {"x": 0.5}}, "a list of configurations like"),
        ({"points_to_evaluate": 3}, "a list of configurations like"),
        ({"seed": "one"}, "seed"),
        ({"seed": -1}, "seed"),
        ({"name": ""}, "name"),
        ({"sampler": {"name": "grid", "points": 10**9}}, "at most 1,000,000 points"),
        ({"outcome_constraints": ["m <= 1", "m >= 2"]}, "no value of 'm' keeps both"),
        ({"runtime": "dask"}, "unknown runtime 'dask'"),
        ({"isolation": "process"}, "runtime='ray'"),
        ({"isolation": "thread"}, "unknown isolation"),
        ({"resume": "maybe"}, "unknown resume"),
        ({"resources": {"gpus": 1}}, "did you mean 'gpu'"),
        ({"resources": {"cpu": -1}}, "at least 0"),
        ({"resources": []}, "list of such bundles"),
        ({"resources": [{"cpu": 1}, {"cpu": 0}]}, "leave the empty ones out"),
        ({"resources": {"cpu": 1e-5}}, "0 or at least 0.0001"),
        ({"resources": {"gpu": 1.5}}, "a share of one GPU or a whole number"),
        ({"valid_range": (1, 0)}, "low < high"),
        ({"valid_range": {"acc": (1, 0)}}, "low < high"),
        ({"valid_range": {"acc": 3}}, "two numbers"),
        ({"metric": None}, "metric is a word"),
        ({"mode": 1}, "mode is a word"),
        ({"num_trials": "3"}, "num_trials is a whole number"),
        ({"max_failures": 0}, "max_failures is a whole number"),
        ({"sampler": "grid"}, "points="),
        ({"sampler": "hyperopt", "metric": ["a", "b"]}, "learns from one metric"),
        ({"objective": 3}, "function of a configuration"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_bad_setting_is_refused_by_name(settings, words):
    with pytest.raises(SpecError) as caught:
        build(**settings)
    assert words in str(caught.value)


@pytest.mark.parametrize("space", [{}, 7, None.__class__], ids=str)
def test_what_is_no_space_is_refused(space):
    with pytest.raises(SpaceError):
        build(space=space)


@pytest.mark.parametrize("value", [hpo.Float, object], ids=str)
def test_what_is_no_domain_is_a_constant(value):
    results = build(space={"x": value, "y": hpo.uniform(0, 1)}).fit()
    assert [trial.config["x"] for trial in results] == [value] * 3


@pytest.mark.parametrize(
    "make",
    [
        lambda: hpo.uniform(1, 0),
        lambda: hpo.loguniform(0, 1),
        lambda: hpo.Int(5, 2),
        lambda: hpo.choice([]),
        lambda: hpo.Float(0, float("inf")),
        lambda: hpo.Float(0, 1, step=-1),
    ],
)
def test_bounds_that_cannot_be_are_refused(make):
    with pytest.raises(SpaceError):
        build(space={"x": make()})


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: hpo.randint(3, 3), "randint"),
        (lambda: hpo.lograndint(3, 3), "lograndint"),
        (lambda: hpo.qrandint(3, 3, 1), "qrandint with q=1"),
        (lambda: hpo.qlograndint(3, 3, 1), "qlograndint with q=1"),
    ],
)
def test_an_empty_range_is_refused_by_the_name_that_was_written(make, name):
    with pytest.raises(SpaceError, match=rf"^{name} excludes its upper bound"):
        make()


def test_no_points_to_evaluate_may_be_none():
    assert len(build(points_to_evaluate=None).fit()) == 3


def test_points_to_evaluate_are_held_against_the_space():
    with pytest.raises(SpaceError, match="x"):
        build(points_to_evaluate=[{"x": 2.0}])


def test_a_read_only_storage_folder_is_named(tmp_path):
    folder = tmp_path / "file"
    folder.write_text("not a folder")
    with pytest.raises(hpo.errors.JournalError, match="storage"):
        build(storage=f"sqlite:///{folder}/studies.db").fit()


def test_a_grid_smaller_or_larger_than_num_trials_ends_without_duplicates():
    space = {"a": hpo.grid_search([1, 2, 3]), "b": hpo.choice(["x", "y"])}
    small = build(space=space, sampler="grid", num_trials=100).fit()
    assert len(small) == 6 == len({str(t.config) for t in small})
    large = build(space=space, sampler="grid", num_trials=4).fit()
    assert len(large) == 4 == len({str(t.config) for t in large})
    assert len(build(space=space, sampler="grid", num_trials=None).fit()) == 6
