"""Gaussian process regression against the textbook, scikit-learn and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from raytune_hpo.numerics.gaussian import (
    Posterior,
    Prior,
    backward,
    fit,
    forward,
    log_density,
    negative_log_posterior,
    scaled_prior,
)
from raytune_hpo.numerics.slice_sampling import slice_samples

OWNER = np.arange(3)
LENGTHS, S2, T2 = np.array([0.4, 0.9, 2.0]), 1.7, 0.02
THETA = np.log([*LENGTHS, S2, T2])
NO_PRIOR = Prior(np.zeros(5), np.full(5, 1e8), np.full(5, -20.0), np.full(5, 20.0))


@pytest.fixture
def data():
    rng = np.random.default_rng(3)
    Z = rng.random((25, 3))
    return Z, np.sin(5 * Z[:, 0]) + Z[:, 1] ** 2 + 0.1 * rng.standard_normal(25)


def sklearn_gp(Z, y):
    kernel = ConstantKernel(S2) * Matern(LENGTHS, nu=2.5) + WhiteKernel(T2)
    return GaussianProcessRegressor(kernel, optimizer=None, alpha=0.0).fit(Z, y)


def test_the_posterior_is_that_of_scikit_learn(data):
    Z, y = data
    new = np.random.default_rng(4).random((40, 3))
    mean, sd = Posterior.of(THETA, Z, OWNER, y).predict(new)
    wanted_mean, wanted_sd = sklearn_gp(Z, y).predict(new, return_std=True)
    np.testing.assert_allclose(mean, wanted_mean, atol=1e-8)
    np.testing.assert_allclose(sd**2, wanted_sd**2 - T2, atol=1e-8)  # theirs is of the noisy loss


def test_the_posterior_is_that_of_the_textbook(data):
    Z, y = data
    new = np.random.default_rng(4).random((6, 3))
    kernel = S2 * Matern(LENGTHS, nu=2.5)
    inverse = np.linalg.inv(kernel(Z) + T2 * np.eye(25))
    belief = Posterior.of(THETA, Z, OWNER, y)
    np.testing.assert_allclose(belief.predict(new)[0], kernel(new, Z) @ inverse @ y, atol=1e-8)
    wanted = kernel(new) - kernel(new, Z) @ inverse @ kernel(Z, new)
    np.testing.assert_allclose(belief.covariance(new), wanted, atol=1e-8)
    np.testing.assert_allclose(belief.means, belief.predict(Z)[0], atol=1e-8)


def test_the_likelihood_is_that_of_scikit_learn(data):
    Z, y = data
    value, _ = negative_log_posterior(THETA, Z, OWNER, y, NO_PRIOR)
    assert value == pytest.approx(-sklearn_gp(Z, y).log_marginal_likelihood_value_)


def test_the_prior_is_a_normal_density(data):
    Z, y = data
    prior = scaled_prior(3)
    with_prior, _ = negative_log_posterior(THETA, Z, OWNER, y, prior)
    without, _ = negative_log_posterior(THETA, Z, OWNER, y, NO_PRIOR)
    constant = stats.norm.logpdf(prior.mean, prior.mean, prior.sd).sum()
    assert with_prior - without == pytest.approx(constant - stats.norm.logpdf(THETA, prior.mean, prior.sd).sum())


@pytest.mark.parametrize("owner", [np.arange(3), np.array([0, 1, 1])])
def test_the_gradient_of_the_likelihood_is_the_difference_quotient(data, owner):
    Z, y = data
    prior = scaled_prior(int(owner.max()) + 1)
    for seed in range(4):
        theta = prior.mean + np.random.default_rng(seed).standard_normal(len(prior.mean))
        _, gradient = negative_log_posterior(theta, Z, owner, y, prior)
        for j, step in enumerate(1e-4 * np.eye(len(theta))):
            up, down = (negative_log_posterior(theta + sign * step, Z, owner, y, prior)[0] for sign in (1, -1))
            assert gradient[j] == pytest.approx((up - down) / 2e-4, rel=1e-4, abs=1e-4)


def test_the_gradients_of_a_prediction_are_difference_quotients(data):
    belief = Posterior.of(THETA, data[0], OWNER, data[1])
    new, step = np.random.default_rng(5).random((8, 3)), 1e-6
    mean, sd, dmean, dsd = belief.slopes(new)
    np.testing.assert_allclose((mean, sd), belief.predict(new))
    for j in range(3):
        up, down = belief.predict(new + step * np.eye(3)[j]), belief.predict(new - step * np.eye(3)[j])
        np.testing.assert_allclose(dmean[:, j], (up[0] - down[0]) / (2 * step), atol=1e-5)
        np.testing.assert_allclose(dsd[:, j], (up[1] - down[1]) / (2 * step), atol=1e-5)


def test_a_factor_that_grew_is_the_factor_of_all_rows(data):
    Z, y = data
    grown = Posterior.of(THETA, Z[:18], OWNER, y[:18]).extended(Z[18:], y[18:])
    whole = Posterior.of(THETA, Z, OWNER, y)
    np.testing.assert_allclose(grown.L, whole.L, atol=1e-9)
    np.testing.assert_allclose(grown.a, whole.a, atol=1e-7)


def test_factors_are_in_the_order_of_memory_that_lapack_reads(data):
    """Each solve would copy any other one."""
    Z, y = data
    few = Posterior.of(THETA, Z[:20], OWNER, y[:20])
    assert few.L.flags.f_contiguous
    assert few.extended(Z[20:], y[20:]).L.flags.f_contiguous


def test_a_likelihood_in_used_memory_is_the_same(data):
    Z, y = data
    rooms = np.full((4, 25, 25), np.nan)
    for theta in (THETA, THETA - 0.5, THETA):
        value, gradient = negative_log_posterior(theta, Z, OWNER, y, NO_PRIOR)
        again, slope = negative_log_posterior(theta, Z, OWNER, y, NO_PRIOR, rooms)
        assert again == value
        np.testing.assert_array_equal(slope, gradient)


def test_predictions_of_several_weights_are_those_of_each(data):
    Z, y = data
    belief, new = Posterior.of(THETA, Z, OWNER, y), np.random.default_rng(4).random((6, 3))
    means, sd = belief.predict_of(new, np.column_stack([belief.a, 2 * belief.a]))
    mean, alone = belief.predict(new)
    np.testing.assert_allclose(means, np.column_stack([mean, 2 * mean]), atol=1e-12)
    np.testing.assert_array_equal(sd, alone)


def test_fantasies_take_the_doubt_away_and_leave_the_means(data):
    Z, y = data
    belief = Posterior.of(THETA, Z, OWNER, y)
    pending, new = np.array([[0.5, 0.5, 0.5], [0.1, 0.9, 0.1]]), np.random.default_rng(6).random((20, 3))
    believed = belief.fantasised(pending)
    np.testing.assert_allclose(believed.predict(new)[0], belief.predict(new)[0], atol=1e-8)
    assert (believed.predict(new)[1] <= belief.predict(new)[1] + 1e-12).all()
    assert (believed.predict(pending)[1] < 0.15).all()
    refitted = Posterior.of(THETA, np.concatenate([Z, pending]), OWNER, np.concatenate([y, belief.predict(pending)[0]]))
    np.testing.assert_allclose(believed.predict(new), refitted.predict(new), atol=1e-8)
    assert belief.fantasised(np.empty((0, 3))) is belief


def test_equal_rows_without_noise_do_no_harm():
    Z, y = np.full((12, 3), 0.5), np.zeros(12)
    quiet = np.concatenate([THETA[:-1], [np.log(1e-30)]])
    mean, sd = Posterior.of(quiet, Z, OWNER, y).predict(np.array([[0.5, 0.5, 0.5], [0.0, 0.0, 0.0]]))
    assert np.isfinite(mean).all()
    assert 0 < sd[0] < 1e-3 < sd[1]


def test_samples_have_the_posterior_s_moments(data):
    belief = Posterior.of(THETA, *data[:1], OWNER, data[1])
    new, rng = np.random.default_rng(7).random((4, 3)), np.random.default_rng(8)
    draws = np.stack([belief.draw(new, rng) for _ in range(2000)])
    np.testing.assert_allclose(draws.mean(axis=0), belief.predict(new)[0], atol=0.05)
    np.testing.assert_allclose(np.cov(draws.T), belief.covariance(new), atol=0.04)


def test_a_fit_finds_out_what_matters_and_how_noisy_it_is():
    rng = np.random.default_rng(1)
    Z = rng.random((80, 3))
    y = np.sin(8 * Z[:, 0]) + 0.2 * rng.standard_normal(80)
    theta = fit(Z, OWNER, y / y.std(), scaled_prior(3))
    assert theta[0] < theta[1] - 0.7
    assert theta[0] < theta[2] - 0.7
    assert 0.1 < np.sqrt(np.exp(theta[-1])) * y.std() < 0.4
    _, gradient = negative_log_posterior(theta, Z, OWNER, y / y.std(), scaled_prior(3))
    assert np.abs(gradient).max() < 0.5


def test_the_prior_keeps_distances_as_dimensions_are_added():
    """Expected squared distance over squared length scale is the same in any dimension."""
    ratios = [d * np.exp(-2 * scaled_prior(d).mean[0]) for d in (1, 4, 50)]
    np.testing.assert_allclose(ratios, ratios[0])


def test_a_known_noise_stays_as_it_is(data):
    theta = fit(*data[:1], OWNER, data[1], scaled_prior(3).with_noise(1e-3))
    assert theta[-1] == pytest.approx(np.log(1e-3))


def test_slice_samples_have_the_density_s_moments():
    """A correlated normal, and a density with an edge."""
    precision = np.linalg.inv(np.array([[1.0, 0.6], [0.6, 2.0]]))
    rng = np.random.default_rng(0)
    samples = slice_samples(
        lambda t: float(-t @ precision @ t / 2), np.array([3.0, -3.0]), np.ones(2), 3000, rng, burn_in=50
    )
    np.testing.assert_allclose(samples.mean(axis=0), 0, atol=0.2)
    np.testing.assert_allclose(np.cov(samples.T), [[1.0, 0.6], [0.6, 2.0]], atol=0.3)
    edged = slice_samples(lambda t: -t[0] if t[0] > 0 else -np.inf, np.ones(1), np.ones(1), 1500, rng, thin=2)
    assert edged.min() > 0
    assert stats.kstest(edged[::5, 0], "expon").pvalue > 1e-3


@pytest.mark.parametrize("owner", [np.arange(3), np.array([0, 1, 1])])
def test_the_density_is_the_posterior_s_without_its_gradient(data, owner):
    Z, y = data
    prior = scaled_prior(int(owner.max()) + 1)
    density = log_density(Z, owner, y, prior)
    for seed in range(4):
        theta = np.clip(
            prior.mean + np.random.default_rng(seed).standard_normal(len(prior.mean)), prior.low, prior.high
        )
        assert density(theta) == pytest.approx(-negative_log_posterior(theta, Z, owner, y, prior)[0])


def test_slice_samples_of_length_scales_lie_where_the_density_is_high(data):
    prior = scaled_prior(3)
    density = log_density(data[0], OWNER, data[1], prior)
    mode = fit(data[0], OWNER, data[1], prior)
    samples = slice_samples(density, mode, np.ones(5), 10, np.random.default_rng(0), burn_in=2)
    assert all(density(theta) > density(mode) - 15 for theta in samples)
    assert density(prior.high + 1) == -np.inf


def test_many_observations_are_believed_as_few_are():
    rng = np.random.default_rng(5)
    Z, new = rng.random((300, 3)), rng.random((4, 3))
    y = np.sin(5 * Z[:, 0]) + 0.1 * rng.standard_normal(300)
    kernel = S2 * Matern(LENGTHS, nu=2.5)
    inverse = np.linalg.inv(kernel(Z) + T2 * np.eye(300))
    mean, sd, *_ = Posterior.of(THETA, Z, OWNER, y).slopes(new)
    np.testing.assert_allclose(mean, kernel(new, Z) @ inverse @ y, atol=1e-8)
    wanted = np.diagonal(kernel(new) - kernel(new, Z) @ inverse @ kernel(Z, new))
    np.testing.assert_allclose(sd**2, wanted, atol=1e-8)


def test_a_system_without_rows_is_solved_in_silence(capfd):
    empty = np.empty((0, 3))
    assert forward(np.empty((0, 0)), empty).shape == backward(np.empty((0, 0)), empty).shape == (0, 3)
    assert capfd.readouterr() == ("", "")  # where LAPACK writes its complaints
