"""The life of a trial, told to a core by hand."""

from __future__ import annotations

import pytest

import raytune_hpo as hpo
from raytune_hpo.core.messages import (
    AskTrials,
    EndTrial,
    EnqueueConfig,
    ExtendStudy,
    LoseWorker,
    Observation,
    RecordObservations,
    ReplaceWorkers,
    ReportMetrics,
    ReturnTrials,
    StopStudy,
    Tick,
    WithdrawConfig,
)
from raytune_hpo.errors import InvalidTransition, SpecError
from raytune_hpo.facts import Finished, Printed, Requeued, Started, Status, StudyStopped, Verdict
from raytune_hpo.spec import Limits
from tests.support import Feed


def ended(assignment, at=1.0, loss=0.5, status=Status.COMPLETED, **more):
    metrics = {"loss": loss} if status is Status.COMPLETED else {}
    return EndTrial(number=assignment.number, attempt=assignment.attempt, status=status, at=at, metrics=metrics, **more)


def ask(feed, worker="a", at=0.0, limit=1):
    return feed(AskTrials(worker=worker, at=at, limit=limit)).reply


def test_a_worker_asks_and_gets_a_trial():
    feed = Feed()
    (first,) = ask(feed).assignments
    assert first.number == 0
    assert feed.core.ledger.trials[0].status is Status.RUNNING


def test_a_worker_that_asks_again_gets_what_it_lost():
    feed = Feed()
    first = ask(feed)
    before = len(feed.facts)
    assert ask(feed) == first
    assert len(feed.facts) == before


def test_a_result_told_twice_is_recorded_once():
    feed = Feed()
    (trial,) = ask(feed).assignments
    feed(ended(trial, loss=0.25))
    again = feed(ended(trial, loss=0.75))
    assert again.facts == ()
    assert feed.core.ledger.trials[0].losses == (0.25,)


def test_a_lost_worker_gives_its_trial_to_the_next():
    feed = Feed()
    ask(feed, "a")
    feed(LoseWorker(worker="a", at=9))
    (again,) = ask(feed, "b", at=10).assignments
    assert (again.number, again.attempt) == (0, 2)
    assert feed.core.ledger.trials[0].retries == 1


def test_a_former_owner_is_told_to_stop_and_its_result_is_not_taken():
    feed = Feed()
    (old,) = ask(feed, "a").assignments
    feed(LoseWorker(worker="a", at=1))
    (new,) = ask(feed, "b", at=2).assignments
    late = feed(ReportMetrics(number=0, attempt=old.attempt, step=1, metrics={"loss": 1.0}, at=3))
    assert late.reply.verdict is Verdict.STOP
    feed(ended(old, at=4, loss=9.0))
    feed(ended(new, at=5, loss=1.0))
    assert feed.core.ledger.trials[0].losses == (1.0,)


def test_a_trial_that_takes_its_worker_down_too_often_fails():
    feed = Feed(max_retries=2)
    for life in range(3):
        ask(feed, f"w{life}", at=life)
        feed(LoseWorker(worker=f"w{life}", at=life + 0.5, reason="exit code 7"))
    trial = feed.core.ledger.trials[0]
    assert trial.status is Status.FAILED
    assert "exit code 7" in trial.error and "max_retries=2" in trial.error


def test_the_innocent_of_a_lost_lease_spend_no_retry_and_come_back_one_at_a_time():
    feed = Feed(max_retries=0)
    lease = ask(feed, "a", limit=200)
    assert len(lease.assignments) == 200
    feed(LoseWorker(worker="a", at=1))
    assert all(t.retries == 0 and t.status is Status.WAITING for t in feed.core.ledger.trials)
    assert len(ask(feed, "b", at=2, limit=200).assignments) == 1


def test_a_blameless_loss_spends_no_retry():
    feed = Feed(max_retries=0)
    ask(feed, "a")
    feed(LoseWorker(worker="a", at=1, blameless=True))
    assert feed.core.ledger.trials[0].status is Status.WAITING


def test_a_new_crew_takes_over_from_the_old_one():
    feed = Feed(max_retries=0)
    ask(feed, "crew1-a")
    ask(feed, "crew2-b")
    feed(ReplaceWorkers(prefix="crew2", at=1))
    assert [t.status for t in feed.core.ledger.trials] == [Status.WAITING, Status.RUNNING]


