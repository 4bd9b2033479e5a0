"""Ensembles of Gaussian processes, and the weights that their rankings earn."""

from __future__ import annotations

import numpy as np

from raytune_hpo.numerics.ensemble import Ensemble, cross_validated, misranked, ranking_weights, samples_at
from raytune_hpo.numerics.gaussian import Posterior

RNG = np.random.default_rng(0)
OWNER = np.arange(2)
THETA = np.array([-0.5, -0.2, 0.3, -4.0])


def posterior(n=10, sign=1.0):
    X = RNG.random((n, 2))
    return Posterior.of(THETA, X, OWNER, sign * np.sin(3 * X).sum(axis=1))


def test_the_prediction_is_the_weighted_one():
    parts, at = [posterior(), posterior(5)], RNG.random((4, 2))
    ensemble = Ensemble(parts, np.array([0.3, 0.7]), at)
    (m1, s1), (m2, s2) = (part.predict(at) for part in parts)
    mean, sd = ensemble.predict(at)
    np.testing.assert_allclose(mean, 0.3 * m1 + 0.7 * m2)
    np.testing.assert_allclose(sd, np.sqrt(0.09 * s1**2 + 0.49 * s2**2))
    np.testing.assert_allclose(ensemble.means, mean)


def test_gradients_are_those_of_the_predictions():
    ensemble = Ensemble([posterior(), posterior(5)], np.array([0.3, 0.7]), RNG.random((1, 2)))
    at, h = RNG.random((4, 2)), 1e-6
    mean, sd, dmean, dsd = ensemble.slopes(at)
    np.testing.assert_allclose((mean, sd), ensemble.predict(at))
    for j in range(2):
        up, down = (ensemble.predict(at + s * h * np.eye(2)[j]) for s in (1, -1))
        np.testing.assert_allclose(dmean[:, j], (up[0] - down[0]) / (2 * h), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(dsd[:, j], (up[1] - down[1]) / (2 * h), rtol=1e-4, atol=1e-6)


def test_pending_rows_and_samples():
    ensemble = Ensemble([posterior(), posterior(5)], np.array([0.3, 0.7]), RNG.random((1, 2)))
    at = RNG.random((3, 2))
    mean, sd = ensemble.predict(at)
    after = ensemble.fantasised(at).predict(at)
    np.testing.assert_allclose(after[0], mean, atol=1e-6)
    assert (after[1] < sd).all()
    draws = np.array([ensemble.draw(at, RNG) for _ in range(2000)])
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.08)
    np.testing.assert_allclose(draws.std(axis=0), sd, rtol=0.12)


def test_pairs_that_are_ranked_otherwise_are_counted_both_ways():
    y = np.array([1.0, 2.0, 3.0])
    samples = np.array([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0.2, 0.1, 0.3]])
    np.testing.assert_array_equal(misranked(samples, y), [0, 6, 2])


def test_weights_are_shares_of_samples_in_which_a_model_ranks_best():
    losses = np.array([[0, 2, 1, 5], [1, 2, 0, 6], [3, 4, 5, 7]])
    np.testing.assert_allclose(ranking_weights(losses), [2.5 / 4, 1.5 / 4, 0.0])


def test_a_model_that_ranks_the_other_way_round_earns_nothing():
    right, wrong = posterior(20), posterior(20, -1.0)
    at = RNG.random((15, 2))
    y = np.sin(3 * at).sum(axis=1)
    own = cross_validated(THETA, at, OWNER, y, 50, RNG)
    losses = np.stack([misranked(s, y) for s in (samples_at(wrong, at, 50, RNG), samples_at(right, at, 50, RNG), own)])
    weights = ranking_weights(losses)
    assert weights[0] == 0.0 and weights.sum() == 1.0


def test_cross_validated_samples_have_not_seen_what_they_foretell():
    at = RNG.random((12, 2))
    noise = RNG.standard_normal(12)  # nothing to learn
    samples = cross_validated(THETA, at, OWNER, noise, 200, RNG)
    assert samples.shape == (200, 12) and np.issubdtype(samples.dtype, np.floating)
    assert np.abs(samples.mean(axis=0) - noise).mean() > 0.3
