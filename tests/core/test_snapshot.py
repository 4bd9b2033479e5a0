"""The picture of a study: true, steady, and small whatever the study's size."""

from __future__ import annotations

import gc
import pickle
import time

import raytune_hpo as hpo
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.core.messages import AskTrials, EndTrial, ReportMetrics
from raytune_hpo.core.snapshot import MAX_CORNERS, MAX_POINTS, MAX_RUNNING, snapshot_of
from raytune_hpo.facts import Finished, Started, Status, StudyCreated
from raytune_hpo.numerics.thinning import evenly_chosen, strided
from tests.support import Feed, make_plan


def ended(number, loss, status=Status.COMPLETED, at=2.0):
    metrics = {} if status is Status.FAILED else {"loss": loss}
    return EndTrial(number=number, attempt=1, status=status, at=at, metrics=metrics)


def grown(num_trials, **settings):
    """The ledger of a study whose every trial is better than the one before: nothing can have more corners."""
    spec = make_plan(**settings).spec
    config = spec.space.pack({"x": 0.5, "n": 3})

    def facts():
        yield StudyCreated(spec=spec.to_json(), at=0.0)
        for number in range(num_trials):
            yield Started(number=number, worker="w", at=0.0, config=config, basis=0)
            metrics = {goal.metric: 1.0 / (number + 1) for goal in spec.goals}
            yield Finished(number=number, attempt=1, status=Status.COMPLETED, at=1.0, metrics=metrics)

    return Ledger.fold(facts(), spec)


def test_the_history_is_that_of_the_trials_in_the_order_in_which_they_finished():
    feed = Feed(num_trials=9)
    for number, loss in enumerate([0.5, 0.7, 0.3]):
        feed(AskTrials(worker=f"w{number}", at=1.0))
        feed(ended(number, loss))
    feed(AskTrials(worker="w3", at=1.0))
    feed(ended(3, None, Status.FAILED))
    (history,) = snapshot_of(feed.core.ledger, 3.0).histories
    assert [point[:3] for point in history.points] == [(1, 0.5, True), (2, 0.7, True), (3, 0.3, True)]
    assert history.best == ((1, 0.5), (3, 0.3))


def test_a_maximised_metric_is_in_its_own_units():
    feed = Feed(num_trials=9, metric=["acc", "size"], mode=["max", "min"])
    for number, acc in enumerate([0.5, 0.7, 0.6]):
        feed(AskTrials(worker="w", at=1.0))
        metrics = {"acc": acc, "size": 3.0 - number}
        feed(EndTrial(number=number, attempt=1, status=Status.COMPLETED, at=2.0, metrics=metrics))
    acc, size = snapshot_of(feed.core.ledger, 3.0).histories
    assert acc.best == ((1, 0.5), (2, 0.7)) and acc.mode == "max"
    assert size.best == ((1, 3.0), (2, 2.0), (3, 1.0))


def test_running_trials_say_how_long_they_run_and_what_they_last_reported():
    feed = Feed(num_trials=100)
    for number in range(10):
        feed(AskTrials(worker=f"w{number}", at=float(number)))
    feed(ReportMetrics(number=0, attempt=1, step=7, metrics={"loss": 0.25}, at=11.0))
    feed(ReportMetrics(number=1, attempt=1, step=1, metrics={"note": "text"}, at=11.0))
    snapshot = snapshot_of(feed.core.ledger, 20.0)
    assert [trial.number for trial in snapshot.running] == list(range(MAX_RUNNING))
    first, second, third = snapshot.running[:3]
    assert (first.age_s, first.step, first.value) == (20.0, 7, 0.25)
    assert (second.age_s, second.step, second.value) == (19.0, 1, None)
    assert (third.step, third.value) == (None, None)
    assert "x=" in first.config and "n=" in first.config
    assert snapshot.status.counts["running"] == 10
    assert snapshot.best_config == ""


def test_a_stopped_study_runs_nothing():
    feed = Feed(num_trials=2)
    feed(AskTrials(worker="w", at=1.0))
    feed.core.ledger.stopped = "stopped by the user"
    assert snapshot_of(feed.core.ledger, 3.0).running == ()