def test_trials_that_are_given_back_go_to_others():
    feed = Feed()
    lease = ask(feed, "a", limit=3)
    feed(ended(lease.assignments[0]))
    feed(ReturnTrials(worker="a", numbers=(1, 2), at=1))
    assert ask(feed, "b", at=2).assignments[0].number == 1
    assert ask(feed, "c", at=2).assignments[0].number == 2
    assert all(t.retries == 0 for t in feed.core.ledger.trials)


def test_points_of_the_user_come_first_and_nothing_is_suggested_for_them():
    feed = Feed(points=[{"x": 0.5, "n": 3}])
    feed(EnqueueConfig(config={"x": 0.25, "n": 4}, at=0))
    configs = [ask(feed, w).assignments[0].config for w in "abc"]
    assert configs[:2] == [{"x": 0.5, "n": 3}, {"x": 0.25, "n": 4}]
    assert [t.is_suggested for t in feed.core.ledger.trials] == [False, False, True]


def test_the_study_stops_when_the_last_trial_has_finished():
    feed = Feed(num_trials=2)
    (one,) = ask(feed, "a").assignments
    (two,) = ask(feed, "b").assignments
    waiting = ask(feed, "c")
    assert not waiting.assignments and not waiting.is_over
    feed(ended(one))
    assert feed.core.ledger.stopped is None
    assert isinstance(feed(ended(two)).facts[-1], StudyStopped)
    assert ask(feed, "c", at=2).is_over


def test_a_target_stops_the_study_and_what_runs_waits():
    feed = Feed(target=0.9, mode="max")
    (one,) = ask(feed, "a").assignments
    ask(feed, "b")
    feed(ended(one, loss=0.95))
    assert feed.core.ledger.stopped == "target"
    assert feed.core.ledger.trials[1].status is Status.WAITING


def test_a_time_budget_counts_running_time_only():
    feed = Feed(time_budget_s=10)
    feed(Tick(at=6))
    feed(EnqueueConfig(config={"x": 0.5, "n": 1}, at=6))
    later = feed.resumed(len(feed.facts), at=1000)
    later(Tick(at=1003))
    assert later.core.ledger.stopped is None
    later(Tick(at=1004.5))
    assert later.core.ledger.stopped == "time_budget_s"


def test_a_halted_study_can_be_taken_up_again():
    feed = Feed(num_trials=3)
    ask(feed, "a")
    feed(StopStudy(reason="interrupted", at=1))
    assert ask(feed, "a", at=2).is_over
    later = feed.resumed(len(feed.facts), at=50)
    (again,) = ask(later, "z", at=51).assignments
    assert (again.number, again.attempt) == (0, 2)


def test_an_exhausted_grid_ends_the_study_when_its_last_trial_has():
    feed = Feed(space={"x": hpo.choice([1, 2])}, sampler="grid")
    one, two = (ask(feed, w).assignments[0] for w in "ab")
    assert not ask(feed, "c").is_over
    feed(ended(one))
    assert not ask(feed, "c").is_over
    feed(ended(two))
    assert ask(feed, "c", at=2).is_over
    assert feed.core.ledger.stopped == "exhausted"


def test_a_scheduler_stops_a_trial_and_the_trial_is_pruned_even_if_it_does_not_listen():
    feed = Feed(scheduler={"name": "asha", "eta": 2, "min_steps": 1})
    good, bad = (ask(feed, w).assignments[0] for w in "ab")
    assert feed(_report(good, 1, 0.1)).reply.verdict is Verdict.CONTINUE
    assert feed(_report(bad, 1, 0.9)).reply.verdict is Verdict.STOP
    assert feed(_report(bad, 1, 0.9)).reply.verdict is Verdict.STOP
    assert feed(_report(bad, 2, 0.0)).reply.verdict is Verdict.STOP
    feed(ended(bad, loss=0.0))
    trial = feed.core.ledger.trials[1]
    assert trial.status is Status.PRUNED and trial.metrics == {"loss": 0.9} and trial.losses is None


def test_a_repeated_report_is_recorded_once_and_answered_alike():
    feed = Feed(scheduler="asha")
    (trial,) = ask(feed).assignments
    first = feed(_report(trial, 1, 0.5))
    again = feed(_report(trial, 1, 0.5))
    assert again.facts == () and again.reply == first.reply


