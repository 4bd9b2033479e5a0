"""Trials that pause, are saved, go on, and begin with another's checkpoint: stories told to the core, fact by fact."""

from __future__ import annotations

from dataclasses import replace

import pytest

import raytune_hpo as hpo
from raytune_hpo.core.audit import audit
from raytune_hpo.core.messages import (
    AskTrials,
    EndTrial,
    KeepCheckpoint,
    LoseWorker,
    OfferCheckpoint,
    ReportMetrics,
    StopStudy,
    StopTrial,
)
from raytune_hpo.facts import Finished, Paused, Released, Reported, Requeued, Saved, Started, Status, Verdict
from raytune_hpo.protocols import Continue, Suggestion, Traits
from tests.support import Feed, make_plan

PROMOTING = {"name": "asha", "promote": True, "max_steps": 9}


class Story:
    """A study told step by step; ``log`` is what happened, in a few letters for each fact."""

    def __init__(self, **settings):
        self.feed, self.at = Feed(**{"num_trials": 20, "scheduler": PROMOTING, **settings}), 0.0
        self.begin = len(self.feed.facts)

    def do(self, command, **fields):
        self.at += 1.0
        return self.feed(command(at=self.at, **fields)).reply

    def ask(self, worker="w"):
        lease = self.do(AskTrials, worker=worker)
        return lease.assignments[0] if lease.assignments else None

    def report(self, trial, step, loss):
        metrics = {"loss": loss}
        return self.do(
            ReportMetrics, number=trial.number, attempt=trial.attempt, step=step, metrics=metrics, saves=True
        )

    def end(self, trial, status=Status.PAUSED, saved=True, loss=None, **fields):
        fields.setdefault("metrics", {} if loss is None else {"loss": loss})
        checkpoint = {"kept": f"{trial.number}-{trial.attempt}"} if saved else None
        self.do(EndTrial, number=trial.number, attempt=trial.attempt, status=status, checkpoint=checkpoint, **fields)

    def pausing(self, step, loss, worker="w"):
        """A trial that is asked for, reports once and pauses."""
        trial = self.ask(worker)
        assert self.report(trial, step, loss).verdict is Verdict.PAUSE
        self.end(trial)
        return trial

    def trial(self, number):
        return self.feed.core.ledger.trials[number]

    @property
    def log(self):
        return [letters(fact) for fact in self.feed.facts[self.begin :] if letters(fact)]


def letters(fact):
    match fact:
        case Started(attempt=1, from_step=None):
            return f"S{fact.number}"
        case Started():
            until = "" if fact.until is None else f"<{fact.until}"
            begin = "" if fact.from_step is None else f" from {fact.from_trial}@{fact.from_step}"
            return f"S{fact.number}/{fact.attempt}{until}{begin}"
        case Reported():
            return f"R{fact.number}@{fact.step}" + ("" if fact.verdict is Verdict.CONTINUE else f" {fact.verdict}")
        case Saved():
            return f"V{fact.number}@{fact.step}"
        case Paused():
            return f"P{fact.number}@{fact.step}"
        case Released():
            return f"X{fact.number}@{fact.step}"
        case Requeued():
            return f"Q{fact.number}"
        case Finished():
            return f"F{fact.number} {fact.status}"
    return ""


def test_the_best_of_three_goes_on_from_its_checkpoint():
    story = Story()
    for loss in (1.0, 2.0, 3.0):
        story.pausing(1, loss)
    first = story.ask()
    assert (first.number, first.attempt, first.from_step, first.next_step) == (0, 2, 1, 3)
    assert first.checkpoint.record == {"kept": "0-1"}
    assert story.report(first, 2, 0.9).verdict is Verdict.CONTINUE
    assert story.report(first, 3, 0.8).verdict is Verdict.PAUSE
    story.end(first)
    assert story.ask().number == 3
    assert story.log[3:] == [
        "P0@1", "S1", "R1@1 pause", "V1@1", "P1@1", "S2", "R2@1 pause", "V2@1", "P2@1",
        "S0/2<3 from 0@1", "R0@2", "R0@3 pause", "V0@3", "P0@3", "X0@1", "S3",
    ]  # fmt: skip
    assert story.trial(0).reports.up_to(1)[0].losses == (1.0,)
    assert [r.step for r in story.trial(0).reports] == [1, 2, 3]
    assert audit(story.feed.facts).is_clean


