"""When workers were busy, how long trials took, how values are distributed, and which trials stand for many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from raytune_hpo.analysis.distribution import empirical_distribution, halves
from raytune_hpo.analysis.duration_histogram import histogram
from raytune_hpo.analysis.series import MetricSeries, usual_range
from raytune_hpo.analysis.timeline import timeline_of
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.numerics.thinning import best_and_others, evenly_spaced
from raytune_hpo.testing import finish, report, start


def ran(number, begin, seconds, *, worker="a", status=Status.COMPLETED):
    trial = finish(start(number, {}), {"loss": 1.0} if status is Status.COMPLETED else {}, status=status)
    return replace(
        trial, created_at=begin, started_at=begin, duration_s=seconds, finished_at=begin + seconds, worker=worker
    )


def test_utilisation_is_busy_time_over_all_of_the_workers_time():
    found = timeline_of([ran(0, 100, 10), ran(1, 100, 5, worker="b"), ran(2, 105, 5, worker="b"), ran(3, 110, 10)])
    assert found.num_lanes == 2
    assert found.span == (0, 20)
    assert found.utilisation == pytest.approx(30 / 40)
    np.testing.assert_allclose(found.shares(4), [[1, 1, 1, 1], [1, 1, 0, 0]])
    np.testing.assert_allclose(found.shares(8).sum() * 20 / 8, 30)


def test_short_trials_fill_parts_by_their_share():
    found = timeline_of([ran(i, 10.0 * i, 2.5) for i in range(4)])
    np.testing.assert_allclose(found.shares(1), [[10 / 32.5]])


def test_workers_that_live_one_after_the_other_share_a_lane():
    """A study in a loop of one's own asks as a new worker every time; a worker that died was replaced."""
    found = timeline_of([ran(i, 10.0 * i, 9, worker=f"ask-{i}") for i in range(20)])
    assert found.num_lanes == 1
    both = timeline_of([ran(0, 0, 10, worker="a"), ran(1, 5, 10, worker="b"), ran(2, 11, 3, worker="c")])
    assert both.lanes.tolist() == [0, 1, 0]


def test_a_running_trial_lasts_until_the_newest_that_is_known_and_a_waiting_one_is_nowhere():
    running = replace(report(start(0, {}), 7, 0.5), worker="a")  # handed out at 0, reported at 7
    waiting = replace(start(1, {}), status=Status.WAITING)
    found = timeline_of([running, waiting])
    assert (found.begin.tolist(), found.end.tolist()) == ([0], [7])
    assert timeline_of([waiting]).num_lanes == 0
    assert timeline_of([]).utilisation == 0
    assert timeline_of([]).shares(3).shape == (0, 3)


def test_clocks_that_disagree_do_not_make_a_worker_busier_than_busy():
    found = timeline_of([ran(0, 0, 10), ran(1, 9, 10)])
    assert found.shares(19).max() <= 1


def test_every_duration_is_counted_once():
    trials = [ran(i, 0, 10.0 ** (i % 5)) for i in range(100)] + [ran(100, 0, 3.0, status=Status.FAILED), start(101, {})]
    found = histogram(trials)
    assert found.is_log
    assert {status: counts.sum() for status, counts in found.counts.items()} == {
        Status.COMPLETED: 100,
        Status.FAILED: 1,
    }
    assert histogram([start(0, {})]).counts == {}
    same = histogram([ran(0, 0, 0.0), ran(1, 0, 0.0)])
    assert same.counts[Status.COMPLETED].sum() == 2


def test_a_distribution_says_which_share_is_at_most_so_large():
    found = empirical_distribution(np.array([3.0, np.nan, 1.0, 1.0, 2.0]))
    assert (found.values.tolist(), found.shares.tolist(), found.num) == ([1, 2, 3], [0.5, 0.75, 1.0], 4)
    many = empirical_distribution(np.arange(10_000.0), points=100)
    assert len(many.values) == 100
    np.testing.assert_allclose(many.shares, (many.values + 1) / 10_000)
    assert empirical_distribution(np.array([np.nan])).num == 0


def test_halves_are_compared_where_there_is_something_to_compare():
    assert [name for name, _ in halves(np.arange(5.0))] == ["all trials"]
    _, first, second = [found for _, found in halves(np.arange(40.0))]
    assert (first.values.max(), second.values.min()) == (19, 20)


def test_those_that_stand_for_all_are_the_best_and_others_from_everywhere():
    losses = np.random.default_rng(0).random(10_000)
    kept = best_and_others(losses, 100)
    assert len(kept) == 100
    assert set(np.argsort(losses)[:20]) <= set(kept)
    assert np.diff(kept).max() < 400
    assert best_and_others(losses[:7], 100).tolist() == list(range(7))
    assert evenly_spaced(1000, 3).tolist() == [0, 500, 999]


def test_usual_losses_end_where_far_ones_begin():
    assert usual_range(np.arange(10.0)) == (0, 9)
    low, high = usual_range(np.append(np.arange(100.0), 1e9))
    assert low == 0
    assert 99 < high < 1000


def test_values_are_those_of_completed_and_pruned_trials():
    completed = finish(start(0, {}), {"loss": 2.0, "text": "x", "far": float("inf")})
    stopped = finish(report(start(1, {}), 1, 3.0), status=Status.PRUNED)
    trials = [completed, stopped, finish(start(2, {}), status=Status.FAILED), report(start(3, {}), 1, 4.0)]
    series = MetricSeries(Goal("loss"), trials)
    np.testing.assert_array_equal(series.values, [2, 3, np.nan, np.nan])
    assert series.completed.tolist() == [True, False, False, False]
    assert series.valued.tolist() == series.sample(5).tolist() == [0, 1]
    assert np.isnan(MetricSeries(Goal("text"), trials).values).all()
    assert np.isnan(MetricSeries(Goal("far"), trials).values).all()


def test_losses_of_a_maximised_metric_are_turned_round_and_the_best_is_the_highest():
    trials = [finish(start(i, {}), {"acc": value}) for i, value in enumerate([1.0, 3.0, -2.0, 3.0])]
    series = MetricSeries(Goal("acc", "max"), trials)
    assert series.losses.tolist() == [-1, -3, 2, -3]
    assert (series.best, series.improvements) == (1, [0, 1])
    assert series.goal.value(series.lowest_so_far).tolist() == [1, 3, 3, 3]


def test_an_axis_leaves_outliers_on_the_worse_side_out_and_counts_them():
    def axis_of(values, mode):
        series = MetricSeries(Goal("acc", mode), [finish(start(i, {}), {"acc": v}) for i, v in enumerate(values)])
        return series.axis, series.num_outside

    values = [*np.linspace(-1, 1, 50).tolist(), -1e6]
    upwards, hidden = axis_of(values, "max")
    assert hidden == 1 and -10 < upwards.low < upwards.high < 2
    downwards, hidden = axis_of(values, "min")
    assert hidden == 0 and downwards.low < -1e6, "there the far one is the best"
    decades, hidden = axis_of([1e-3, 1.0, 10.0], "min")
    assert decades == (1e-3, 10.0, True) and hidden == 0
    assert axis_of([2.0, 2.0], "min") == (None, 0) == axis_of([], "min")
    assert Goal("loss").lower_is_better and not Goal("acc", "max").lower_is_better
