"""Gaussian processes at several fidelities."""

from __future__ import annotations

import numpy as np

from raytune_hpo.numerics.cokriging import Cokriging, Correction
from raytune_hpo.numerics.curves import Link
from raytune_hpo.numerics.gaussian import Posterior
from raytune_hpo.numerics.kernels import matern52, squared_distances

RNG = np.random.default_rng(0)
OWNER = np.arange(2)
THETAS = np.array([[-0.5, -0.2, 0.3, -4.0], [-0.9, 0.1, -0.1, -5.0]])
LINK = Link(0.6, 0.4, 0.5)


def kernel(theta, A, B):
    scale = np.exp(-theta[:2])
    return np.exp(theta[2]) * matern52(squared_distances(A * scale, B * scale))


def recursive(X, y, num_above, above):
    bottom = Posterior.of(THETAS[0], X, OWNER, y)
    correction = Posterior.of(THETAS[1], X[:num_above], OWNER, LINK.rest(y[:num_above], above))
    return Cokriging(bottom, [Correction(LINK, correction)], X)


def test_the_prediction_is_that_of_the_joint_process_where_the_lower_fidelity_has_no_noise():
    theta = THETAS.copy()
    theta[0, 3] = np.log(1e-8)
    X, at = RNG.random((12, 2)), RNG.random((5, 2))
    y, above = RNG.standard_normal(12), RNG.standard_normal(6)
    bottom = Posterior.of(theta[0], X, OWNER, y)
    correction = Posterior.of(theta[1], X[:6], OWNER, LINK.rest(y[:6], above))
    mean, sd = Cokriging(bottom, [Correction(LINK, correction)], X).predict(at)

    low, own = (lambda A, B, t=t: kernel(t, A, B) for t in theta)
    b, c = LINK.slope, LINK.sd
    K = np.block(
        [
            [low(X, X) + 1e-8 * np.eye(12), b * low(X, X[:6])],
            [b * low(X[:6], X), b**2 * low(X[:6], X[:6]) + c**2 * (own(X[:6], X[:6]) + np.exp(-5.0) * np.eye(6))],
        ]
    )
    k = np.hstack([b * low(at, X), b**2 * low(at, X[:6]) + c**2 * own(at, X[:6])])
    weights = np.linalg.solve(K, k.T).T
    expected = LINK.offset + weights @ np.concatenate([y, above - LINK.offset])
    variance = b**2 * np.exp(theta[0, 2]) + c**2 * np.exp(theta[1, 2]) - (weights * k).sum(axis=1)
    np.testing.assert_allclose(mean, expected, atol=1e-4)
    np.testing.assert_allclose(sd**2, variance, atol=1e-4)


def test_gradients_are_those_of_the_predictions():
    model = recursive(RNG.random((12, 2)), RNG.standard_normal(12), 5, RNG.standard_normal(5))
    at, h = RNG.random((4, 2)), 1e-6
    mean, sd, dmean, dsd = model.slopes(at)
    np.testing.assert_allclose((mean, sd), model.predict(at))
    for j in range(2):
        step = h * np.eye(2)[j]
        up, down = model.predict(at + step), model.predict(at - step)
        np.testing.assert_allclose(dmean[:, j], (up[0] - down[0]) / (2 * h), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(dsd[:, j], (up[1] - down[1]) / (2 * h), rtol=1e-4, atol=1e-6)


def test_pending_rows_take_doubt_away_and_leave_means():
    model = recursive(RNG.random((12, 2)), RNG.standard_normal(12), 5, RNG.standard_normal(5))
    at = RNG.random((3, 2))
    before, after = model.predict(at), model.fantasised(at).predict(at)
    np.testing.assert_allclose(after[0], before[0], atol=1e-6)
    assert (after[1] < before[1]).all() and (after[1] < 0.1).all()


def test_samples_have_the_moments_of_the_prediction():
    model = recursive(RNG.random((12, 2)), RNG.standard_normal(12), 5, RNG.standard_normal(5))
    at = RNG.random((3, 2))
    draws = np.array([model.draw(at, RNG) for _ in range(3000)])
    mean, sd = model.predict(at)
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.06)
    np.testing.assert_allclose(draws.std(axis=0), sd, rtol=0.1)
