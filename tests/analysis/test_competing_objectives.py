"""What several goals add up to: hypervolumes, thresholds, stagnation, prices."""

from __future__ import annotations

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo.analysis.fronts import attained_hypervolume, front_ranks, reference_point, trade_offs
from raytune_hpo.analysis.stagnation import has_stagnated
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.goals import make_constraints, make_goals
from raytune_hpo.testing.trials import finish, start

GOALS = make_goals(["acc", "ms"], ["max", "min"])
POINTS = [(0.5, 10.0), (0.6, 30.0), (0.4, 20.0), (0.9, 40.0)]


def trials_of(points, goals=GOALS, constraints=()):
    names = [goal.metric for goal in goals]
    return [
        finish(start(i, {"x": 0.0}), dict(zip(names, p, strict=False)), goals=goals, constraints=constraints)
        for i, p in enumerate(points)
    ]


def results_of(points, **settings):
    study = hpo.Study(
        {"x": hpo.uniform(0, 1)},
        metric=["acc", "ms"],
        mode=["max", "min"],
        sampler="random",
        storage="memory",
        **settings,
    )
    for acc, ms in points:
        study.tell(study.ask(), {"acc": acc, "ms": ms})
    return study.results()


def test_a_hypervolume_is_in_the_metrics_own_units():
    results = results_of(POINTS)
    by_hand = (0.5 - 0.3) * (50 - 10) + (0.6 - 0.5) * (50 - 30) + (0.9 - 0.6) * (50 - 40)
    assert results.hypervolume({"acc": 0.3, "ms": 50}) == pytest.approx(by_hand)
    assert results.hypervolume([0.3, 50]) == pytest.approx(by_hand)
    assert results.hypervolume() == pytest.approx(results.hypervolume({"acc": 0.5 - 0.04, "ms": 43.0}))
    with pytest.raises(SpecError, match="for each goal"):
        results.hypervolume([0.3])
    with pytest.raises(SpecError, match="'mb'"):
        results.hypervolume({"mb": 3})
    with pytest.raises(SpecError, match="finite numbers, got nan for 'acc'"):
        results.hypervolume([float("nan"), 1])


def test_thresholds_are_the_reference_and_forbid_nothing():
    results = results_of(POINTS, thresholds={"ms": 35})
    assert results.hypervolume() == pytest.approx(results.hypervolume({"ms": 35}))
    assert [trial.number for trial in results.best_trials] == [0, 1, 3]
    assert [trial.number for trial in results.best_past_thresholds] == [0, 1]
    assert len(results.feasible) == 4
    assert "past the thresholds (ms <= 35): 2 of 3 of the front" in str(results)


def test_nothing_has_no_hypervolume():
    assert results_of([]).hypervolume() == 0.0


def test_the_attained_hypervolume_grows_where_the_front_does():
    trials = trials_of(POINTS)
    point = reference_point(trials, GOALS, [0.3, 50])
    growth = attained_hypervolume(trials, point)
    assert growth.numbers.tolist() == [0, 1, 3]
    assert growth.volumes.tolist() == pytest.approx([8.0, 10.0, 13.0])


def test_ranks_of_fronts_stand_for_all_goals():
    constraints = make_constraints(["ms <= 35"])
    assert front_ranks(trials_of(POINTS, constraints=constraints), GOALS).tolist() == [0.0, 0.0, 1.0, 2.0]


def test_a_price_is_what_the_last_gain_cost():
    steps = trade_offs([trial for trial in trials_of(POINTS) if trial.number != 2], GOALS)
    assert [step.trial.number for step in steps] == [0, 1, 3]
    assert steps[0].price is None
    assert [steps[1].price, steps[2].price] == pytest.approx([200.0, 10 / 0.3])
    assert steps[1].changes == {"acc": pytest.approx(0.1), "ms": 20.0}


@pytest.mark.parametrize("newest", [2.0, 0.5])
def test_one_goal_has_stagnated_where_the_fifth_best_of_before_is_as_good(newest):
    goals = make_goals("loss")
    trials = trials_of([(1.0,)] * 5 + [(9.0,)] * 4 + [(newest,)] * 5, goals)
    assert has_stagnated(trials, 1) is (newest > 1)
    assert not has_stagnated(trials[:9], 1)


def test_several_goals_have_where_the_front_is_old():
    old = trials_of([*POINTS, *POINTS[:2], *[(0.1, 90.0)] * 5])
    assert has_stagnated(old, 1)
    assert not has_stagnated([*old[:-1], *trials_of([(0.95, 80.0)])], 1)


def test_a_duplicate_of_the_front_is_no_progress():
    same = trials_of([POINTS[0]] * 12)
    assert has_stagnated(same, 1) and not has_stagnated(same[:9], 1)
    assert not has_stagnated([*same, *trials_of([(0.99, 80.0)])], 1)


@pytest.mark.parametrize("goals", [make_goals("loss"), GOALS])
def test_a_study_whose_trials_all_fail_stagnates(goals):
    failed = [finish(start(number, {}), status=Status.FAILED, goals=goals) for number in range(10)]
    assert has_stagnated(failed, 1) and not has_stagnated(failed[:9], 1)
    worked = trials_of([(1.0,) * len(goals)], goals)
    assert not has_stagnated([*failed, *worked], 1)


@pytest.mark.parametrize("metric", ["loss", ["loss", "other"]])
def test_a_study_of_failures_may_end_there(metric):
    def objective(config):
        raise ValueError("never")

    results = hpo.tune(
        objective, {"x": hpo.uniform(0, 1)}, metric=metric, stagnation=True, num_trials=40, sampler="random",
        storage="memory", runtime="local", max_concurrent=1, progress=False,
    )  # fmt: skip
    assert 10 <= len(results) < 40 and results.stagnation


def test_a_study_may_end_there():
    results = hpo.tune(
        lambda config: 1.0, {"x": hpo.uniform(0, 1)}, stagnation=True, num_trials=40, sampler="random", storage="memory",
        runtime="local", max_concurrent=1, progress=False,
    )  # fmt: skip
    assert 10 <= len(results) < 40  # short trials are handed out several at a time
    assert results.stagnation


def test_importances_are_asked_for_all_goals_at_once():
    study = hpo.Study(
        {"x": hpo.uniform(0, 1), "y": hpo.uniform(0, 1)}, metric=["f", "g"], sampler="random", seed=0, storage="memory"
    )
    for _ in range(60):
        trial = study.ask()
        away = abs(trial.config["y"] - 0.5)
        study.tell(trial, {"f": trial.config["x"] + 9 * away, "g": 1 - trial.config["x"] + 9 * away})
    assert study.results().importances("front")["y"] > 0.9
    assert np.isclose(sum(study.results().importances("front").values()), 1)


def test_one_metric_is_measured_from_its_worst_value():
    study = hpo.Study({"x": hpo.uniform(0, 1)}, sampler="random", seed=0, storage="memory")
    assert study.results().hypervolume() == 0.0
    for loss in (3.0, 0.01, 1.0):
        study.tell(study.ask(), loss)
    assert study.results().hypervolume() == pytest.approx(2.99)
    assert study.results().hypervolume([1.01]) == pytest.approx(1.0)