def test_reports_of_an_earlier_attempt_are_gone():
    feed = Feed()
    (trial,) = ask(feed, "a").assignments
    feed(_report(trial, 1, 0.5))
    feed(LoseWorker(worker="a", at=1))
    (again,) = ask(feed, "b", at=2).assignments
    assert list(feed.core.ledger.trials[0].reports) == []
    feed(_report(again, 1, 0.25))
    assert [r.losses for r in feed.core.ledger.trials[0].reports] == [(0.25,)]


def test_output_is_recorded_before_the_end():
    feed = Feed()
    (trial,) = ask(feed).assignments
    facts = feed(ended(trial, output="hello\n")).facts
    assert [type(f) for f in facts[:2]] == [Printed, Finished]


def test_a_sampler_that_learns_from_one_metric_is_refused_two():
    with pytest.raises(SpecError, match="learns from one metric"):
        Feed(sampler="hyperopt", metric=["a", "b"])


def test_several_metrics_are_carried_and_each_has_its_best():
    feed = Feed(metric=["a", "b"], mode=["min", "max"])
    for worker, (a, b) in zip("xy", [(1.0, 1.0), (2.0, 5.0)], strict=True):
        (trial,) = ask(feed, worker).assignments
        feed(EndTrial(number=trial.number, attempt=1, status=Status.COMPLETED, at=1, metrics={"a": a, "b": b}))
    assert feed.core.ledger.status(1).best == {"a": 1.0, "b": 5.0}
    assert feed.core.ledger.trials[1].losses == (2.0, -5.0)


def test_impossible_facts_are_refused():
    feed = Feed()
    ask(feed)
    with pytest.raises(InvalidTransition):
        feed.core.apply(Requeued(number=0, attempt=2, reason="?", spent=False, at=0))
    with pytest.raises(InvalidTransition):
        feed.core.apply(Started(number=5, worker="a", at=0, config={"x": 0.5, "n": 1}, basis=0))


# ------------------------------------------------------------------------------------------ suggestions ahead of need


def test_ahead_of_need_a_suggestion_is_computed_on_demand_and_then_handed_out():
    feed = Feed(ahead=True, sampler="hyperopt")
    assert not ask(feed).assignments
    request = feed.core.suggestions.request(demand=1)
    feed.core.suggestions.put(feed.core.suggestions.compute(request))
    (trial,) = ask(feed).assignments
    inline = Feed(sampler="hyperopt")
    assert trial.config == ask(inline).assignments[0].config


def test_ideas_ahead_see_each_other_as_pending():
    feed = Feed(ahead=True, sampler="hyperopt")
    feed.core.suggestions.num_ahead = 3
    jobs = []
    while (request := feed.core.suggestions.request()) is not None:
        jobs.append(request)
        feed.core.suggestions.put(feed.core.suggestions.compute(request))
    assert [request.number for request in jobs] == [0, 1, 2]
    assert [len(request.pending) for request in jobs] == [0, 1, 2]


def test_an_enqueued_point_takes_the_number_and_the_ideas_are_thought_again():
    feed = Feed(ahead=True, sampler="hyperopt")
    feed.core.suggestions.num_ahead = 2
    feed.core.suggestions.put(feed.core.suggestions.compute(feed.core.suggestions.request()))
    feed(EnqueueConfig(config={"x": 0.5, "n": 1}, at=0))
    assert ask(feed, "a").assignments[0].config == {"x": 0.5, "n": 1}
    assert not ask(feed, "b").assignments
    assert feed.core.suggestions.request(demand=1).number == 1


def test_a_point_leaves_the_queue_from_its_middle_and_is_never_tried():
    feed = Feed()
    for x in (0.25, 0.5, 0.75):
        feed(EnqueueConfig(config={"x": x, "n": 1}, at=0))
    feed(WithdrawConfig(position=1, at=0))
    assert feed(WithdrawConfig(position=1, at=0)).facts == ()
    assert list(feed.core.ledger.enqueued) == [0, 2]
    assert [ask(feed, worker).assignments[0].config["x"] for worker in "ab"] == [0.25, 0.75]
    assert feed(WithdrawConfig(position=0, at=1)).facts == ()


