"""Derivatives of acquisition functions, and their means over several posteriors."""

from __future__ import annotations

import numpy as np
import pytest

from raytune_hpo.numerics.acquisition import (
    ACQUISITIONS,
    MeanAcquisition,
    expected_improvement,
    log_expected_improvement,
    probability_of_improvement,
    upper_confidence_bound,
)
from raytune_hpo.numerics.gaussian import Posterior
from raytune_hpo.numerics.pareto import pareto_front

MEAN, SD, BEST = np.array([-1.0, 0.0, 0.5, 3.0, 9.0]), np.array([0.3, 1.0, 0.2, 0.5, 0.4]), 0.1
WANTED = {
    "log_ei": log_expected_improvement,
    "ei": expected_improvement,
    "pi": probability_of_improvement,
    "ucb": upper_confidence_bound,
}


@pytest.mark.parametrize("name", ACQUISITIONS)
def test_values_are_those_of_the_acquisition_functions_and_slopes_their_difference_quotients(name):
    score, step = ACQUISITIONS[name](MEAN, SD, BEST), 1e-6
    np.testing.assert_allclose(score.value, WANTED[name](MEAN, SD, BEST), rtol=1e-7)

    def value(mean, sd):
        return ACQUISITIONS[name](mean, sd, BEST).value

    np.testing.assert_allclose(
        score.by_mean, (value(MEAN + step, SD) - value(MEAN - step, SD)) / (2 * step), rtol=1e-5, atol=1e-8
    )
    np.testing.assert_allclose(
        score.by_sd, (value(MEAN, SD + step) - value(MEAN, SD - step)) / (2 * step), rtol=1e-5, atol=1e-8
    )


@pytest.fixture
def posteriors():
    rng = np.random.default_rng(0)
    Z, y = rng.random((12, 2)), rng.standard_normal(12)
    return [Posterior.of(np.log([length, 0.5, 1.0, 0.01]), Z, np.arange(2), y) for length in (0.2, 0.5, 1.5)]


@pytest.mark.parametrize("name", ACQUISITIONS)
def test_each_posterior_predicts_for_itself_before_the_mean_is_taken(posteriors, name):
    Z, bests = np.random.default_rng(1).random((6, 2)), [0.0, -0.1, 0.2]
    acquisition = MeanAcquisition(posteriors, bests, name)
    plain = WANTED["ei" if name == "log_ei" else name]
    wanted = np.mean([plain(*p.predict(Z), b) for p, b in zip(posteriors, bests, strict=True)], axis=0)
    found = acquisition.values(Z)
    np.testing.assert_allclose(np.exp(found) if name == "log_ei" else found, wanted, rtol=1e-6)


@pytest.mark.parametrize("name", ACQUISITIONS)
def test_the_gradient_is_the_difference_quotient(posteriors, name):
    Z, step = np.random.default_rng(1).random((6, 2)), 1e-6
    acquisition = MeanAcquisition(posteriors, [0.0, -0.1, 0.2], name)
    value, gradient = acquisition.values_and_gradients(Z)
    np.testing.assert_allclose(value, acquisition.values(Z))
    for j in range(2):
        up, down = acquisition.values(Z + step * np.eye(2)[j]), acquisition.values(Z - step * np.eye(2)[j])
        np.testing.assert_allclose(gradient[:, j], (up - down) / (2 * step), rtol=1e-4, atol=1e-6)


def test_the_front_is_what_nothing_surpasses():
    V = np.array([[1.0, 5.0], [2.0, 4.0], [1.0, 4.0], [2.0, 4.0], [0.0, 6.0], [0.0, 5.5]])
    np.testing.assert_array_equal(pareto_front(-V), [True, True, False, True, True, False])
