import pytest

from raytune_hpo import testing
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Verdict
from raytune_hpo.schedulers import ASHA

CONTINUE, STOP = Verdict.CONTINUE, Verdict.STOP


def asha(**options):
    return testing.Race(ASHA(**options).bind(testing.GOALS))


def verdicts(run, step, losses):
    """New trials that report once, one after the other."""
    first = 1000 * step
    return [run.report(testing.start(first + i, {}), step, loss)[1] for i, loss in enumerate(losses)]


def test_by_hand_one_rung():
    # Of n entries n // 3 are kept, from n = 3 on: 1, 1, 1, 2, 2, 2, 3.
    losses = [5.0, 6.0, 4.0, 4.5, 3.0, 3.5, 9.0, 1.0, 4.0]
    # Better ones that each of these meets: 0, 1, 0, 1, 6, 0, 3.
    said = [CONTINUE, CONTINUE, CONTINUE, STOP, CONTINUE, CONTINUE, STOP, CONTINUE, STOP]
    assert verdicts(asha(), 1, losses) == said


def test_rungs_stand_at_powers_of_eta():
    run = asha(eta=3, min_steps=2)
    trial = testing.start(0, {})
    due = []
    for step in range(1, 20):
        due.append(run.scheduler.next_step(trial))
        trial, _ = run.report(trial, step, 1.0)
    assert due == [2] * 2 + [6] * 4 + [18] * 12 + [54]


def test_between_rungs_nobody_is_stopped():
    run = asha()
    verdicts(run, 3, [1.0, 2.0, 3.0])
    trial, verdict = run.report(testing.start(1, {}), 3, 0.5)
    assert verdict is CONTINUE
    for step in (4, 5, 8):
        trial, verdict = run.report(trial, step, 99.0)
        assert verdict is CONTINUE


def test_a_report_beyond_a_rung_counts_for_the_highest_that_it_passes():
    run = asha()
    verdicts(run, 9, [1.0, 2.0, 3.0])
    assert run.report(testing.start(1, {}), 10, 5.0)[1] is STOP  # rung 9
    assert run.report(testing.start(2, {}), 7, 5.0)[1] is CONTINUE  # rung 3, the first one there
    assert verdicts(run, 1, [9.0]) == [CONTINUE]  # nobody has entered rung 1


def test_the_last_step_is_no_rung():
    run = asha(min_steps=1, eta=3, max_steps=9)
    trial, _ = run.report(testing.start(0, {}), 3, 1.0)
    assert run.scheduler.next_step(trial) is None
    assert verdicts(run, 9, [1.0, 2.0, 3.0, 4.0]) == [CONTINUE] + [STOP] * 3  # they enter rung 3


def test_a_trial_that_starts_over_replaces_its_entry():
    run = asha()
    lost, _ = run.report(testing.start(0, {}), 1, 0.0)
    verdicts(run, 1, [2.0, 3.0])
    run.report(testing.restart(lost), 1, 9.0)
    assert run.report(testing.start(7, {}), 1, 1.0)[1] is CONTINUE  # among 9, 2 and 3 it is the best


def test_a_rung_passed_without_losses_is_judged_at_the_next_report():
    run = asha()
    verdicts(run, 3, [1.0, 2.0, 3.0])
    trial, _ = run.report(testing.start(1, {}), 4, None)
    assert run.scheduler.next_step(trial) == 5
    assert run.report(trial, 5, 9.0)[1] is STOP


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eta": 1}, "asha needs a whole number eta >= 2, got eta=1"),
        ({"eta": 2.5}, "asha needs a whole number eta >= 2, got eta=2.5"),
        ({"min_steps": 0}, "asha needs a whole number min_steps >= 1, got min_steps=0"),
        ({"min_steps": 5, "max_steps": 5}, "asha needs a whole number max_steps >= 6, got max_steps=5; .*min_steps=5"),
    ],
)
def test_options_are_checked_at_the_door(options, message):
    with pytest.raises(SpecError, match=message):
        ASHA(**options)
