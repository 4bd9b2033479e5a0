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
    np.testing.assert_array_equal(probability_of_improvement(means, sds, BEST), [0.0, -np.inf, -np.inf])


def test_the_probability_of_improvement_is_the_tail_of_the_normal():
    found = np.exp(probability_of_improvement(MEANS[:-1], SDS[:-1], BEST))
    np.testing.assert_allclose(found, stats.norm.cdf(BEST, MEANS[:-1], SDS[:-1]))


@pytest.mark.parametrize("u", [-1e-3, -0.999, -1.001, -5.0, -8.0, -20.0, -40.0, -1e3, -9.9e5, -1.1e6, -1e100])
def test_log_h_agrees_with_an_expansion_or_an_integral(u: float):
    """h(u) = integral of Phi from -inf to u; far out it is phi(u) / u^2 (1 - 3/u^2 + 15/u^4 - ...)."""
    if u > -6:
        wanted = math.log(integrate.quad(stats.norm.cdf, u - 20, u)[0])
    else:
        z = 1 / u**2
        series = 1 - 3 * z * (1 - 5 * z * (1 - 7 * z * (1 - 9 * z * (1 - 11 * z)))) if u < -15 else None
        if series is None:
            scaled, _ = integrate.quad(lambda t: stats.norm.logcdf(u - t) and math.exp(
                stats.norm.logcdf(u - t) - stats.norm.logpdf(u)), 0, 10)
            wanted = math.log(scaled) + stats.norm.logpdf(u)
        else:
            wanted = -(u**2) / 2 - math.log(2 * math.pi) / 2 - 2 * math.log(-u) + math.log(series)
    np.testing.assert_allclose(log_h(np.array([u]))[0], wanted, rtol=1e-9, atol=2e-3 if u < -1e5 else 1e-9)


def test_log_improvement_stays_finite_and_ordered_where_improvement_has_underflowed():
    u = -np.concatenate([np.linspace(0, 60, 601), np.logspace(2, 9, 200)])
    scores = log_expected_improvement(-u, np.ones(len(u)), 0.0)
    assert np.isfinite(scores).all()
    assert (np.diff(scores) < 0).all()
    assert expected_improvement(np.array([40.0]), np.ones(1), 0.0)[0] == 0.0
    assert np.isfinite(probability_of_improvement(np.array([40.0]), np.ones(1), 0.0))[0]


def test_all_scores_prefer_a_lower_mean_and_more_doubt():
    for score in (expected_improvement, log_expected_improvement, upper_confidence_bound):
        assert (np.diff(score(np.linspace(-2, 2, 9), np.ones(9), 0.0)) < 0).all()
        assert (np.diff(score(np.ones(9), np.linspace(0.5, 2, 9), 0.0)) > 0).all()
    assert (np.diff(probability_of_improvement(np.linspace(-2, 2, 9), np.ones(9), 0.0)) < 0).all()


def test_kappa_is_how_much_doubt_counts():
    np.testing.assert_allclose(upper_confidence_bound(np.array([1.0]), np.array([2.0]), kappa=1.5), [2.0])


def test_arguments_of_any_size_make_no_warnings_and_no_nan():
    with np.errstate(all="raise", under="ignore"):
        for mean in (-1e300, 0.0, 1e300):
            for sd in (1e-300, 1.0):
                scores = [
                    expected_improvement(np.array([mean]), np.array([sd]), 0.0),
                    probability_of_improvement(np.array([mean]), np.array([sd]), 0.0),
                ]
                assert not np.isnan(scores).any()
