"""The Gaussian process that forgets: its gradient, its predictions, and what time does to them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from raytune_hpo.numerics import drifting
from raytune_hpo.numerics.drifting import DriftingPosterior, Rows

OWNER = np.array([0, 1, 1])


def data(n=30, seed=0):
    rng = np.random.default_rng(seed)
    rows = Rows(np.sort(rng.integers(0, 12, n)).astype(float), rng.random((n, 3)))
    y = np.sin(3 * rows.Z[:, 0] + rows.t / 4) + 0.1 * rng.standard_normal(n)
    return rows, (y - y.mean()) / y.std()


def test_the_gradient_is_the_slope():
    rows, y = data()
    prior = drifting.prior_of(2)
    theta = prior.mean + np.array([0.3, -0.2, 0.1, 0.5, 0.4])
    _, gradient = drifting.negative_log_posterior(theta, rows, OWNER, y, prior)
    slope = approx_fprime(theta, lambda t: drifting.negative_log_posterior(t, rows, OWNER, y, prior)[0], 1e-6)
    assert gradient == pytest.approx(slope, rel=1e-3, abs=1e-3)


def test_predictions_are_those_of_the_formula():
    rows, y = data(8)
    theta = np.log([0.5, 0.8, 1.3, 0.1, 0.2])

    def kernel(a, b):
        scaled = (a.Z[:, None, :] - b.Z[None, :, :]) / np.array([0.5, 0.8, 0.8])
        return 1.3 * np.exp(-0.5 * (scaled**2).sum(axis=2)) * math.exp(-0.2) ** np.abs(a.t[:, None] - b.t[None, :])

    at = Rows(np.array([3.0, 20.0]), np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]))
    inverse = np.linalg.inv(kernel(rows, rows) + 0.1 * np.eye(8))
    mean = kernel(at, rows) @ inverse @ y
    variance = 1.3 - np.einsum("ij,jk,ik->i", kernel(at, rows), inverse, kernel(at, rows))
    found = DriftingPosterior.of(theta, OWNER, rows, y).predict(at)
    assert found[0] == pytest.approx(mean) and found[1] == pytest.approx(np.sqrt(variance))


def test_what_was_learned_long_ago_counts_less():
    rows = Rows(np.zeros(1), np.full((1, 3), 0.5))
    posterior = DriftingPosterior.of(drifting.prior_of(2).mean, OWNER, rows, np.array([2.0]))
    times = np.array([0.0, 5.0, 50.0])
    mean, sd = posterior.predict(Rows(times, np.full((3, 3), 0.5)))
    assert (np.diff(mean) < 0).all() and (np.diff(sd) > 0).all() and mean[2] < 0.3


def test_a_choice_that_is_pending_is_less_uncertain_and_expected_to_be_the_same():
    rows, y = data()
    posterior = DriftingPosterior.of(drifting.prior_of(2).mean, OWNER, rows, y)
    at = Rows(np.array([13.0]), np.array([[0.9, 0.1, 0.9]]))
    (mean,), (sd,) = posterior.predict(at)
    (after,), (less,) = posterior.fantasised(at).predict(at)
    assert after == pytest.approx(mean) and less < 0.9 * sd
    assert posterior.fantasised(Rows(np.empty(0), np.empty((0, 3)))) is posterior


def test_the_rate_of_forgetting_is_learned():
    rng = np.random.default_rng(1)
    rows = Rows(np.repeat(np.arange(20.0), 4), rng.random((80, 1)))
    owner = np.array([0])
    level = np.cumsum(rng.standard_normal(20))[rows.t.astype(int)]  # drifts fast, whatever the settings
    steady = np.sin(6 * rows.Z[:, 0])
    rates = []
    for y in (steady, level):
        y = (y - y.mean()) / y.std()
        rates.append(drifting.fit(rows, owner, y, drifting.prior_of(1))[-1])
    assert rates[1] > rates[0] + 0.5
