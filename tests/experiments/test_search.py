"""Searches on the virtual clock, and what they add up to."""

import numpy as np
import pandas as pd
import pytest
from experiment_tables import written

import raytune_hpo as hpo
from raytune_hpo.errors import SpecError
from raytune_hpo.experiments import Plan, Summary, Until, find_task
from raytune_hpo.experiments.search import COLUMNS, search


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return find_task(written(tmp_path_factory.mktemp("tables")))


def test_a_search_has_a_row_for_each_step_and_its_times_add_up(task):
    frame = search(task, Plan(sampler="gp", until=Until(num_trials=25)), 0)
    assert tuple(frame.columns) == COLUMNS
    assert frame["step"].tolist() == list(range(1, 26))
    np.testing.assert_allclose(frame["trial_s_total"], frame["trial_s"].cumsum())
    np.testing.assert_allclose(frame["total_s"], frame["trial_s_total"] + frame["optimizer_s_total"])
    np.testing.assert_allclose(frame["best"], frame["value"].cummax())
    assert (frame["optimizer_s"] > 0).all() and (frame["epochs"] == 9).all()
    assert not frame["duplicate"].any()


def test_searches_differ_from_one_another_and_come_again_the_same(task):
    plan = Plan(sampler="random", until=Until(num_trials=10), seed=3)
    first, again, second = search(task, plan, 0), search(task, plan, 0), search(task, plan, 1)
    assert first["value"].tolist() == again["value"].tolist() != second["value"].tolist()


def test_a_search_ends_at_its_goal_or_its_time(task):
    until = Until.read(["goal=0.95", "time=2h"])
    frame = search(task, Plan(sampler="random", until=until), 0)
    assert frame["best"].iloc[-1] >= 0.95 and (frame["best"].iloc[:-1] < 0.95).all()
    frame = search(task, Plan(sampler="random", until=Until.read(["time=30m"])), 0)
    assert 1000 < frame["total_s"].iloc[-1] <= 1800


def test_stopped_trials_take_less_and_arms_are_named(task):
    arms = ({"name": "gp"}, {"name": "rf", "num_trees": 5})
    plan = Plan(
        sampler={"name": "portfolio", "arms": arms, "strategy": "BO-HEDGE-T"},
        scheduler={"name": "tercet", "max_steps": 9},
        until=Until(num_trials=20),
    )
    frame = search(task, plan, 0)
    assert set(frame["status"]) == {"completed", "pruned"}
    pruned = frame["status"] == "pruned"
    assert frame.loc[pruned, "epochs"].max() < 9
    assert frame["value"].notna().all()
    np.testing.assert_allclose(
        frame["best"], frame["value"].where(~pruned).cummax().ffill()
    )  # stopped ones are never it
    assert set(frame["arm"]) <= {"random", "gp-log_ei", "rf-log_ei"}


def test_a_simulation_says_how_long_the_optimizer_thought_of_each_trial(task):
    seconds = {}
    settings = {"metric": "accuracy", "mode": "max", "num_trials": 8, "num_workers": 2, "sampler": "random", "seed": 0}
    told = hpo.simulate(task.objective, task.space, on_suggestion=seconds.__setitem__, **settings)
    assert list(seconds) == [trial.number for trial in told] == list(range(8))
    assert all(0 < spent < 10 for spent in seconds.values())
    untold = hpo.simulate(task.objective, task.space, **settings)
    assert [(t.config, t.finished_at) for t in told] == [(t.config, t.finished_at) for t in untold]


def test_six_workers_are_done_sooner(task):
    one, six = (search(task, Plan(sampler="random", until=Until(num_trials=30), num_workers=n), 0) for n in (1, 6))
    assert six["total_s"].max() < one["total_s"].max() / 4


def made(times, values):
    return pd.DataFrame({
        "total_s": times, "best": np.maximum.accumulate(values), "arm": ["a"] * len(times),
        "optimizer_s": [0.1] * len(times), "duplicate": [False] * len(times),
        "status": ["completed", *["failed"] * (len(times) - 1)],
    })  # fmt: skip


