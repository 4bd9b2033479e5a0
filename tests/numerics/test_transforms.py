"""What becomes of losses before they are modelled."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import PowerTransformer

from raytune_hpo.numerics.transforms import (
    half_ranked,
    hybrid_log_error,
    log_error,
    power,
    squashed,
    standardised,
    undone,
)

ALL = (standardised, log_error, hybrid_log_error, half_ranked, power)
HISTORIES = {
    "usual": np.random.default_rng(0).random(40),
    "heavy tail": np.random.default_rng(1).lognormal(sigma=4, size=60),
    "negative": -np.random.default_rng(2).random(30),
    "ties": np.array([0.1, 0.5, 0.5, 0.2, 0.9, 0.9, 0.9]),
    "two": np.array([0.3, 0.1]),
    "one": np.array([0.3]),
    "equal": np.full(5, 0.25),
    "extreme": np.array([1e300, -1e300, 1.0, 0.0, 1e-300]),
}


@pytest.mark.parametrize("transform", ALL)
@pytest.mark.parametrize("name", HISTORIES)
def test_the_order_of_losses_is_kept(transform, name):
    y = HISTORIES[name]
    warped = standardised(transform(y))
    assert np.isfinite(warped).all()
    assert (np.diff(warped[np.argsort(y)]) >= -1e-12).all()


def test_standardised_losses_have_no_mean_and_unit_variance():
    y = standardised(HISTORIES["heavy tail"])
    assert abs(y.mean()) < 1e-12
    assert y.std() == pytest.approx(1)
    np.testing.assert_array_equal(standardised(np.full(4, 7.0)), 0)


def test_error_rates_become_logarithms():
    np.testing.assert_allclose(log_error(np.array([1.0, 1e-1, 1e-5, 0.0])), [1.0, 0.8, 0.0, 0.0])
    np.testing.assert_allclose(hybrid_log_error(np.array([0.8, 0.3, 0.03])), [0.8, 0.3, 0.3 - 1.0])
    assert hybrid_log_error(np.array([0.0]))[0] == pytest.approx(-5 + 0.3 - np.log10(0.3))
    np.testing.assert_allclose(log_error(-np.array([0.9, np.nextafter(1.0, 0.0)])), [0.8, 0.0])


@pytest.mark.parametrize("transform", [log_error, hybrid_log_error])
def test_losses_that_are_no_errors_are_still_told_apart(transform):
    """Percents and determination coefficients that are maximised, likelihoods, tiny distances."""
    likelihoods, tiny = np.array([-3.0, 5.0, -2.0]), 1e-12 * np.array([1.0, 9.0, 2.0])
    for y in (-np.array([93.0, 20.0, 99.0]), -np.array([0.9, 0.8, 0.7, -0.2]), likelihoods, tiny, 1e6 * tiny):
        assert transform(y).argsort().tolist() == y.argsort().tolist()
        assert len(np.unique(transform(y))) == len(y)


def test_half_ranks_leave_the_better_half_in_proportion_and_forget_how_bad_the_rest_is():
    y = np.array([1.0, 2.0, 4.0, 8.0, 9.0, 10.0, 11.0])
    wild = np.where(y > 8, y**9, y)
    np.testing.assert_allclose(half_ranked(y), half_ranked(wild))
    below = half_ranked(y)[:4]
    np.testing.assert_allclose(np.diff(below) / np.diff(below)[0], [1, 2, 4])
    assert below[3] == 0
    assert half_ranked(wild)[-1] < 3


@pytest.mark.parametrize("penalty", [1e30, 1e200, 1.7e308])
def test_half_ranks_do_not_mind_how_large_a_penalty_is(penalty):
    y = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    np.testing.assert_allclose(half_ranked(np.append(y, penalty)), half_ranked(np.append(y, 1.0)), rtol=1e-9)
    np.testing.assert_allclose(half_ranked(penalty * y), half_ranked(y), rtol=1e-9)


def test_the_power_is_that_of_scikit_learn():
    y = np.random.default_rng(1).lognormal(sigma=1.0, size=60)
    wanted = PowerTransformer("yeo-johnson").fit_transform(standardised(y)[:, None])[:, 0]
    np.testing.assert_allclose(standardised(power(y)), wanted, atol=1e-3)


def test_squashed_losses_are_finite_and_in_order_however_large_they_are():
    usual = np.array([0.1, 0.5, 0.2, 0.9, 0.3])
    for y in (1.7e308 * np.array([1.0, -1.0, 0.3, -0.2, 0.0]), np.append(usual, 1.7e308), np.append(usual, -1e300)):
        with np.errstate(over="raise", invalid="raise"):
            near, far = squashed(y, y), squashed(y, usual)  # what was typical before an outlier came, too
            assert np.isfinite(near @ near) and np.isfinite(far @ far)
        assert (near.argsort() == y.argsort()).all()


def test_what_was_warped_comes_back_whatever_its_size():
    z = np.array([-2.0, 0.0, 0.4, 1.0, 3.0])
    for scale in (1e-300, 1.0, 1.7e308):
        losses = scale * np.array([-1.0, 0.25, 1.0])
        expected = scale * np.array([-1.0, -0.375, -0.125, 0.25, 1.0])
        assert undone(z, np.array([-1.0, 1.0, 1.5]), losses) == pytest.approx(expected, rel=1e-12, abs=0)