def test_a_hundred_thousand_trials_are_a_small_message_made_in_a_moment():
    ledger = grown(100_000, metric=["loss", "size"])
    snapshot = snapshot_of(ledger, 1.0)
    gc.disable()  # it goes through whatever other tests have left
    try:
        began = time.thread_time()
        for _ in range(20):
            snapshot_of(ledger, 1.0)
        took_s = (time.thread_time() - began) / 20
    finally:
        gc.enable()
    assert took_s < 0.02
    assert len(pickle.dumps(snapshot)) < 16_000
    for history in snapshot.histories:
        assert len(history.points) <= MAX_POINTS and len(history.best) == MAX_CORNERS
        assert history.best[0] == (1, 1.0) and history.best[-1] == (100_000, 1e-5)


def test_values_that_cannot_be_drawn_are_left_out():
    feed = Feed(num_trials=9)
    for number, loss in enumerate([10**400, float("inf"), 0.5, True]):
        feed(AskTrials(worker=f"w{number}", at=1.0))
        feed(ended(number, loss))
    (history,) = snapshot_of(feed.core.ledger, 3.0).histories
    assert [point.place for point in history.points] == [3, 4]


def test_huge_configurations_and_names_are_cut():
    plan = make_plan(space={"text": hpo.choice(["a" * 100_000, "b" * 100_000])}, metric="m" * 1_000)
    ledger = Ledger(plan.spec)
    config = plan.spec.space.pack({"text": "a" * 100_000})
    ledger.apply(Started(number=0, worker="w", at=0.0, config=config, basis=0))
    snapshot = snapshot_of(ledger, 1.0)
    assert len(snapshot.running[0].config) < 300
    assert len(pickle.dumps(snapshot.histories)) < 1_000


def test_what_is_kept_stays_kept_until_the_sequence_has_doubled():
    before: set[int] = set()
    changes = 0
    for length in range(1, 5_000):
        kept = set(strided(length, MAX_POINTS))
        assert 0 < len(kept) <= MAX_POINTS
        changes += not before <= kept
        before = kept
    assert changes == 6  # at 129, 257, 513 ...


def test_the_first_and_the_last_are_always_among_the_thinned():
    assert evenly_chosen([1, 2, 3], 5) == [1, 2, 3]
    thin = evenly_chosen(range(1_000), 7)
    assert len(thin) == 7 and (thin[0], thin[-1]) == (0, 999) and sorted(set(thin)) == thin


def test_several_goals_have_a_front_of_those_that_keep_the_constraints():
    feed = Feed(num_trials=9, metric=["acc", "ms"], mode=["max", "min"], outcome_constraints=["mb <= 1"])
    for number, (acc, ms, mb) in enumerate([(0.5, 10, 0), (0.6, 30, 0), (0.4, 20, 0), (0.9, 1, 2), (0.6, 30, 1)]):
        feed(AskTrials(worker="w", at=1.0))
        metrics = {"acc": acc, "ms": ms, "mb": mb}
        feed(EndTrial(number=number, attempt=1, status=Status.COMPLETED, at=2.0, metrics=metrics))
    snapshot = snapshot_of(feed.core.ledger, 3.0)
    assert snapshot.status.num_infeasible == 1
    assert [trial.number for trial in feed.core.ledger.front] == [0, 1, 4]
    assert snapshot.front.metrics == ("acc", "ms")
    assert sorted(snapshot.front.dots) == [(0.4, 20.0, False), (0.5, 10.0, True), (0.6, 30.0, True), (0.6, 30.0, True)]
    assert snapshot_of(Feed(num_trials=9).core.ledger, 3.0).front is None


def test_a_history_tells_what_breaks_a_constraint_from_what_may_be_the_best():
    feed = Feed(num_trials=9, metric="acc", mode="max", outcome_constraints=["mb <= 1"])
    for number, (acc, mb) in enumerate([(0.5, 0), (0.9, 2), (0.6, 1)]):
        feed(AskTrials(worker="w", at=1.0))
        feed(EndTrial(number=number, attempt=1, status=Status.COMPLETED, at=2.0, metrics={"acc": acc, "mb": mb}))
    snapshot = snapshot_of(feed.core.ledger, 3.0)
    (history,) = snapshot.histories
    assert [point.is_feasible for point in history.points] == [True, False, True]
    assert history.best == ((1, 0.5), (3, 0.6))
    assert snapshot.status.num_feasible == 2
