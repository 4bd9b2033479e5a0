"""The compound rule: two checkpoints, at half the steps and near the end."""

import numpy as np
import pytest

from raytune_hpo import testing
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Verdict
from raytune_hpo.schedulers import Tercet

E = 20


def rising(limit):
    """Losses that fall to a limit."""
    return [limit + 1 / step for step in range(1, E + 1)]


def taught(variant="compound", beta=0.1, peers=40):
    scheduler = Tercet(max_steps=E, beta=beta, variant=variant).bind(testing.GOALS)
    for number in range(peers):
        trial = testing.start(number, {})
        for step, loss in enumerate(rising(number / peers), start=1):
            trial = testing.report(trial, step, loss)
            scheduler.observe(trial)
    return scheduler


def stopped_at(scheduler, losses, number=1000):
    trial = testing.start(number, {})
    for step, loss in enumerate(losses, start=1):
        due = scheduler.next_step(trial)
        trial = testing.report(trial, step, loss)
        if scheduler.judge(trial) is Verdict.STOP:
            assert due is not None and due <= step
            return step
        scheduler.observe(trial)
    return None


def test_the_first_look_stops_who_is_behind_nine_tenths_of_the_averages():
    means = [np.mean(rising(number / 40)[: E // 2 - 1]) for number in range(40)]
    edge = np.quantile(means, 0.9)
    assert stopped_at(taught(), [edge + 0.01] * E) == E // 2
    assert stopped_at(taught(), [edge - 0.01] * E) == 18  # passes here, not at the second one


def test_the_second_look_keeps_who_is_ahead_of_all_but_the_best_tenth():
    means = [np.mean(rising(number / 40)[E // 2 - 1 : 17]) for number in range(40)]
    edge = np.quantile(means, 0.1)
    assert stopped_at(taught(), [edge + 0.01] * E) == 18
    assert stopped_at(taught(), [edge - 0.01] * E) is None


def test_as_recorded_the_first_look_is_as_strict_as_the_second():
    means = [np.mean(rising(number / 40)[: E // 2 - 1]) for number in range(40)]
    strict, lenient = np.quantile(means, 0.1), np.quantile(means, 0.9)
    middle = [(strict + lenient) / 2] * E
    assert stopped_at(taught("recorded"), middle) == E // 2
    assert stopped_at(taught("compound"), middle) == 18


def test_deca_penta_and_tetra_look_later_and_earlier():
    assert [stopped_at(taught(beta=beta), [0.9] * E) for beta in (0.1, 0.2, 0.25)] == [18, 16, 15]


def test_the_second_look_is_not_a_step_early_by_rounding():
    scheduler = Tercet(max_steps=90, beta=0.3).bind(testing.GOALS)
    reported = testing.report(testing.start(0, {}), 45, 1.0)
    assert scheduler.next_step(reported) == 63


def test_without_company_nobody_is_stopped():
    assert stopped_at(taught(peers=3), [9.0] * E) is None
    assert stopped_at(taught(peers=4), [9.0] * E) == E // 2


def test_steps_that_are_not_reported_do_not_lose_the_checkpoint():
    scheduler, trial = taught(), testing.start(1000, {})
    for step in (3, 13):  # 10 is passed over
        due, trial = scheduler.next_step(trial), testing.report(trial, step, 9.0)
    assert due == 10
    assert scheduler.judge(trial) is Verdict.STOP


@pytest.mark.parametrize(
    "options, said",
    [
        ({}, "needs max_steps"),
        ({"max_steps": 3}, "max_steps >= 4"),
        ({"max_steps": 9, "beta": 0.6}, "0 < beta < 0.5"),
        ({"max_steps": 9, "beta": 0}, "0 < beta < 0.5"),
        ({"max_steps": 9, "variant": "recorder"}, "did you mean 'recorded'"),
        ({"max_steps": 9, "min_trials": 0}, "min_trials >= 1"),
    ],
)
def test_options_that_cannot_be_are_refused(options, said):
    with pytest.raises(SpecError, match=said):
        Tercet(**options)


@pytest.mark.parametrize("loss", [0.1, 0.7, -123.456, 1.7e308, -1.7e308])
def test_of_equal_flat_curves_none_is_stopped_whatever_their_mean_is_rounded_to(loss):
    assert not testing.race(Tercet(max_steps=E).bind(testing.GOALS), [[loss] * E] * 12).stopped
