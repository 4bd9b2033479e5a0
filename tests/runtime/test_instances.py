"""Objectives measured on several inputs or seeds: each is a step, and the metric is the mean."""

from __future__ import annotations

import math

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo.core.audit import audit
from raytune_hpo.core.instances import means_so_far, order_of
from raytune_hpo.errors import HpoError, ObjectiveError, SpecError, SpecMismatch
from raytune_hpo.journal import open_storage

SPACE = {"x": hpo.uniform(0, 1)}
INPUTS = ["one", "three", "fifteen", "six"]


def length(config, text):
    return {"loss": config["x"] * len(text), "length": len(text), "text": text}


def tune(objective, instances, **settings):
    defaults = {"sampler": "random", "seed": 1, "runtime": "local", "storage": "memory", "progress": False}
    return hpo.tune(
        objective, SPACE, instances=instances, **{**defaults, "max_concurrent": 1, "num_trials": 4, **settings}
    )


def test_the_result_is_the_mean_and_each_instance_keeps_its_own():
    for trial in tune(length, INPUTS):
        own = trial.per_instance
        assert set(own) == set(INPUTS)
        assert all(values == length(trial.config, text) for text, values in own.items())
        assert trial.metrics["loss"] == pytest.approx(trial.config["x"] * np.mean([len(text) for text in INPUTS]))
        assert trial.metrics["length"] == pytest.approx(4.5)
        means = [trial.config["x"] * np.mean([len(t) for t in list(own)[: k + 1]]) for k in range(4)]
        assert [r.losses[0] for r in trial.reports] == pytest.approx(means)


def test_all_trials_meet_the_instances_in_one_order_that_the_seed_decides():
    orders = {tuple(trial.per_instance) for seed in range(6) for trial in tune(length, INPUTS, seed=seed)}
    assert 1 < len(orders) <= 6
    assert len({tuple(trial.per_instance) for trial in tune(length, INPUTS, seed=3)}) == 1
    assert sorted(order_of(7, 5)) == list(range(7)) and order_of(7, 5) == order_of(7, 5)


def test_a_number_of_instances_is_that_many_seeds_and_the_same_ones_always():
    seen = []

    def objective(config, seed):
        seen.append(seed)
        return config["x"] + seed % 3

    (trial,) = tune(objective, 5, num_trials=1)
    assert len(set(seen)) == 5 and all(type(seed) is int for seed in seen)
    assert sorted(map(int, trial.per_instance)) == sorted(seen)
    before = set(seen)
    tune(objective, 5, num_trials=1, seed=99)
    assert set(seen) == before


def test_inputs_of_any_kind_have_names_by_which_a_study_is_known_again(tmp_path):
    arrays = [np.arange(3), np.arange(4)]
    settings = {"storage": tmp_path / "s.db", "name": "s"}
    first = tune(lambda config, array: config["x"] * array.sum(), arrays, num_trials=1, **settings)
    again = tune(lambda config, array: config["x"] * array.sum(), [a.copy() for a in arrays], num_trials=2, **settings)
    assert list(first[0].per_instance) == list(again[1].per_instance)
    assert all(name.startswith("ndarray ") for name in first[0].per_instance)
    with pytest.raises(SpecMismatch, match="instances"):
        tune(lambda config, array: 1.0, [np.arange(3)], num_trials=3, **settings)
    assert audit(open_storage(tmp_path / "s.db").read("s")).is_clean


def test_going_on_needs_no_checkpoint(tmp_path):
    calls = []

    def objective(config, text):
        calls.append((config["x"], text))
        return config["x"] * len(text)

    results = tune(
        objective, ["a" * n for n in range(1, 10)], num_trials=9, scheduler={"name": "asha", "promote": True},
        storage=tmp_path / "s.db", name="s",
    )  # fmt: skip
    assert len(calls) == len(set(calls)), "nothing was measured twice"
    assert results.num_by_status["completed"] == 1 and results.num_by_status["paused"] == 8
    assert len(results.best_trial.per_instance) == 9
    assert audit(open_storage(tmp_path / "s.db").read("s")).is_clean


def test_a_trial_that_was_stopped_after_its_last_instance_is_complete_when_the_study_goes_on(tmp_path):
    settings = {"storage": tmp_path / "s.db", "name": "s", "num_trials": 2}
    stopped = tune(length, INPUTS, **settings, num_steps=len(INPUTS))
    assert stopped[0].status == "waiting" and stopped[0].last_step == len(INPUTS)
    results = tune(length, INPUTS, **settings)
    assert [trial.status for trial in results] == ["completed"] * 2
    assert all(set(trial.per_instance) == set(INPUTS) for trial in results)


def test_big_parameters_go_along():
    objective = hpo.with_parameters(lambda config, text, table: config["x"] * table[text], table={"a": 2.0, "b": 4.0})
    (trial,) = tune(objective, ["a", "b"], num_trials=1)
    assert trial.metrics["loss"] == pytest.approx(3 * trial.config["x"])


