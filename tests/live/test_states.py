"""The states of a live study, as stories in virtual time."""

from __future__ import annotations

import pytest

from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Approved, BaselineSet, Drifted, Finished, Frozen, Started, Status
from raytune_hpo.live.messages import Approve, Freeze, NoteMeasured, SetBaseline, Thaw
from raytune_hpo.live.replaying import replayed
from tests.live.running_system import BASELINE, FAST, SLOW, START, Scripted, Story, System


def test_first_the_baseline_is_observed_everywhere():
    story = Story()
    story.run(windows=4)
    assert story.state == "observing"
    assert story.system.runs == {"control": BASELINE, "canary": BASELINE}
    story.run(until="holding")
    assert story.fold.observed == {"rps=7": 5}


def test_a_better_candidate_goes_from_canary_to_everybody():
    story = Story(FAST)
    story.run(until="canary")
    story.run(windows=0.2)
    assert story.system.runs == {"control": BASELINE, "canary": FAST}
    assert story.system.share == 0.05
    story.run(until="promoting")
    story.run(windows=0.2)
    assert story.system.share == 0.25
    story.run(until="holding")
    story.run(windows=2)
    assert story.system.runs == {"control": FAST, "canary": FAST}
    assert not story.alarms


def test_a_candidate_that_is_no_better_is_not_promoted():
    story = Story({"threads": 16, "timeout": 0.6})
    story.run(until="canary")
    story.run(until="holding")
    story.run(windows=2)
    assert story.system.runs == {"control": BASELINE, "canary": BASELINE}


def test_a_broken_guard_rolls_back_within_a_check_and_the_pause_doubles():
    story = Story(SLOW, {"threads": 9, "timeout": 0.5}, cool_down_s=600.0)
    story.run(until="canary")
    story.run(windows=0.5)
    began = next(f.at for f in story.facts if isinstance(f, Started) and f.basis is not None)
    ended = next(f for f in story.facts if isinstance(f, Finished) and f.status is Status.FAILED)
    assert ended.at - began <= 20.0
    assert "p99 <= 150" in ended.reason
    assert story.system.runs["canary"] == BASELINE
    assert story.fold.cool_down_until == ended.at + 600.0
    story.run(until="canary")
    story.run(windows=1)
    second = [f for f in story.facts if isinstance(f, Finished) and f.status is Status.FAILED][1]
    assert story.fold.cool_down_until == second.at + 1200.0


class Failing(System):
    """A system whose canary group cannot do what is asked of it, and shows that in one metric alone."""

    def __init__(self, shown):
        super().__init__()
        self.shown = shown

    def measure(self, group, start, end):
        metrics, context = super().measure(group, start, end)
        return ({**metrics, "errors": 0.0}, context) if self.runs[group] == BASELINE else (self.shown, {})


@pytest.mark.parametrize("window_s", [60.0, 300.0])  # in the longer one, the newest minute is judged first
@pytest.mark.parametrize(
    "shown", [{"p99": 400.0}, {"p99": float("inf")}, {"cost": float("inf"), "p99": 400.0}], ids=str
)
def test_a_guard_is_judged_by_its_own_metric_whatever_else_cannot_be_measured(shown, window_s):
    story = Story(FAST, system=Failing(shown), window_s=window_s, guards=["p99 <= 150", "errors <= 0.01", "p99 <= 3x"])
    story.run(until="canary")
    story.run(windows=0.5)
    (failed,) = [f for f in story.facts if isinstance(f, Finished) and f.status is Status.FAILED]
    assert failed.at - story.fold.study.ledger.trials[failed.number].started_at <= 2 * story.plan.check_s
    assert "guard p99 <= 150 is broken" in failed.reason and story.system.runs["canary"] == BASELINE
    assert story.fold.regret(story.at)[0] == 0.0, "nobody knows what it cost"
    story.kill()
    story.start()
    story.run(windows=3)
    assert story.state == "holding"
    assert not replayed(story.facts, story.spec, story.plan, Scripted(configs=(FAST,))).differences