def test_rates_times_and_bands_are_those_of_the_searches():
    searches = [made([100, 200, 300], [0.1, 0.9, 0.95]), made([150, 250], [0.5, 0.6]), made([50], [0.91])]
    summary = Summary(searches=searches, goal=0.9, mode="max")
    assert summary.times_to_goal_s.tolist() == [200, np.inf, 50]
    assert [summary.success_rate(h)[0] for h in (40, 60, 1000)] == [0, 1 / 3, 2 / 3]
    p, low, high = summary.success_rate(1000)
    assert 0.2 < low < p < high < 0.95  # Wilson's interval of 2 in 3
    assert summary.of_independent(2, 60) == pytest.approx(1 - (2 / 3) ** 2)
    assert summary.mean_time_to_goal_s == 125
    medians = summary.best_so_far([10, 60, 160, 300])[0.5]
    np.testing.assert_allclose(medians, [np.nan, 0.91, 0.5, 0.91])
    assert "67%" in summary.text([1000])
    data = summary.to_json([60])
    assert data["arms"] == {"a": 6} and (data["failed"], data["pruned"]) == (1, 0)
    assert "2 trials on average (1 failed, 0 pruned, 0 repeated)" in summary.text([60])


def test_searches_that_used_up_their_trials_are_not_known_to_have_missed_the_goal_later():
    searches = [made([100, 200], [0.1, 0.2]), made([100, 200], [0.1, 0.95]), made([100], [0.1])]
    summary = Summary(searches=searches, goal=0.9, mode="max", num_trials=2)
    assert [summary.num_cut_short(h) for h in (150, 200, 201)] == [0, 0, 1], "the third ended for another reason"
    assert Summary(searches=searches, goal=0.9, mode="max").num_cut_short(1000) == 0


def test_without_a_goal_nobody_asks_for_it_and_nothing_reached_is_nothing():
    searches = [made([100], [0.1])]
    assert "reached" not in Summary(searches=searches, goal=None, mode="max").text([60])
    none = Summary(searches=searches, goal=0.9, mode="max")
    assert none.success_rate(60)[:2] == (0.0, 0.0) and np.isnan(none.mean_time_to_goal_s)
    assert Summary(searches=searches, goal=0.2, mode="min").times_to_goal_s.tolist() == [100]


def test_trials_end_a_search_at_ten_thousand_only_where_nothing_is_said_of_them():
    assert Until.read(["time=1h"]).num_trials == 10_000
    assert Until.read(["trials=20000"]).num_trials == 20_000


@pytest.mark.parametrize("word", ["gaol=1", "goal=good", "time=soon", "trials=1.5"])
def test_words_that_end_no_search_are_refused(word):
    with pytest.raises(SpecError, match=f"an end is goal=0.99, time=12h or trials=500, got '{word}'"):
        Until.read([word])


def test_a_plan_travels_as_json():
    plan = Plan(sampler={"name": "gp"}, until=Until.read(["goal=0.5", "time=1h30m"]), num_workers=6)
    assert Plan.from_json(plan.to_json()) == plan
    assert plan.until.time_s == 5400


@pytest.mark.parametrize("goal", ["goal=inf", "goal=-inf", "goal=nan"])
def test_a_goal_that_no_search_reaches_is_refused(goal):
    with pytest.raises(SpecError, match="an end is goal=0.99.*a goal is a finite value of the metric"):
        Until.read([goal])


def test_a_summary_needs_a_search_and_counts_one_as_one():
    with pytest.raises(SpecError, match="a summary is of one search or more"):
        Summary(searches=[], goal=0.5, mode="max")
    one = search(find_task("digits-mlp"), Plan(sampler="random", until=Until.read(["trials=2"])), 0)
    assert Summary(searches=[one], goal=0.5, mode="max").text([60]).startswith("1 search of 2 trials")
