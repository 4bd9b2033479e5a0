import pytest

from raytune_hpo import testing
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Verdict
from raytune_hpo.schedulers import Median

CONTINUE, STOP = Verdict.CONTINUE, Verdict.STOP


def median(**options):
    return testing.Race(Median(**options).bind(testing.GOALS))


def curve(run, number, losses):
    trial = testing.start(number, {})
    said = []
    for step, loss in enumerate(losses, start=1):
        trial, verdict = run.report(trial, step, loss)
        said.append(verdict)
    return said


def test_by_hand_the_best_so_far_against_the_median_of_running_averages():
    run = median(min_trials=3)
    curve(run, 0, [4.0, 2.0])  # running averages 4, 3
    curve(run, 1, [8.0, 2.0])  # 8, 5
    curve(run, 2, [9.0, 9.0])  # 9, 9
    assert curve(run, 3, [8.0, 5.0]) == [CONTINUE, CONTINUE]  # medians 8 and 5: equal is good enough
    # The medians of the four are 8 and 5.75: the averages at step 2 are 3, 5, 6.5 and 9.
    assert curve(run, 4, [8.5, 5.8]) == [STOP, STOP]
    assert curve(run, 5, [5.5, 9.0]) == [CONTINUE, CONTINUE]  # its best so far stays good


def test_nobody_is_stopped_in_the_grace_period_or_without_company():
    run = median(grace_steps=3, min_trials=2)
    for number in range(2):
        assert curve(run, number, [1.0] * 4) == [CONTINUE] * 4
    assert curve(run, 2, [9.0] * 4) == [CONTINUE, CONTINUE, STOP, STOP]


def test_the_next_verdict_is_at_the_end_of_the_grace_period_and_then_at_every_step():
    scheduler = Median(grace_steps=4).bind(testing.GOALS)
    trial = testing.start(0, {})
    assert scheduler.next_step(trial) == 4
    assert scheduler.next_step(testing.report(trial, 2, 1.0)) == 4
    assert scheduler.next_step(testing.report(trial, 6, 1.0)) == 7


def test_a_trial_that_starts_over_is_averaged_from_its_new_start():
    run = median(min_trials=1)
    lost, _ = run.report(testing.start(0, {}), 1, 100.0)
    again, _ = run.report(testing.restart(lost), 1, 2.0)
    run.report(again, 2, 4.0)  # average 3
    assert curve(run, 1, [2.0, 2.0]) == [CONTINUE, CONTINUE]
    assert curve(run, 2, [9.0, 9.0]) == [STOP, STOP]


def test_reports_without_losses_do_not_count():
    run = median(min_trials=1)
    curve(run, 0, [2.0, None, 4.0])  # average 3 at step 3
    assert curve(run, 1, [3.5, None, 3.5]) == [STOP, CONTINUE, STOP]


def test_an_older_snapshot_is_judged_by_what_it_shows():
    run = median(min_trials=1)
    curve(run, 0, [2.0, 2.0])
    early = testing.report(testing.start(1, {}), 1, 5.0)
    run.observe(early)
    run.observe(testing.report(early, 2, 1.0))
    assert run.scheduler.judge(early) is STOP


@pytest.mark.parametrize("option", ["grace_steps", "min_trials"])
def test_options_are_checked_at_the_door(option):
    with pytest.raises(SpecError, match=f"median needs a whole number {option} >= 1, got {option}=0"):
        Median(**{option: 0})


@pytest.mark.parametrize("loss", [0.1, 0.7, -123.456, 1.7e308, -1.7e308])
def test_of_equal_flat_curves_none_is_stopped_whatever_their_mean_is_rounded_to(loss):
    assert not testing.race(Median().bind(testing.GOALS), [[loss] * 27] * 12).stopped
