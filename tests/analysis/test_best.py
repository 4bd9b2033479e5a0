"""What trials say about the best value and how it came about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo.analysis.best import best_trial, best_trials, ranked
from raytune_hpo.analysis.columns import columns_of, flattened
from raytune_hpo.analysis.learning_curves import learning_curves
from raytune_hpo.analysis.savings import early_stopping_savings
from raytune_hpo.analysis.series import MetricSeries, improvements, lowest_so_far
from raytune_hpo.facts import Finished, Status
from raytune_hpo.goals import Goal
from raytune_hpo.numerics.pareto import pareto_front
from raytune_hpo.testing import finish, report, start
from raytune_hpo.trial import evolve

LOSS = Goal("loss")


def completed(number, loss):
    return finish(start(number, {"x": loss}), {"loss": loss})


def failed(number):
    return finish(start(number, {"x": 0.0}), status=Status.FAILED)


def timed(number, status, duration_s):
    trial = start(number, {})
    metrics = {"loss": 1.0} if status is Status.COMPLETED else {}
    fact = Finished(number=number, attempt=1, status=status, at=99.0, metrics=metrics, duration_s=duration_s)
    return evolve(trial, fact, ())


def test_the_best_is_the_first_of_the_lowest_and_failed_trials_do_not_count():
    trials = [failed(0), completed(1, 0.5), completed(2, 0.2), completed(3, 0.2), start(4, {})]
    assert best_trial(trials) == trials[2]
    assert best_trials(trials) == trials[2:4]
    assert [t.number for t in ranked(trials)] == [2, 3, 1]


def test_nothing_completed_has_no_best():
    assert best_trial([failed(0)]) is None
    assert best_trials([]) == []
    assert MetricSeries(LOSS, [failed(0)]).lowest_over_time()[0].size == 0
    assert MetricSeries(LOSS, [failed(0)]).best is None and MetricSeries(LOSS, []).best is None


def test_the_best_so_far_only_falls_and_is_missing_before_the_first():
    np.testing.assert_array_equal(lowest_so_far(np.array([np.nan, 3, 5, np.nan, 1])), [np.nan, 3, 3, 3, 1])
    assert lowest_so_far(np.empty(0)).size == 0
    series = MetricSeries(LOSS, [failed(0), completed(1, 2.0), completed(2, 3.0)])
    np.testing.assert_array_equal(series.lowest_so_far, [np.nan, 2, 2])
    assert (series.best, series.improvements) == (1, [1])


def test_improvements_are_the_corners_of_the_best_so_far():
    assert improvements(np.array([np.nan, 3, 5, np.nan, 3, 1])) == [1, 5]
    assert improvements(np.array([np.inf, 2])) == [0, 1]
    assert improvements(np.empty(0)) == [] and improvements(np.array([np.nan])) == []


def test_over_time_trials_count_when_they_finish():
    late, early = completed(0, 1.0), completed(1, 5.0)  # started at 0 and 1, each takes a second
    times, best = MetricSeries(LOSS, [late, early]).lowest_over_time()
    np.testing.assert_array_equal(times, [1, 2])
    np.testing.assert_array_equal(best, [1, 1])


def brute_force(losses):
    dominated = [
        any((other <= row).all() and (other < row).any() for other in losses if not np.isnan(other).any())
        for row in losses
    ]
    return ~np.array(dominated) & ~np.isnan(losses).any(axis=1)


@pytest.mark.parametrize("num_goals", [1, 2, 3, 5])
def test_the_front_is_what_the_definition_says(num_goals):
    rng = np.random.default_rng(num_goals)
    for _ in range(20):
        losses = rng.integers(0, 5, size=(40, num_goals)).astype(float)  # many ties
        losses[rng.random(40) < 0.1] = np.nan
        np.testing.assert_array_equal(pareto_front(losses), brute_force(losses))


def test_a_front_of_nothing_and_of_a_vector():
    assert pareto_front(np.empty((0, 2))).shape == (0,)
    assert not pareto_front(np.full((3, 2), np.nan)).any()
    with pytest.raises(ValueError, match=r"\(trials, goals\)"):
        pareto_front(np.zeros(3))


def test_infinite_losses_are_beaten_by_finite_ones():
    assert pareto_front(np.array([[np.inf, 0.0], [1.0, 0.0], [0.0, np.inf]])).tolist() == [False, True, True]


def test_curves_leave_out_reports_without_the_metric():
    trial = report(report(report(start(0, {}), 1, 0.5), 2, None), 3, 0.25)
    (curve,) = learning_curves([trial, start(1, {})], "loss")
    assert curve.steps.tolist() == [1, 3]
    assert curve.values.tolist() == [0.5, 0.25]
    assert learning_curves([trial], "accuracy") == []


def test_a_thinned_curve_keeps_its_ends():
    trial = start(0, {})
    for step in range(1, 1001):
        trial = report(trial, step, 1 / step)
    (curve,) = learning_curves([trial], "loss")
    thin = curve.thinned(50)
    assert len(thin.steps) == 50
    assert (thin.steps[0], thin.steps[-1]) == (1, 1000)
    assert curve.thinned(5000) is curve


def test_savings_are_what_pruned_trials_would_have_taken_at_their_own_pace():
    def ended(number, steps, status, duration_s):
        trial = start(number, {})
        for step in steps:
            trial = report(trial, step, 0.5)
        return replace(trial, status=status, duration_s=duration_s)

    trials = [
        *[ended(i, (5, 10), Status.COMPLETED, 10.0) for i in range(3)],
        ended(3, (1, 2), Status.PRUNED, 2.0),  # 8 steps of 1 s were missing
        ended(4, (5,), Status.PRUNED, 30.0),  # 5 steps of 6 s
        ended(5, (), Status.FAILED, 1.0),
    ]
    savings = early_stopping_savings(trials)
    assert (savings.num_pruned, savings.saved_s) == (2, 38.0)
    assert savings.share == pytest.approx(38 / (38 + 63))


def test_what_resumed_trials_did_before_counts_only_where_it_was_of_use():
    def played(objective):
        return hpo.simulate(
            objective, {"x": hpo.uniform(0, 1)}, num_trials=60, sampler="random", seed=1, num_workers=1,
            scheduler={"name": "asha", "max_steps": 9, "promote": True},
        )  # fmt: skip

    def forgets(config):
        for step in range(1, 10):
            hpo.report(loss=config["x"] + 1 / step, step=step, cost_s=float(step))

    def saves(config):
        saved = hpo.checkpoint()
        for step in range(1 if saved is None else saved.step + 1, 10):
            hpo.report(loss=config["x"] + 1 / step, step=step, cost_s=float(step), save=lambda folder: None)

    wasteful, thrifty = played(forgets), played(saves)
    resumed = [trial for trial in wasteful if trial.attempt > 1]
    lost_s = sum((trial.duration_s or 0) - (trial.last_step or 0) for trial in resumed)  # of a second each
    assert len(resumed) > 2 and lost_s > 0
    assert (wasteful.savings.num_restarted, wasteful.savings.repeated_s) == (len(resumed), pytest.approx(lost_s))
    assert f"{len(resumed)} trials started over when resumed, for lack of a checkpoint" in str(wasteful)
    assert (thrifty.savings.num_restarted, thrifty.savings.repeated_s) == (0, 0)
    assert "started over" not in str(thrifty)
    assert wasteful.savings.saved_s == pytest.approx(thrifty.savings.saved_s)
    assert wasteful.savings.share == pytest.approx(thrifty.savings.share)


def test_loading_data_is_not_saved_by_stopping():
    def trained(config):
        for step in range(1, 28):
            hpo.report(loss=config["x"] + 1 / step, step=step, cost_s=50.0 + config["x"] * step)

    def played(scheduler):
        return hpo.simulate(
            trained,
            {"x": hpo.uniform(0, 1)},
            num_trials=40,
            sampler="random",
            seed=1,
            num_workers=2,
            scheduler=scheduler,
        )

    whole, stopped = (sum(trial.duration_s for trial in played(scheduler)) for scheduler in (None, "asha"))
    assert played("asha").savings.saved_s == pytest.approx(whole - stopped, rel=0.1)


@pytest.mark.parametrize("after_s", [0.0, 0.5, 5.0])
def test_an_evaluation_after_the_last_report_is_no_slow_beginning(after_s):
    def trained(config):
        for step in range(1, 21):
            hpo.report(loss=config["x"] + 1 / step, step=step, cost_s=float(step))
        return {"loss": config["x"], "cost_s": 20.0 + after_s}

    results = hpo.simulate(
        trained, {"x": hpo.uniform(0, 1)}, num_trials=40, sampler="random", seed=1, scheduler="median"
    )
    stopped = [trial for trial in results if trial.status is Status.PRUNED]
    assert len(stopped) > 5
    assert results.savings.saved_s == pytest.approx(sum(20 - trial.last_step for trial in stopped))


def test_without_completed_trials_nothing_is_said_about_savings():
    assert early_stopping_savings([timed(0, Status.PRUNED, 2.0)]).saved_s is None
    assert early_stopping_savings([]).num_pruned == 0


def test_nested_configurations_become_columns_and_absent_parameters_are_none():
    assert flattened({"a": 1, "b": {"c": {"d": 2}, "e": {}}}) == {"a": 1, "b/c/d": 2, "b/e": {}}
    columns = columns_of([start(0, {"m": {"kind": "svm", "C": 1.0}}), start(1, {"m": {"kind": "tree"}})], ["loss"])
    assert columns["config/m/C"] == [1.0, None]
    assert columns["metrics/loss"] == [None, None]
    assert list(columns)[:2] == ["number", "status"]