def test_a_study_that_is_driven_by_hand_has_instances_too():
    study = hpo.Study(SPACE, instances=INPUTS, sampler="random", seed=1, storage="memory", num_trials=1)
    trial = study.ask()
    for step, loss in enumerate((1.0, 3.0), start=1):
        study.report(trial, step, loss)
    assert [r.losses for r in study.results()[0].reports] == [(1.0,), (2.0,)]
    assert len(study.results()[0].per_instance) == 2


@pytest.mark.parametrize(
    ("instances", "words"),
    [
        ([], "a list of up to 10000 inputs, or a number of seeds"),
        (0, "got 0"),
        ("abc", "got 'abc'"),
        ({"a": 1}, "a list"),
        ([1, 2, 1], "got '1' twice"),
        ([1, "1"], "got '1' twice"),
        ([lambda: 1], "digest of its pickle"),
    ],
)
def test_instances_that_are_none_are_refused(instances, words):
    with pytest.raises(SpecError, match=words):
        tune(length, instances)


def test_by_hand_every_instance_is_reported_in_turn_and_the_result_is_their_mean():
    with hpo.Study(SPACE, storage="memory", instances=["a", "b", "c"], seed=0) as study:
        trial = study.ask()
        for step in (0, 2, 4):
            with pytest.raises(ObjectiveError, match=f"each of the 3 instances is a step.*got step={step}"):
                study.report(trial, step, 1.0)
        study.report(trial, 1, 1.0)
        for told in (None, 100.0):
            with pytest.raises(
                HpoError, match="has 2 of 3 instances left to report, and its result is the mean over all"
            ):
                study.tell(trial, told)
        study.report(trial, 2, 2.0)
        study.report(trial, 3, 6.0)
        assert study.tell(trial, 100.0).metrics == {"loss": 3.0}
        given_up = study.ask()
        study.report(given_up, 1, 0.0)
        study.stop_trial(given_up)
        study.report(given_up, 2, 0.0)
        assert study.tell(given_up).status == "pruned" and study.results().best_trial.number == trial.number


def test_repeats_of_a_study_over_instances_are_refused_before_anything_is_run():
    results = tune(length, INPUTS)
    with pytest.raises(SpecError, match="measures each configuration on 4 instances, which are its repeats"):
        results.confirm(top=2, repeats=2)


def test_an_objective_that_takes_no_instance_is_refused():
    with pytest.raises(SpecError, match=r"objective\(config, instance\)"):
        tune(lambda config: 1.0, 3)


def test_what_goes_wrong_on_one_instance_fails_the_trial():
    def objective(config, text):
        return float("nan") if text == "six" else 1.0

    (trial,) = tune(objective, INPUTS, num_trials=1)
    assert trial.status == "failed" and "finite" in trial.reason

    def reports(config, text):
        yield 1.0

    (trial,) = tune(reports, INPUTS, num_trials=1)
    assert trial.status == "failed" and "each of them is a step" in trial.reason


def test_an_objective_reports_nothing_of_its_own():
    def reports(config, text):
        hpo.report(loss=100.0)
        return config["x"]

    assert all("what the objective returns" in trial.reason for trial in tune(reports, INPUTS, num_trials=2))


def test_members_of_a_population_do_not_run_over_instances():
    with pytest.raises(SpecError, match="with instances a step is one of them; leave instances out"):
        tune(length, INPUTS, sampler={"name": "pbt", "max_steps": 4})


def test_means_are_of_numbers_and_the_rest_is_the_last():
    own = [{"a": 1, "b": "x", "ok": True}, {"a": 2.0, "b": "y", "ok": False, "new": 5}]
    assert means_so_far(own) == {"a": 1.5, "b": "y", "ok": False, "new": 5}


def test_the_mean_of_values_as_large_as_floats_is_finite():
    huge = 1.7976931348623157e308
    assert means_so_far([{"loss": huge}] * 12) == {"loss": huge}
    assert means_so_far([{"loss": -huge, "a": math.inf}, {"loss": -huge, "a": -math.inf}])["loss"] == -huge


def test_on_the_virtual_clock_each_instance_takes_its_own_time_and_none_is_run_twice():
    calls = []

    def objective(config, text):
        calls.append((config["x"], text))
        return {"loss": config["x"] * len(text), "cost_s": float(len(text))}

    results = hpo.simulate(
        objective, SPACE, instances=["a" * n for n in range(1, 10)], num_trials=9, sampler="random", seed=1,
        scheduler={"name": "asha", "promote": True}, num_workers=2,
    )  # fmt: skip
    assert len(calls) == len(set(calls)) < 81
    for trial in results:
        assert trial.duration_s == pytest.approx(sum(len(text) for text in trial.per_instance))