def test_observations_pass_the_queue_teach_the_sampler_and_make_prepared_ideas_void():
    feed = Feed(ahead=True, sampler="hyperopt", num_trials=4)
    feed.core.suggestions.num_ahead = 1
    idea = feed.core.suggestions.compute(feed.core.suggestions.request())
    feed(EnqueueConfig(config={"x": 0.25, "n": 1}, at=0))
    seen = Observation(config={"x": 0.5, "n": 2}, status=Status.COMPLETED, metrics={"loss": 0.125})
    reply = feed(RecordObservations(worker="elsewhere", observations=(seen, seen), at=1)).reply
    assert reply.numbers == (0, 1)
    feed.core.suggestions.put(idea)
    assert [trial.losses for trial in feed.core.ledger.told] == [(0.125,), (0.125,)]
    assert [(t.worker, t.is_suggested) for t in feed.core.ledger.trials] == [("elsewhere", False)] * 2
    (given,) = ask(feed).assignments
    assert (given.number, given.config["x"]) == (2, 0.25)


def test_observations_are_taken_all_or_none():
    feed = Feed(num_trials=2)
    seen = Observation(config={"x": 0.5, "n": 2}, status=Status.COMPLETED, metrics={"loss": 0.125})
    many = feed(RecordObservations(worker="elsewhere", observations=(seen,) * 3, at=1))
    assert (many.reply.numbers, many.facts) == ((), ())
    assert feed(RecordObservations(worker="elsewhere", observations=(seen,) * 2, at=1)).reply.numbers == (0, 1)
    assert feed.core.ledger.stopped == "num_trials"
    assert feed(RecordObservations(worker="elsewhere", observations=(seen,), at=2)).reply.numbers == ()


def test_stale_ideas_are_dropped():
    feed = Feed(ahead=True, sampler="hyperopt")
    feed.core.suggestions.num_ahead = 1
    feed.core.suggestions.put(feed.core.suggestions.compute(feed.core.suggestions.request()))
    (first,) = ask(feed, "a").assignments
    feed.core.suggestions.put(feed.core.suggestions.compute(feed.core.suggestions.request()))
    feed(ended(first))
    feed.core.suggestions.drop_stale(max_age=1)
    assert feed.core.suggestions.request() is None
    feed.core.suggestions.drop_stale(max_age=0)
    assert feed.core.suggestions.request().history == 1


def test_a_late_idea_whose_number_was_taken_is_dropped():
    feed = Feed(ahead=True, sampler="hyperopt")
    idea = feed.core.suggestions.compute(feed.core.suggestions.request(demand=1))
    feed(EnqueueConfig(config={"x": 0.5, "n": 1}, at=0))
    ask(feed, "a")
    feed.core.suggestions.put(idea)
    assert not ask(feed, "b").assignments


def test_an_idea_that_counted_on_another_that_is_gone_is_dropped():
    """The point takes the number of the idea that is thrown away, so the late idea's own number still fits."""
    feed = Feed(ahead=True, sampler="hyperopt")
    feed.core.suggestions.num_ahead = 2
    feed.core.suggestions.put(feed.core.suggestions.compute(feed.core.suggestions.request()))
    late = feed.core.suggestions.compute(feed.core.suggestions.request())
    feed(EnqueueConfig(config={"x": 0.5, "n": 1}, at=0))
    ask(feed, "a")
    feed.core.suggestions.put(late)
    assert not ask(feed, "b").assignments


def _report(assignment, step, loss):
    return ReportMetrics(
        number=assignment.number, attempt=assignment.attempt, step=step, metrics={"loss": loss}, at=1.0
    )


def test_limits_change_while_a_study_runs() -> None:
    feed = Feed(num_trials=1)
    first = feed(AskTrials(worker="a", at=1.0)).reply.assignments[0]
    assert feed(AskTrials(worker="b", at=2.0)).reply.assignments == ()
    feed(ExtendStudy(limits=Limits(num_trials=2), at=3.0))
    assert feed(AskTrials(worker="b", at=4.0)).reply.assignments[0].number == 1
    told = feed(EndTrial(number=0, attempt=1, status=Status.COMPLETED, metrics={"loss": 1.0}, at=5.0)).reply
    assert (told.is_news, told.trial.number, told.trial.status) == (True, first.number, "completed")
    again = feed(EndTrial(number=0, attempt=1, status=Status.COMPLETED, metrics={"loss": 2.0}, at=6.0)).reply
    assert (again.is_news, again.trial.metrics) == (False, {"loss": 1.0})
    assert feed.replayed().ledger.spec.limits.num_trials == 2