def test_while_a_suggestion_is_computed_nobody_goes_on_who_is_not_among_the_best_third():
    story = Story(num_trials=2, ahead=True, sampler="tpe")
    suggestions = story.feed.core.suggestions
    for number in (0, 1):
        assert story.ask() is None
        suggestions.put(suggestions.compute(suggestions.request(demand=1)))
        assert story.pausing(1, float(number)).number == number
    assert letters(story.feed.facts[-1]) == "P1@1"
    assert (story.ask().number, letters(story.feed.facts[-1])) == (0, "S0/2<3 from 0@1"), "no other trial will begin"


def test_the_end_of_a_study_leaves_paused_trials_paused_and_an_extended_one_goes_on_with_them():
    story = Story(num_trials=2)
    story.pausing(1, 1.0)
    story.pausing(1, 2.0)
    last = story.ask()  # no trial has completed, so the best goes on until one has
    assert (last.number, last.next_step) == (0, 3)
    story.report(last, 3, 0.5)
    story.end(last)
    last = story.ask()
    assert story.report(last, 9, 0.4).verdict is Verdict.COMPLETE
    story.end(last, Status.PRUNED)
    assert story.feed.core.ledger.stopped == "num_trials"
    assert story.trial(1).status is Status.PAUSED and story.trial(0).status is Status.COMPLETED
    longer = make_plan(num_trials=4, scheduler=PROMOTING).spec
    story.feed.facts.extend(story.feed.core.open(100.0, longer))
    assert story.trial(1).status is Status.PAUSED
    story.at = 100.0
    story.pausing(1, 3.0)
    going_on = story.ask()  # the better of those two, of three at the rung one may go on: but 0 has
    assert going_on.number == 3
    assert story.log.count("P1@1") == 1


def test_a_trial_that_dies_goes_on_from_its_newest_checkpoint_and_only_deaths_without_progress_count():
    story = Story(scheduler=None, max_retries=1)
    trial = story.ask()
    for step in (10, 20, 30):
        story.report(trial, step, 1.0)
        story.do(KeepCheckpoint, number=0, attempt=1, step=step, checkpoint={"kept": str(step)})
    story.report(trial, 35, 1.0)
    for attempt in range(2, 6):  # with progress in between, as often as it likes
        story.do(LoseWorker, worker="w")
        again = story.ask()
        step = 20 + 10 * attempt
        assert (again.attempt, again.from_step) == (attempt, step - 10)
        assert story.trial(0).last_step == step - 10
        story.report(again, step, 1.0)
        story.do(KeepCheckpoint, number=0, attempt=attempt, step=step, checkpoint={"kept": str(step)})
    assert story.trial(0).retries == 0 and list(story.trial(0).checkpoints) == [70]
    story.do(LoseWorker, worker="w")
    assert story.trial(0).status is Status.WAITING
    story.ask()
    story.do(LoseWorker, worker="w")
    assert story.trial(0).status is Status.FAILED and "2 times" in story.trial(0).error
    assert not story.trial(0).checkpoints and not story.feed.core.ledger.checkpoints


def test_a_checkpoint_that_cannot_be_read_costs_steps_and_no_trial():
    story = Story()
    for loss in (1.0, 2.0, 3.0):
        story.pausing(1, loss)
    going_on = story.ask()
    story.end(going_on, Status.WAITING, saved=False, reason="node b is gone")
    assert story.log[-2:] == ["X0@1", "Q0"]
    again = story.ask()
    assert (again.number, again.attempt, again.from_step, again.checkpoint) == (0, 3, None, None)
    assert story.trial(0).retries == 0 and not story.trial(0).reports
    assert story.report(again, 1, 1.0).verdict is Verdict.CONTINUE  # it was promoted from there before
    assert story.report(again, 3, 0.5).verdict is Verdict.PAUSE
    assert audit(story.feed.facts).is_clean


