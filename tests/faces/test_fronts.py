"""What is best where one trial does not say it: fronts, and studies without a completed trial."""

from __future__ import annotations

import re

import pytest

import raytune_hpo as hpo
from raytune_hpo.analysis.best import best_so_far, front_points
from raytune_hpo.core.snapshot import snapshot_of
from raytune_hpo.errors import HpoError
from raytune_hpo.facts import Status
from raytune_hpo.progress.words import line, line_of
from tests.faces.snapshots import STATUS, snapshot
from tests.faces.studies import done, failed, pruned, results_of, running

CURVE = results_of(
    *[done({"error": 1 / (1 + i), "cost": float(i)}, {"x": i, "y": 2, "z": 3}) for i in range(40)],
    metric=["error", "cost"],
    space={"x": hpo.randint(0, 40), "y": hpo.randint(0, 3), "z": hpo.randint(0, 4)},
)


def reporting(loss, steps):
    """A trial that was interrupted after some reports."""

    def make(number, goals):
        from dataclasses import replace

        return replace(done(loss, steps=steps)(number, goals), status=Status.WAITING, losses=None, finished_at=None)

    return make


def test_points_of_a_front_are_its_ends_its_knee_and_points_between():
    points = front_points(CURVE.best_trials, CURVE.goals, 5)
    roles = {point.trial.number: point.role for point in points}
    assert roles[39] == "best error" and roles[0] == "best cost" and "knee" in roles.values()
    assert len(points) == 5
    losses = [point.trial.losses for point in points]
    assert losses == sorted(losses)


@pytest.mark.parametrize("num", [0, 1, 2, 39, 40, 100])
def test_a_front_of_any_size_gives_as_many_points_as_it_has(num):
    found = [point.trial.number for point in front_points(CURVE.best_trials, CURVE.goals, num)]
    assert len(found) == len(set(found)) == min(num, 40)


def test_a_front_of_equal_trials_has_points_too():
    results = results_of(*[done({"a": 1.0, "b": 1.0}) for _ in range(7)], metric=["a", "b"])
    assert len(front_points(results.best_trials, results.goals, 5)) == 5


def test_a_printed_front_names_the_best_of_each_metric_and_spreads_its_rows():
    text = str(CURVE)
    assert "best error (min): 0.025 (trial 39)" in text and "best cost (min): 0 (trial 0)" in text
    rows = [int(row.split()[0]) for row in text.splitlines() if re.match(r"  +\d", row)]
    assert rows[0] == 39 and rows[-1] == 0 and len(rows) == 5


def test_a_page_has_the_front_as_a_table_and_marks_its_trials(tmp_path):
    pytest.importorskip("plotly")
    CURVE.plot.page(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "12 of the 40 trials that no other trial beats" in text
    assert "<td>best error</td>" in text and "<td>knee</td>" in text and "<td>front</td>" in text
    assert "best error (min)" in text and "best cost (min)" in text


def test_tables_show_parameters_that_agree_after_those_that_differ():
    assert re.search(
        r"trial +loss +y +x +duration", str(results_of(done(1, {"x": 1, "y": 2}), done(2, {"x": 1, "y": 3})))
    )


def test_arms_are_a_column_only_where_they_differ():
    one = str(results_of(*[done(float(i), arm="gp") for i in range(3)]))
    assert "suggested by" not in one and " arm " not in one


# ------------------------------------------------------------------------------------------------ without an end


def test_the_best_so_far_is_the_lowest_of_those_that_got_farthest():
    results = results_of(reporting(0.1, 2), reporting(0.5, 9), reporting(0.4, 9), pruned(0.2, 3), failed())
    assert results.best_so_far.number == 2
    with pytest.raises(HpoError, match=r"4 trials without a result have reports: results\.best_so_far$"):
        _ = results.best_trial
    assert "4 trials without a result have reports: results.best_so_far" in str(results)
    assert "1 trial without a result has reports: results.best_so_far" in str(results_of(pruned(0.9), failed()))
    assert "\nno trial has completed\n" in str(results_of(pruned(0.9)))


def test_completed_trials_count_for_the_best_so_far_and_no_reports_give_none():
    assert results_of(done(0.5, steps=9), reporting(0.1, 3), pruned(0.9, 9)).best_so_far.number == 0
    assert results_of(done(0.5), done(0.3)).best_so_far.number == 1
    assert results_of(running(), failed()).best_so_far is None and best_so_far([]) is None


def test_the_line_of_a_study_that_was_interrupted_says_where_its_reports_are():
    ended = snapshot(STATUS, num_reporting=1)
    assert line_of(ended, None).endswith("1 trial without a result has reports: results.best_so_far")
    assert "reports" not in line(STATUS, None)


def test_the_snapshot_counts_reporting_trials_only_of_a_study_that_has_ended_without_a_result():
    from raytune_hpo.core.ledger import Ledger

    ledger = Ledger(results_of().spec)
    ledger.trials = list(results_of(reporting(0.1, 2), running()).trials)
    ledger.unfinished = dict(enumerate(ledger.trials))
    assert snapshot_of(ledger, 0.0).num_reporting == 0
    ledger.stopped = "time_budget_s"
    assert snapshot_of(ledger, 0.0).num_reporting == 1


def finished_backwards(metric, *results):
    """A study whose trials finish in the reverse order of their numbers."""
    study = hpo.Study({"x": hpo.uniform(0, 1)}, metric=metric, sampler="random", seed=0, storage="memory")
    trials = [study.ask() for _ in results]
    for trial, result in reversed(list(zip(trials, results, strict=True))):
        study.tell(trial, result)
    return study


@pytest.mark.parametrize(
    ("metric", "results", "best"),
    [
        ("a", [{"a": 2.0}, {"a": 1.0}, {"a": 1.0}], 1),  # of equals the first by number, not the first to finish
        (["a", "b"], [{"a": 1.0, "b": 5.0}, {"a": 1.0, "b": 3.0}, {"a": 2.0, "b": 1.0}], 1),  # the first is dominated
        (["a", "b"], [{"a": 1.0, "b": 3.0}, {"a": 1.0, "b": 5.0}, {"a": 1.0, "b": 3.0}], 0),
    ],
)
def test_a_running_study_and_its_results_name_the_same_best_among_equals(metric, results, best):
    study = finished_backwards(metric, *results)
    found, now = study.results(), study.snapshot()
    assert now.status.best_number == best == found.best_trial.number
    assert found.best_trial in found.best_trials
    assert now.best_config == f"x={found.best_config['x']:.6g}"
