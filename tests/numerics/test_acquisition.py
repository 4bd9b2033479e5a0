"""Acquisition functions against quadrature, and where floats end."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from raytune_hpo.numerics.acquisition import (
    expected_improvement,
    log_expected_improvement,
    log_h,
    log_probability_of_improvement,
    probability_of_improvement,
    upper_confidence_bound,
)

MEANS = np.array([-1.0, 0.0, 0.3, 2.0, 5.0, 0.3])
SDS = np.array([0.5, 1.0, 0.1, 3.0, 1.0, 0.0])
BEST = 0.4


def quadrature(mean: float, sd: float) -> float:
    """The expected improvement by its definition."""
    lowest = min(mean, BEST) - 12 * sd
    value, _ = integrate.quad(
        lambda y: (BEST - y) * stats.norm.pdf(y, mean, sd), lowest, BEST, points=[mean] if mean < BEST else None
    )
    return float(value)


def test_expected_improvement_is_the_integral_that_defines_it():
    found = expected_improvement(MEANS, SDS, BEST)
    wanted = [quadrature(m, s) for m, s in zip(MEANS[:-1], SDS[:-1], strict=True)]
    np.testing.assert_allclose(found[:-1], wanted, rtol=1e-6)
    np.testing.assert_allclose(np.exp(log_expected_improvement(MEANS, SDS, BEST))[:-1], wanted, rtol=1e-6)


def test_a_point_without_doubt_promises_its_gain_or_nothing():
    means, sds = np.array([0.3, 0.4, 0.5]), np.zeros(3)
    np.testing.assert_allclose(expected_improvement(means, sds, BEST), [0.1, 0.0, 0.0])
    np.testing.assert_allclose(log_expected_improvement(means, sds, BEST), [math.log(0.1), -np.inf, -np.inf])
    np.testing.assert_array_equal(probability_of_improvement(means, sds, BEST), [1.0, 0.0, 0.0])
    np.testing.assert_array_equal(log_probability_of_improvement(means, sds, BEST), [0.0, -np.inf, -np.inf])


def test_the_probability_of_improvement_is_the_tail_of_the_normal():
    wanted = stats.norm.cdf(BEST, MEANS[:-1], SDS[:-1])
    np.testing.assert_allclose(probability_of_improvement(MEANS[:-1], SDS[:-1], BEST), wanted)
    np.testing.assert_allclose(np.exp(log_probability_of_improvement(MEANS[:-1], SDS[:-1], BEST)), wanted)


@pytest.mark.parametrize("u", [-1e-3, -0.999, -1.001, -5.0, -8.0, -20.0, -40.0, -1e3, -9.9e5, -1.1e6, -1e100])
def test_log_h_agrees_with_an_expansion_or_an_integral(u: float):
    """h(u) = phi(u) times an integral that stays near 1 / u^2, or far out its asymptotic series in z = 1 / u^2."""
    if u > -15:
        integral, _ = integrate.quad(lambda t: math.exp(stats.norm.logcdf(u - t) - stats.norm.logpdf(u)), 0, 30)
    else:
        z = 1 / u**2
        integral = z * (1 - 3 * z * (1 - 5 * z * (1 - 7 * z * (1 - 9 * z * (1 - 11 * z)))))
    wanted = stats.norm.logpdf(u) + (math.log(integral) if integral else -2 * math.log(-u))
    # Just before the last branch begins, digits are lost; nobody tells scores of -1e12 apart by thousandths.
    np.testing.assert_allclose(log_h(np.array([u]))[0], wanted, rtol=1e-9, atol=2e-3 if u < -1e5 else 1e-9)


def test_log_h_of_many_is_that_of_each_in_their_order_of_memory():
    u = np.array([[0.5, -3.0, -1e7, -1.0], [2.0, np.nan, -0.999, -1e6]])
    with np.errstate(invalid="ignore"):
        found, alone = log_h(u.T), np.array([[log_h(np.array([x]))[0] for x in column] for column in u.T])
    np.testing.assert_array_equal(found, alone)
    assert found.flags.f_contiguous  # sums over it depend on that in their last digits


def test_log_improvement_stays_finite_and_ordered_where_improvement_has_underflowed():
    u = -np.concatenate([np.linspace(0, 60, 601), np.logspace(2, 9, 200)])
    scores = log_expected_improvement(-u, np.ones(len(u)), 0.0)
    assert np.isfinite(scores).all()
    assert (np.diff(scores) < 0).all()
    assert expected_improvement(np.array([40.0]), np.ones(1), 0.0)[0] == 0.0
    assert np.isfinite(log_probability_of_improvement(np.array([40.0]), np.ones(1), 0.0))[0]


def test_all_scores_prefer_a_lower_mean_and_more_doubt():
    for score in (expected_improvement, log_expected_improvement, upper_confidence_bound):
        assert (np.diff(score(np.linspace(-2, 2, 9), np.ones(9), 0.0)) < 0).all()
        assert (np.diff(score(np.ones(9), np.linspace(0.5, 2, 9), 0.0)) > 0).all()
    assert (np.diff(probability_of_improvement(np.linspace(-2, 2, 9), np.ones(9), 0.0)) < 0).all()


def test_kappa_is_how_much_doubt_counts():
    np.testing.assert_allclose(upper_confidence_bound(np.array([1.0]), np.array([2.0]), kappa=1.5), [2.0])


def test_arguments_of_any_size_give_numbers_without_warnings():
    for score in (
        expected_improvement,
        log_expected_improvement,
        probability_of_improvement,
        log_probability_of_improvement,
    ):
        with np.errstate(all="raise", under="ignore"):
            scores = score(np.repeat([-1e300, 0.0, 1e300], 3), np.tile([0.0, 1e-300, 1.0], 3), 0.0)
        assert not np.isnan(scores).any()