def test_a_guard_relative_to_the_control_group_needs_only_its_metric_of_both():
    story = Story(FAST, system=Failing({"p99": 400.0}), guards=["p99 <= 1.5x"])
    story.run(until="canary")
    story.run(windows=0.5)
    assert "p99 <= 1.5x" in next(f.reason for f in story.facts if isinstance(f, Finished) and f.status is Status.FAILED)


def test_several_roll_backs_in_a_day_freeze():
    bad = [{"threads": n, "timeout": 0.5} for n in (8, 9, 10)]
    story = Story(*bad, cool_down_s=60.0)
    story.run(until="frozen")
    assert "3 rollbacks" in story.fold.frozen.reason
    assert story.system.runs == {"control": BASELINE, "canary": BASELINE}


def test_a_guard_relative_to_the_control_group_is_judged_over_windows():
    story = Story(FAST, guards=["p99 <= 1.1x", "cost <= 0.95x"], looks=[8])
    story.system.cost = lambda config: 100.0
    story.run(until="canary")
    story.run(windows=3)
    assert story.fold.candidate is None
    assert story.fold.cool_down_until > story.at


def test_a_baseline_that_breaks_a_guard_by_itself_is_refused_after_observing():
    story = Story(guards=["p99 <= 90"])
    story.run(until="frozen")
    assert "baseline itself breaks a guard in 5 of 5" in story.fold.frozen.reason


def test_a_candidate_waits_for_a_person():
    story = Story(FAST, approve=True)
    story.run(until="proposing")
    story.run(windows=3)
    assert story.system.runs["canary"] == BASELINE
    number = story.fold.candidate.number
    with pytest.raises(SpecError, match=f"trial {number} waits"):
        story.obey(Approve(number=number + 1, by="ops", at=story.at))
    story.obey(Approve(number=number, by="ops", at=story.at))
    story.run(windows=2)
    assert story.system.runs["canary"] == FAST
    assert any(isinstance(f, Approved) for f in story.facts)
    story.run(until="holding")
    assert story.fold.incumbent() == FAST


def test_a_freeze_takes_the_canary_back_at_once_and_lasts():
    story = Story(FAST)
    story.run(until="canary")
    story.run(windows=1)
    story.obey(Freeze(by="ann", reason="sale", at=story.at))
    assert story.system.runs == {"control": BASELINE, "canary": BASELINE}
    num = len(story.facts)
    story.run(windows=5)
    assert len(story.facts) == num
    story.obey(Thaw(by="ann", at=story.at))
    story.run(windows=2)
    assert story.state != "frozen"


def test_no_metrics_for_three_windows_freeze():
    story = Story()
    story.run(until="holding")
    story.system.breaks = {"measure"}
    story.run(windows=4)
    assert story.state == "frozen"
    void = [f for f in story.facts if isinstance(f, Finished) and f.status is Status.PRUNED]
    assert len(void) == 3


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (({"cost": None, "p99": 100.0}, {"rps": 100.0}), None),
        (({"cost": "a", "p99": 100.0}, {"rps": 100.0}), "measure gives numbers, got cost='a'"),
        (([1], {}), "measure gives numbers by name, got [1]"),
        (
            ({"cost": 9.0, "p99": 100.0}, {"rps": float("inf")}),
            "the context of measure gives finite numbers, got rps=inf",
        ),
        ({"cost": 9.0}, "ValueError"),
        (None, "TypeError"),
    ],
    ids=str,
)
def test_a_measurement_that_is_no_numbers_makes_a_void_window_and_says_why(said, told):
    story = Story()
    story.run(until="holding")
    story.system.measure = lambda *window: said
    story.run(windows=1)
    assert story.fold.voids == 1 and any(told in alarm for alarm in story.alarms) if told else not story.alarms
    (void,) = [f for f in story.facts if isinstance(f, Finished) and f.status is Status.PRUNED]
    assert void.reason.startswith(f"no usable measurement of trial {void.number}, without cost")
    del story.system.measure
    story.run(windows=2)
    assert story.state == "holding" and story.fold.voids == 0