def test_an_objective_that_starts_over_is_answered_as_one_that_goes_on():
    story = Story()
    for loss in (1.0, 2.0, 3.0):
        story.pausing(1, loss)
    going_on = story.ask()
    assert story.report(going_on, 1, 7.0).verdict is Verdict.CONTINUE
    assert [r.losses for r in story.trial(0).reports] == [(1.0,)]
    assert story.report(going_on, 2, 0.5).verdict is Verdict.CONTINUE


def test_the_checkpoint_of_the_best_is_kept_and_a_better_one_replaces_it():
    story = Story(scheduler=None)
    for number, loss in enumerate((2.0, 1.0, 3.0)):
        trial = story.ask()
        story.report(trial, 5, loss)
        wanted = story.do(OfferCheckpoint, number=number, attempt=1, metrics={"loss": loss}).is_wanted
        assert wanted is (loss < 3.0)
        story.end(trial, Status.COMPLETED, saved=wanted, loss=loss)
    assert list(story.feed.core.ledger.checkpoints) == [1]
    assert story.log.count("X0@5") == 1
    assert story.trial(1).checkpoint.step == 5


def test_a_paused_trial_is_stopped_by_its_user_at_once():
    story = Story()
    story.pausing(1, 1.0)
    story.do(StopTrial, number=0)
    assert story.trial(0).status is Status.PRUNED and not story.trial(0).checkpoints
    assert story.trial(0).metrics == {"loss": 1.0}
    assert story.ask().number == 1


def test_a_trial_that_is_told_to_pause_and_was_to_be_stopped_is_stopped():
    story = Story()
    trial = story.ask()
    story.report(trial, 1, 1.0)
    story.do(StopTrial, number=0)
    story.end(trial)
    assert story.trial(0).status is Status.PRUNED


def test_a_stopped_study_hands_its_running_trials_out_first_and_from_their_checkpoints():
    story = Story(scheduler=None, num_trials=None, time_budget_s=1000.0)
    trial = story.ask()
    story.report(trial, 3, 1.0)
    story.do(KeepCheckpoint, number=0, attempt=1, step=3, checkpoint={"kept": "3"})
    story.report(trial, 4, 1.0)
    story.do(StopStudy, reason="test")
    story.feed.facts.extend(story.feed.core.open(story.at + 1, story.feed.plan.spec))
    again = story.ask()
    assert (again.number, again.from_step, again.checkpoint.step) == (0, 3, 3)


class Pair:
    """A population of two: every second trial goes on from the one before, with a configuration of its own."""

    traits = Traits(ahead=False)

    def bind(self, space, goals, seed):
        return Pair()

    def ask(self, number, pending, rng):
        x = {"x": float(rng.uniform()), "n": 1}
        if number % 2 == 0:
            return Suggestion(x, until=5)
        return Suggestion(x, parent=number - 1, from_step=5, until=10)

    def tell(self, trial):
        pass


class Segments:
    """Trials are complete where their stretch ends; all may be copied."""

    version = 1

    def bind(self, goals):
        return Segments()

    def judge(self, trial):
        return Verdict.COMPLETE if trial.until == trial.last_step else Verdict.CONTINUE

    def observe(self, trial):
        pass

    def next_step(self, trial):
        return trial.until

    def promote(self, *, final):
        return None

    def keeps(self, trial):
        return trial.number % 2 == 0


