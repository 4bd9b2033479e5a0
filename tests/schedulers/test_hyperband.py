"""Hyperband: brackets that begin to judge at different steps."""

from collections import Counter

import pytest

from raytune_hpo import testing
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Verdict
from raytune_hpo.schedulers import Hyperband
from raytune_hpo.schedulers.hyperband import bracket_size


def test_the_brackets_have_the_sizes_of_the_paper():
    assert [bracket_size(s, 5, 3) for s in range(5)] == [81, 34, 15, 8, 5]  # Li et al. 2018, table 1: R = 81, eta = 3


def test_brackets_get_their_shares_and_each_of_them_early():
    hyperband = Hyperband(max_steps=81)
    dealt = [hyperband._deal.bracket_of(n) for n in range(2 * 143)]
    assert [Counter(dealt[:143])[s] for s in range(5)] == [81, 34, 15, 8, 5]
    assert set(dealt[:30]) == {0, 1, 2, 3, 4} and dealt[143:] == dealt[:143]


def test_brackets_are_dealt_at_once_however_long_a_round_is():
    assert {Hyperband(max_steps=2**62)._deal.bracket_of(n) for n in range(100)} > {0, 1, 2}


def test_the_last_bracket_stops_nobody_and_the_first_one_most():
    hyperband = Hyperband(max_steps=27)
    numbers = [n for n in range(600) if hyperband._deal.bracket_of(n) in (0, 3)]
    losses = testing.curves(60)
    by_number = {n: losses[i % 60] for i, n in enumerate(numbers)}
    bound, stopped = hyperband.bind(testing.GOALS), Counter()
    for n, curve in by_number.items():
        trial = testing.start(n, {})
        bracket = hyperband._deal.bracket_of(n)
        for step, loss in enumerate(curve, start=1):
            trial = testing.report(trial, step, loss)
            verdict = bound.judge(trial)
            bound.observe(trial)
            if verdict is Verdict.STOP:
                stopped[bracket] += 1
                break
    assert stopped[3] == 0
    assert stopped[0] > 0.4 * sum(hyperband._deal.bracket_of(n) == 0 for n in numbers)


def test_trials_are_compared_within_their_bracket():
    hyperband = Hyperband(max_steps=27).bind(testing.GOALS)
    of_first = [n for n in range(100) if hyperband._deal.bracket_of(n) == 0]
    second = next(n for n in range(100) if hyperband._deal.bracket_of(n) == 1)
    for number in of_first[:9]:
        hyperband.observe(testing.report(testing.start(number, {}), 3, 0.0))
    stranger = testing.report(testing.start(second, {}), 3, 1.0)
    assert hyperband.judge(stranger) is Verdict.CONTINUE


@pytest.mark.parametrize(
    "options, said",
    [
        ({}, "needs max_steps, the last step"),
        ({"max_steps": 1}, "max_steps >= 2"),
        ({"max_steps": 9, "eta": 1}, "eta >= 2"),
    ],
)
def test_options_that_cannot_be_are_refused(options, said):
    with pytest.raises(SpecError, match=said):
        Hyperband(**options)