def test_a_column_of_the_context_that_is_not_there_leaves_the_class_as_it_is():
    story = Story()
    story.run(until="holding")
    measure = story.system.measure
    for missing in (None, float("nan")):
        story.system.measure = lambda *window, missing=missing: (measure(*window)[0], {"rps": missing})
        story.run(windows=2)
        assert story.fold.place == "rps=7" and story.state == "holding" and not story.alarms


def test_what_is_read_back_is_a_configuration_or_the_study_freezes():
    story = Story()
    story.run(until="holding")
    story.system.read = lambda group: None
    story.run(windows=1)
    assert any("read gives a configuration, got None" in alarm for alarm in story.alarms) and story.state == "holding"
    story.obey(SetBaseline(config=FAST, by="ops", at=story.at))
    assert story.state == "frozen"


@pytest.mark.parametrize("broken", ["apply", "read"])
def test_an_applier_that_fails_freezes_and_nothing_is_assumed(broken):
    story = Story(FAST)
    story.run(windows=4)
    story.system.breaks = {broken}
    story.run(until="frozen")
    story.run(windows=3)
    assert story.alarms


def test_a_knob_that_is_turned_by_hand_freezes_and_stays_turned():
    story = Story()
    story.run(until="holding")
    story.system.runs["control"]["threads"] = 33
    story.run(until="frozen")
    assert "threads=33" in story.fold.frozen.reason
    story.run(windows=2)
    assert story.system.runs["control"]["threads"] == 33
    story.obey(SetBaseline(config={"threads": 33, "timeout": 0.5}, by="ops", at=story.at))
    story.obey(Thaw(by="ops", at=story.at))
    story.run(windows=2)
    assert story.fold.incumbent()["threads"] == 33


def test_a_knob_that_is_gone_is_named():
    story = Story()
    story.run(until="holding")
    del story.system.runs["control"]["threads"]
    story.run(until="frozen")
    assert "changed control by hand: threads is missing;" in story.fold.frozen.reason


def test_a_context_never_seen_gets_the_baseline():
    story = Story(FAST)
    story.run(until="canary")
    story.run(until="holding")
    assert story.fold.incumbent() == FAST
    story.system.rps = 1000.0
    story.run(windows=3)
    assert story.state == "observing"
    assert story.system.runs["control"] == BASELINE
    story.system.rps = 100.0
    story.run(windows=4)
    assert story.system.runs["control"] == FAST


def test_a_candidate_waits_for_its_context_and_keeps_what_it_has_shown():
    story = Story(FAST, looks=[4, 8])
    story.run(until="canary")
    story.run(windows=3)
    number, seen = story.fold.candidate.number, list(story.fold.candidate.differences)
    assert len(seen) >= 2
    story.system.rps = 1000.0
    story.run(windows=8)
    assert story.fold.candidate is None and story.fold.paused["rps=7"].number == number
    assert story.system.runs == {"control": BASELINE, "canary": BASELINE}
    story.system.rps = 100.0
    story.run(until="canary")
    assert story.fold.candidate.number == number and story.fold.candidate.differences[: len(seen)] == seen
    story.run(windows=1)
    assert story.system.runs == {"control": BASELINE, "canary": FAST}
    story.run(until="holding")
    assert story.fold.incumbent() == FAST and not story.fold.paused
    assert not story.alarms and not replayed(story.facts, story.spec, story.plan, story.sampler).differences


def test_by_the_rules_of_the_first_release_a_candidate_ends_with_its_context():
    story = Story(FAST, looks=[4, 8], rules=1)
    story.run(until="canary")
    story.run(windows=2)
    story.system.rps = 1000.0
    story.run(windows=4)
    assert story.fold.candidate is None and not story.fold.paused


def test_a_paused_candidate_is_dropped_when_what_it_was_compared_with_breaks_a_guard():
    story = Story(FAST, {"threads": 24, "timeout": 0.5}, looks=[3, 12], changes_per_hour=4)
    story.run(until="canary")
    story.run(until="holding")
    story.run(until="canary")
    story.run(windows=4)
    story.system.rps = 1000.0
    story.run(windows=3)
    assert "rps=7" in story.fold.paused
    story.system.rps = 100.0
    measure = story.system.measure

    def broken(group, start, end):
        metrics, context = measure(group, start, end)
        return {**metrics, "p99": 400.0 if story.system.runs[group] == FAST else metrics["p99"]}, context

    story.system.measure = broken
    story.run(windows=6)
    assert not story.fold.paused and story.fold.candidate is None
    assert story.system.runs == {"control": BASELINE, "canary": BASELINE}