def test_a_child_begins_with_its_parents_checkpoint_and_goes_on_from_its_own():
    story = Story(sampler=Pair(), scheduler=Segments())
    parent = story.ask()
    assert parent.next_step == 5
    assert story.report(parent, 5, 1.0).verdict is Verdict.COMPLETE
    assert story.do(OfferCheckpoint, number=0, attempt=1, metrics={"loss": 1.0}).is_wanted
    story.end(parent, Status.PRUNED)
    child = story.ask()
    assert (child.checkpoint.number, child.checkpoint.step, child.from_step, child.next_step) == (0, 5, 5, 10)
    assert story.trial(1).parent == 0 and not story.trial(1).reports
    story.do(LoseWorker, worker="w", blameless=True)
    again = story.ask()
    assert (again.number, again.checkpoint.number, again.from_step) == (1, 0, 5)
    story.report(again, 7, 0.5)
    story.do(KeepCheckpoint, number=1, attempt=2, step=7, checkpoint={"kept": "7"})
    story.do(LoseWorker, worker="w", blameless=True)
    third = story.ask()
    assert (third.checkpoint.number, third.from_step) == (1, 7)
    story.report(third, 10, 0.25)
    story.end(third, Status.PRUNED, saved=False)
    assert story.trial(1).status is Status.COMPLETED
    assert audit(story.feed.facts, sampler=Pair(), scheduler=Segments()).is_clean
    tampered = [replace(f, from_step=4) if isinstance(f, Started) and f.from_step == 5 else f for f in story.feed.facts]
    found = audit(tampered, sampler=Pair(), scheduler=Segments()).differences
    assert {difference.what for difference in found} == {"checkpoint"} and len(found) == 2


def test_a_parent_without_a_checkpoint_gives_way_to_its_nearest_ancestor():
    story = Story(sampler=Pair(), scheduler=Segments())
    parent = story.ask()
    story.report(parent, 5, 1.0)
    story.end(parent, Status.PRUNED, saved=False)
    child = story.ask()
    assert (child.checkpoint, child.from_step) == (None, None)


class Thawing:
    """Begins three trials, and then goes on with the oldest that has paused, three steps at a time."""

    traits = Traits(continues=True, reads_reports=True)

    def __init__(self):
        self.paused, self.asked = {}, []

    def bind(self, space, goals, seed):
        return Thawing()

    def ask(self, number, pending, rng):
        from raytune_hpo.protocols import Signal

        if number is not None and number < 3:
            return Suggestion({"x": float(rng.uniform()), "n": 1}, until=3)
        open_ones = {trial.number for trial in pending}
        for trial in self.paused.values():
            if trial.number not in open_ones and trial.last_step < 9:
                return Continue(trial.number, trial.last_step + 3)
        return Signal.WAIT if pending else Signal.EXHAUSTED

    def observe(self, trial):
        self.paused.pop(trial.number, None)
        self.paused[trial.number] = trial

    def tell(self, trial):
        self.paused.pop(trial.number, None)


class Stretches:
    """Trials pause where their stretch ends."""

    version = 1

    def bind(self, goals):
        return Stretches()

    def judge(self, trial):
        return Verdict.PAUSE if trial.until is not None and trial.last_step >= trial.until else Verdict.CONTINUE

    def observe(self, trial):
        pass

    def next_step(self, trial):
        return trial.until


def test_a_sampler_may_say_which_paused_trial_goes_on():
    for ahead in (False, True):
        story = Story(sampler=Thawing(), scheduler=Stretches(), num_trials=3, ahead=ahead)
        for _ in range(30):
            if ahead:
                while (request := story.feed.core.suggestions.request(demand=1)) is not None:
                    story.feed.core.suggestions.put(story.feed.core.suggestions.compute(request))
            trial = story.ask()
            if trial is None:
                break
            story.report(trial, trial.next_step, 1.0)
            story.end(trial)
        ledger = story.feed.core.ledger
        assert ledger.stopped == "num_trials" and [t.last_step for t in ledger.trials] == [9, 9, 9]
        assert ledger.num_continued == 6 and ledger.num_steps == 27
        found = audit(story.feed.facts, sampler=Thawing(), scheduler=Stretches())
        assert found.is_clean and found.num_promotions == 6, str(found)


def test_num_steps_ends_a_study():
    story = Story(scheduler=None, num_trials=None, num_steps=10)
    trial = story.ask()
    story.report(trial, 4, 1.0)
    story.report(trial, 9, 1.0)
    assert story.feed.core.ledger.stopped is None
    story.report(trial, 10, 1.0)
    assert story.feed.core.ledger.stopped == "num_steps"


