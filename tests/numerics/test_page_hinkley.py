"""The test for drift: rare false alarms, quick true ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytune_hpo.numerics.page_hinkley import PageHinkley

THRESHOLD = 3.05  # for one false alarm in 1,000 independent residuals, as the module says


def first_alarm(residuals):
    state = PageHinkley()
    for i, residual in enumerate(residuals):
        state = state.then(residual)
        if state.statistic > THRESHOLD:
            return i
    return None


def test_the_threshold_gives_one_false_alarm_in_a_thousand_residuals():
    """A test restarts after its alarm."""
    rng, alarms, num = np.random.default_rng(0), 0, 200_000
    state = PageHinkley()
    for residual in rng.standard_normal(num).tolist():
        state = state.then(residual)
        if state.statistic > THRESHOLD:
            alarms, state = alarms + 1, PageHinkley()
    assert alarms / num == pytest.approx(1e-3, rel=0.2)


@pytest.mark.parametrize("change", [2.0, -2.0])
def test_a_change_of_two_deviations_is_noticed_within_ten_residuals(change):
    rng = np.random.default_rng(1)
    delays = []
    for _ in range(50):
        before, after = rng.standard_normal(60), rng.standard_normal(60) + change
        state = PageHinkley()
        for residual in before:
            state = state.then(residual)
        if state.statistic > THRESHOLD / 2:
            continue
        for i, residual in enumerate(after):
            state = state.then(residual)
            if state.statistic > THRESHOLD:
                delays.append(i + 1)
                break
    assert len(delays) > 30
    assert np.median(delays) <= 10


@given(st.lists(st.floats(-1e300, 1e300), max_size=50))
def test_the_statistic_is_never_negative_and_the_same_in_both_directions(residuals):
    up, down = PageHinkley(), PageHinkley()
    for residual in residuals:
        up, down = up.then(residual), down.then(-residual)
        assert up.statistic == down.statistic >= 0.0


def test_one_wild_residual_is_no_alarm():
    assert first_alarm([0.0] * 20 + [1e9] + [0.0] * 20) is None
