"""Repeats where they decide, on programs that are only simulated."""

from __future__ import annotations

import random

import pytest

from raytune_hpo.commands.answering import mean_of_all
from raytune_hpo.commands.repeating import Contest, RepeatRule, unstable
from raytune_hpo.commands.scaling import fitted_scaling
from raytune_hpo.commands.searching import TOP
from raytune_hpo.errors import SpecError
from raytune_hpo.goals import Goal


def settled(contest, draw):
    """The values of a configuration that runs as often as the contest wants it to."""
    values = []
    while contest.wants_more(values):
        values.append(draw())
    contest.settle(values)
    return values


@pytest.mark.parametrize(("given", "low", "high"), [(5, 5, 5), ("3..10", 3, 10), ((1, 4), 1, 4), ("2", 2, 2)])
def test_repeats_as_they_are_written(given, low, high):
    rule = RepeatRule.parsed(given)
    assert (rule.low, rule.high) == (low, high)


@pytest.mark.parametrize("given", [0, "10..3", "a", (1, 2, 3), 2.5, True])
def test_what_is_no_number_of_repeats_is_refused(given):
    with pytest.raises(SpecError):
        RepeatRule.parsed(given)


def test_a_configuration_that_is_clearly_worse_runs_once():
    contest = Contest(RepeatRule(low=1, high=10), Goal("time"))
    noise = random.Random(0)
    assert len(settled(contest, lambda: noise.gauss(1, 0.02))) == 1, "there is nothing to be told from"
    contest.settle([1.0, 1.02, 0.99, 1.01])
    assert len(settled(contest, lambda: 5.0)) == 1
    assert len(settled(contest, lambda: noise.gauss(1, 0.02))) > 3
    assert contest.best == pytest.approx(1, abs=0.03)


def test_a_configuration_that_is_clearly_better_runs_once():
    contest = Contest(RepeatRule(low=1, high=10), Goal("time"))
    for seconds in (9.0, 6.0, 3.0):
        assert len(settled(contest, lambda seconds=seconds: seconds)) == 1
    assert contest.best == 3.0
    assert len(settled(contest, lambda: 2.99)) > 1


def test_what_is_to_be_large_is_compared_the_other_way_round():
    contest = Contest(RepeatRule(low=1, high=10), Goal("throughput", "max"))
    contest.settle([10.0, 10.1, 9.9])
    assert len(settled(contest, lambda: 1.0)) == 1
    settled(contest, lambda: 20.0)
    assert contest.best == 20


def test_runs_end_when_a_value_is_known_well_enough():
    contest = Contest(RepeatRule(low=2, high=50, rel_error=0.05), Goal("time"))
    noise = random.Random(1)
    values = settled(contest, lambda: noise.gauss(1, 0.1))
    assert 5 < len(values) < 50


def test_values_below_zero_are_compared_as_they_are():
    contest = Contest(RepeatRule(low=2, high=5), Goal("score"))
    contest.settle([-3.0, -3.1])
    assert len(settled(contest, lambda: 3.0)) == 2


def test_runs_that_lie_far_apart_are_said_to_be_unstable():
    assert unstable([1.0, 1.01, 1.02]) == ""
    assert "unstable: MAD 90% over 3 runs" in unstable([1.0, 10.0, 100.0])


def best_of_eight(seed, step):
    """Whether the best of 8 programs is found, and by how many runs, with a command's defaults and repeats at the end.

    Each is so many times as slow as the one before; runs differ by 10 %.
    """
    noise, truth = random.Random(seed), [step**i for i in range(8)]
    noise.shuffle(truth)
    contest, counts, means = Contest(RepeatRule(), Goal("time")), [], []
    for value in truth:
        values = settled(contest, lambda value=value: value * noise.lognormvariate(0, 0.1))
        counts.append(len(values))
        means.append(sorted(values)[len(values) // 2])
    ranked = sorted(range(8), key=means.__getitem__)[:TOP]
    fresh = {i: sum(truth[i] * noise.lognormvariate(0, 0.1) for _ in range(5)) / 5 for i in ranked}
    best = min(fresh, key=lambda i: mean_of_all(fresh[i], 5, means[i], counts[i]))
    return truth[best] == 1.0, sum(counts) + 5 * TOP


@pytest.mark.parametrize("step", [1.1, 1.2])
def test_under_ten_percent_of_noise_the_best_of_eight_is_found(step):
    found = [best_of_eight(seed, step) for seed in range(100)]
    assert sum(is_best for is_best, _ in found) >= 95
    assert max(num for _, num in found) <= 40


def test_the_law_of_scaling_is_found_again():
    counts = [1, 2, 3, 5, 8, 13, 21]
    seconds = [10 * (1 + 0.1 * (n - 1) + 0.01 * n * (n - 1)) / n for n in counts]
    law = fitted_scaling(counts, seconds)
    assert (law.contention, law.coherency) == (pytest.approx(0.1), pytest.approx(0.01))
    assert law.peak == pytest.approx((0.9 / 0.01) ** 0.5)
    assert fitted_scaling([1, 2, 3], [1, 1, 1]) is None