@pytest.mark.parametrize("objective", [lambda config: config["x"], lambda config: 1 / 0])
def test_num_steps_ends_a_study_whose_objective_reports_nothing(objective):
    results = hpo.tune(
        objective, {"x": hpo.uniform(0, 1)}, num_steps=7, sampler="random", runtime="local", storage="memory",
        max_concurrent=1, progress=False, time_budget_s=5,
    )  # fmt: skip
    assert 7 <= len(results) < 60


def test_at_a_limit_running_trials_may_save_before_the_study_stops():
    story = Story(scheduler=None, num_trials=None, num_steps=10, grace_s=3.0)
    one, other = story.ask("a"), story.ask("b")
    assert not story.report(one, 9, 1.0).is_last_call
    assert story.report(other, 1, 1.0).is_last_call  # the tenth step
    assert story.ask("c") is None and story.feed.core.ledger.stopped is None
    story.do(KeepCheckpoint, number=other.number, attempt=1, step=1, checkpoint={"kept": "b"})
    assert story.feed.core.ledger.stopped is None, "the other one could save, too"
    story.do(KeepCheckpoint, number=one.number, attempt=1, step=9, checkpoint={"kept": "a"})
    assert story.log[-4:] == ["V1@1", "V0@9", "Q0", "Q1"] and story.feed.core.ledger.stopped == "num_steps"
    assert [t.status for t in story.feed.core.ledger.trials] == ["waiting"] * 2


@pytest.mark.parametrize("way", ["time", "again", "ends"])
def test_a_study_that_stops_waits_some_seconds_for_what_could_be_saved_and_no_longer(way):
    story = Story(scheduler=None, grace_s=3.0)
    trial = story.ask()
    story.report(trial, 1, 1.0)
    story.do(StopStudy, reason="test")
    story.do(StopStudy, reason="another")
    assert story.feed.core.ledger.stopped is None
    if way == "time":
        story.at += 2.0
        story.ask("b")
    elif way == "again":
        story.do(StopStudy, reason="a second Ctrl-C", at_once=True)
    else:
        story.end(trial, Status.COMPLETED, saved=False, loss=1.0)
    assert story.feed.core.ledger.stopped == ("a second Ctrl-C" if way == "again" else "test")


def test_who_could_not_save_is_not_waited_for():
    story = Story(scheduler=None, num_steps=1, grace_s=3.0)
    trial = story.ask()
    story.do(ReportMetrics, number=trial.number, attempt=1, step=1, metrics={"loss": 1.0}, saves=False)
    assert story.feed.core.ledger.stopped == "num_steps"


@pytest.mark.parametrize("late", [Status.PAUSED, Status.COMPLETED])
def test_what_a_former_owner_says_changes_nothing(late):
    story = Story()
    trial = story.ask("a")
    story.report(trial, 1, 1.0)
    story.do(LoseWorker, worker="a", blameless=True)
    again = story.ask("b")
    before = story.log
    story.end(trial, late, loss=0.1)
    story.do(KeepCheckpoint, number=0, attempt=1, step=1, checkpoint={"kept": "late"})
    assert story.report(trial, 5, 0.1).verdict is Verdict.STOP
    assert story.log == before and again.attempt == 2


@pytest.mark.parametrize(
    ("verdict", "said", "becomes"),
    [("pause", Status.PAUSED, Status.PAUSED), ("complete", Status.PRUNED, Status.COMPLETED)],
)
def test_an_end_that_comes_late_is_what_it_would_have_been_in_time(verdict, said, becomes):
    story = Story()
    trial = story.ask("a")
    assert story.report(trial, 1 if verdict == "pause" else 9, 1.0).verdict == verdict
    story.do(LoseWorker, worker="a", blameless=True)
    story.end(trial, said)
    assert story.trial(0).status is becomes and story.trial(0).last_step == (1 if verdict == "pause" else 9)


def test_who_began_without_a_checkpoint_and_fails_over_anothers_has_failed():
    story = Story(scheduler=None)
    trial = story.ask()
    story.end(trial, Status.WAITING, saved=False, reason="gone", error="CheckpointGone: gone")
    assert story.trial(0).status is Status.FAILED and "gone" in story.trial(0).error