def test_a_step_is_measured_from_what_runs_here_and_not_from_what_ran_elsewhere():
    class Asked(Scripted):
        def bind(self, space, goals, seed):
            return Asked(configs=self.configs)

        def tell(self, trial):
            super().tell(trial)
            if trial.meta.get("group") == "control":
                self.here = trial.config

        def ask(self, number, pending, rng):
            asked.append(self.here)
            return super().ask(number, pending, rng)

    asked, story = [], Story()
    story.kill()
    story.sampler = Asked(configs=(FAST,))
    story.start()
    story.run(until="canary")
    story.run(until="holding")
    asked.clear()
    story.run(windows=4)
    assert asked and all(config == FAST for config in asked)
    story.system.rps = 1000.0
    story.run(windows=10)
    assert asked[-1] == BASELINE
    story.system.rps = 100.0
    story.run(windows=1)
    asked.clear()
    story.run(windows=6)
    assert asked[0] == asked[-1] == FAST


def test_rolling_back_by_hand_forgets_what_was_promoted():
    story = Story(FAST)
    story.run(until="canary")
    story.run(until="holding")
    story.obey(SetBaseline(by="ann", at=story.at, reason="rolled back"))
    assert story.system.runs == {"control": BASELINE, "canary": BASELINE}
    assert story.state == "observing"


def measured(story, number, cost, *, is_final=True, at=None, p99=100.0):
    story.obey(
        NoteMeasured(
            number=number,
            metrics={"cost": cost, "p99": p99},
            context={"rps": 100.0},
            at=story.at if at is None else at,
            is_final=is_final,
        )
    )


def test_of_measurements_within_a_window_the_last_counts_and_later_ones_are_kept_aside():
    story = Story()
    story.run(windows=1.2)
    running = story.fold.study.ledger.running()
    canary, control = (trial.number for trial in running)
    measured(story, canary, 50.0, is_final=False)
    measured(story, canary, 40.0, is_final=False, at=story.at - 5.0)  # taken before the one above, and late
    measured(story, canary, 60.0)
    measured(story, canary, 70.0)  # doubled
    measured(story, canary, 80.0, is_final=False, at=story.at - 30.0)  # out of order
    assert canary in [trial.number for trial in story.fold.study.ledger.running()], "its pair ends with it"
    measured(story, control, 55.0)
    trials = story.fold.study.ledger.trials
    assert (trials[canary].metrics["cost"], trials[control].metrics["cost"]) == (60.0, 55.0)
    observed = dict(story.fold.observed)
    measured(story, canary, 90.0)
    assert trials[canary].metrics["cost"] == 60.0 and story.fold.observed == observed
    assert '"late"' in story.facts[-1].text and "90.0" in story.facts[-1].text


def test_a_measurement_of_a_configuration_that_no_longer_runs_changes_nothing():
    story = Story(SLOW)
    story.run(until="canary")
    tried = story.fold.candidate.number
    story.run(windows=1)
    assert story.fold.candidate is None
    before = (dict(story.fold.observed), story.fold.spent(story.at), story.state)
    measured(story, tried, 1.0)
    measured(story, tried, 1.0, p99=1_000.0)
    measured(story, 10_000, 1.0)
    assert (dict(story.fold.observed), story.fold.spent(story.at), story.state) == before
    assert story.fold.study.ledger.trials[tried].status is Status.FAILED


class Turning(System):
    """A system whose p99 doubles at some time, measured as the mean over a period."""

    def __init__(self, turns_at=float("inf")):
        super().__init__()
        self.turns_at = turns_at

    def measure(self, group, start, end):
        metrics, context = super().measure(group, start, end)
        share = min(1.0, max(0.0, (end - max(start, self.turns_at)) / (end - start)))
        return {**metrics, "p99": 100.0 + 100.0 * share * (self.runs[group] != BASELINE)}, context


