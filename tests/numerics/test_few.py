"""Bounds of few observations cover the truth as often as they say, and are wide where nothing can be said."""

from __future__ import annotations

import math

import numpy as np
import pytest

from raytune_hpo.numerics.few import mean_bounds, quantile_bounds, share_bounds


def test_nothing_seen_and_everything_seen_have_bounds_in_closed_form():
    low, high = share_bounds(0, 20, 0.05)
    assert low == 0.0 and high == pytest.approx(1 - 0.05 ** (1 / 20))
    low, high = share_bounds(20, 20, 0.05)
    assert low == pytest.approx(0.05 ** (1 / 20)) and high == 1.0


def test_one_failure_of_three_does_not_prove_that_more_than_one_in_a_hundred_fail_and_two_do():
    assert share_bounds(1, 3, 0.001)[0] < 0.01 < share_bounds(2, 3, 0.001)[0]


@pytest.mark.parametrize("n", [5, 60, 400])
def test_bounds_miss_the_truth_at_most_as_often_as_they_say(n):
    rng, level, num = np.random.default_rng(n), 0.05, 400
    most = level + 3 * math.sqrt(level * (1 - level) / num)
    missed = np.zeros((3, 2))
    for _ in range(num):
        x = rng.exponential(size=n)
        k = int((x > 2.0).sum())
        found = (
            (share_bounds(k, n, level), math.exp(-2.0)),
            (quantile_bounds(sorted(x), 0.9, level), -math.log(0.1)),
            (mean_bounds(sorted(rng.standard_normal(n)), level), 0.0),
        )
        for i, ((low, high), truth) in enumerate(found):
            missed[i] += truth < low, truth > high
    assert (missed / num <= most).all()


def test_too_few_values_leave_a_quantile_and_a_mean_open():
    assert quantile_bounds([7.0], 0.99, 0.001) == (-math.inf, math.inf)
    assert quantile_bounds([1.0, 2.0, 3.0], 0.99, 0.001) == (2.0, math.inf)
    assert mean_bounds([7.0], 0.001) == (-math.inf, math.inf)
    assert mean_bounds([7.0, 7.0], 0.001) == (7.0, 7.0)


@pytest.mark.parametrize("size", [1e200, 1.7e308, 5e-324, 0.0])
def test_bounds_of_a_mean_are_those_of_any_other_unit(size):
    """The sum of two of 1e308, and the square of 1e200, are no floats."""
    low, high = mean_bounds([size] * 4, 0.05)
    assert low == high == size
    low, high = mean_bounds([0.25 * size, 0.5 * size, 0.375 * size], 0.05)
    assert low <= 0.375 * size <= high
