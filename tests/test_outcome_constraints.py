"""Bounds on metrics: from their texts to what becomes of trials that break them."""

from __future__ import annotations

import math

import pytest

import raytune_hpo as hpo
from raytune_hpo.errors import NoCompletedTrial, ObjectiveError, SpecError, SpecMismatch
from raytune_hpo.goals import Goal, make_constraints, make_goals, violations_of
from raytune_hpo.metrics import MetricRules
from raytune_hpo.spec import StudySpec

SPACE = {"x": hpo.uniform(0, 1)}


def study(**settings):
    return hpo.Study(SPACE, storage="memory", **{"sampler": "random", "seed": 0, **settings})


def told(study, *results):
    for metrics in results:
        study.tell(study.ask(), metrics)
    return study.results()


def test_a_text_is_a_metric_a_comparison_and_a_number():
    below, above = make_constraints(["size_mb <= 100", " per class/recall>=0.8 "])
    assert below == Goal("size_mb", "min", threshold=100.0)
    assert above == Goal("per class/recall", "max", threshold=0.8)
    assert (str(below), str(above)) == ("size_mb <= 100", "per class/recall >= 0.8")


@pytest.mark.parametrize(
    "texts",
    ["size <= 1", ["size < 1"], ["size"], ["<= 3"], ["size <= big"], ["size <= nan"], ["0 <= size <= 1"], [3], 7],
)
def test_another_text_is_refused_with_an_example(texts):
    with pytest.raises(SpecError, match="size_mb <= 100"):
        make_constraints(texts)


def test_a_bound_is_given_once_on_each_side():
    assert len(make_constraints(["a <= 1", "a >= 0"])) == 2
    with pytest.raises(SpecError, match="one bound on each side"):
        make_constraints(["a <= 1", "a <= 2"])
    with pytest.raises(SpecError, match="no value of 'a' keeps both a >= 2 and a <= 1"):
        make_constraints(["a <= 1", "a >= 2"])


def test_a_violation_is_told_in_the_units_of_its_metric():
    constraints = make_constraints(["mb <= 100", "recall >= 0.8", "mb >= 10"])
    assert violations_of({"mb": 130, "recall": 0.8}, constraints) == {"mb": 30}
    assert violations_of({"mb": 5, "recall": 0.7}, constraints) == {"mb": 5, "recall": pytest.approx(0.1)}
    assert math.isnan(violations_of({"mb": 50}, constraints)["recall"])


def test_thresholds_are_of_goals_and_numbers():
    assert [goal.threshold for goal in make_goals(["a", "b"], thresholds={"b": 3})] == [None, 3.0]
    with pytest.raises(SpecError, match='outcome_constraints=\\["c <= 3"\\]'):
        make_goals(["a", "b"], thresholds={"c": 3})
    with pytest.raises(SpecError, match="is a value of that metric"):
        make_goals(["a", "b"], thresholds={"a": "low"})


def test_a_result_must_have_the_metric_of_a_constraint_and_a_report_need_not():
    rules = MetricRules(make_goals("loss"), every_report=True, constraints=make_constraints(["mb <= 1"]))
    assert rules.of_report({"loss": 1.0}) == {"loss": 1.0}
    with pytest.raises(ObjectiveError, match="'mb'.*outcome constraint"):
        rules.of_result({"loss": 1.0})
    with pytest.raises(ObjectiveError, match="must be a number"):
        rules.of_result({"loss": 1.0, "mb": "much"})


def test_what_breaks_a_constraint_completes_and_is_never_the_best():
    results = told(
        study(outcome_constraints=["mb <= 100"]),
        {"loss": 1.0, "mb": 130},
        {"loss": 2.0, "mb": 90},
        {"loss": 3.0, "mb": 9},
    )
    assert [trial.status for trial in results] == ["completed"] * 3
    assert [dict(trial.violations) for trial in results] == [{"mb": 30}, {}, {}]
    assert results.best_trial.number == 1 and results.best_value == 2.0
    assert [trial.number for trial in results.best_trials] == [1]
    assert [trial.number for trial in results.feasible] == [1, 2]
    assert "2 of 3 completed trials are feasible; broken: mb <= 100 by 1" in str(results)


def test_without_a_feasible_trial_there_is_no_best():
    results = told(study(outcome_constraints=["mb <= 1"]), {"loss": 1.0, "mb": 3})
    with pytest.raises(NoCompletedTrial, match="keeps the outcome constraints.*broken: mb <= 1 by 1"):
        _ = results.best_trial


def test_a_scheduler_that_does_not_know_constraints_is_warned_of():
    with pytest.warns(UserWarning, match=r"'patience' judges trials by loss alone.*\['mb <= 1'\].*take another"):
        study(outcome_constraints=["mb <= 1"], scheduler="patience")


def test_an_infeasible_trial_is_not_the_target():
    def objective(config):
        return {"loss": 0.0, "mb": 3.0 if objective.calls.append(1) or len(objective.calls) < 4 else 0.0}

    objective.calls = []
    results = hpo.tune(
        objective, SPACE, target=0.5, num_trials=9, outcome_constraints=["mb <= 1"], sampler="random", storage="memory",
        runtime="local", max_concurrent=1, progress=False,
    )  # fmt: skip
    assert len(results) == 4


def test_the_spec_keeps_them_and_says_what_differs():
    with_both = study(metric=["a", "b"], thresholds={"a": 1.0}, outcome_constraints=["mb <= 1"])
    spec = with_both.results().spec
    again = StudySpec.from_json(spec.to_json())
    assert again.constraints == spec.constraints and again.goals == spec.goals
    plain = study(metric=["a", "b"]).results().spec
    assert "constraints" not in plain.to_json()
    with pytest.raises(SpecMismatch, match="thresholds"):
        again.require_same(study(metric=["a", "b"], outcome_constraints=["mb <= 1"], name=spec.name).results().spec)
    with pytest.raises(SpecMismatch, match="outcome_constraints"):
        again.require_same(study(metric=["a", "b"], thresholds={"a": 1.0}, name=spec.name).results().spec)


def test_a_sampler_that_would_not_heed_them_is_refused_by_name():
    with pytest.raises(SpecError, match="cmaes.*outcome constraints.*use auto, gp, nsga2, nsga3, rf, tpe"):
        study(sampler="cmaes", outcome_constraints=["mb <= 1"])