@pytest.mark.parametrize("late_s", [170.0, 250.0, 295.0])
def test_a_guard_that_breaks_late_in_a_window_is_noticed_within_a_minute(late_s):
    system = Turning()
    story = Story(FAST, system=system, window_s=300.0)
    story.run(until="canary")
    story.run(until="holding")
    story.run(windows=1)
    assert system.runs["control"] == FAST
    began = max(trial.started_at for trial in story.fold.study.ledger.running())
    system.turns_at = began + late_s
    while system.runs["control"] == FAST:
        story.run(windows=0.01)
    assert story.at - system.turns_at <= 60.0
    failed = next(f for f in story.facts if isinstance(f, Finished) and f.status is Status.FAILED)
    assert "guard p99 <= 150 is broken" in failed.reason and failed.metrics["p99"] > 150


def test_measurements_that_come_late_are_kept_and_not_used():
    story = Story()
    story.run(windows=3)
    before = dict(story.fold.observed)
    story.obey(NoteMeasured(number=0, metrics={"cost": 1.0, "p99": 1.0}, context={}, at=story.at, is_final=True))
    assert "late" in story.facts[-1].text
    assert story.fold.observed == before


def test_a_value_ten_times_the_usual_is_void_and_not_failed():
    story = Story()
    story.run(until="holding")
    story.run(windows=4)
    cost = story.system.cost
    story.system.cost = lambda config: 20 * cost(config)
    story.run(windows=1)
    story.system.cost = cost
    story.run(windows=2)
    assert story.state == "holding"
    assert [f.status for f in story.facts if isinstance(f, Finished) and "over ten times" in (f.reason or "")] == [
        "pruned"
    ]


def test_nothing_is_tried_in_quiet_hours():
    story = Story(FAST, quiet_hours=[[0, 24]])
    story.run(windows=20)
    assert all(f.basis is None for f in story.facts if isinstance(f, Started))


def test_few_windows_of_a_day_are_tries():
    story = Story(FAST, {"threads": 21, "timeout": 0.4}, {"threads": 22, "timeout": 0.4}, exploration=0.004)
    story.run(windows=40)
    tried = [
        f for f in story.facts if isinstance(f, Started) and (f.basis is not None or f.meta.get("role") == "canary")
    ]
    assert 0 < len(tried) <= 0.004 * 40 + 12  # what has begun is brought to its end


def test_two_writers_are_refused_by_the_number_of_the_fact():
    system = System()
    story = Story(system=system)
    story.run(windows=2)
    system.seq = 10_000  # another controller has been here
    story.obey(Freeze(by="ann", reason="test", at=story.at))
    story.obey(Thaw(by="ann", at=story.at))
    assert story.state == "frozen"
    assert "older than 10000" in story.fold.frozen.reason


def test_the_time_of_the_story_is_that_of_its_facts():
    story = Story(FAST)
    story.run(windows=10)
    times = [f.at for f in story.facts]
    assert times == sorted(times)
    assert times[0] == START
    assert not [f for f in story.facts if isinstance(f, (Frozen, Drifted))]
    assert sum(isinstance(f, BaselineSet) for f in story.facts) == 1


def test_a_replay_decides_the_same():
    story = Story(FAST, SLOW, {"threads": 23, "timeout": 0.4})
    story.run(windows=60)
    report = replayed(story.facts, story.spec, story.plan, story.sampler)
    assert report.num_decisions > 60
    assert not report.differences, str(report)


def test_a_replay_finds_a_window_that_was_not_due():
    from dataclasses import replace

    story = Story(FAST)
    story.run(windows=12)
    facts = story.facts
    position = next(i for i, f in enumerate(facts) if isinstance(f, Started) and f.number == 4)
    facts[position] = replace(facts[position], config={"threads": 60, "timeout": 0.5})
    report = replayed(facts, story.spec, story.plan, story.sampler)
    assert [d.what for d in report.differences] == ["configuration of trial 4"]
