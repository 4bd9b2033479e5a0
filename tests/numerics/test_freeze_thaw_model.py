"""The freeze-thaw model, in closed form, against the joint Gaussian process of all points of all curves."""

from __future__ import annotations

import numpy as np
import pytest

from raytune_hpo.numerics.freeze_thaw import CurveData, FreezeThaw, curve_prior, decay, fit, negative_log_posterior
from raytune_hpo.numerics.kernels import matern52, squared_distances

THETA = np.array([-0.6, 0.2, 0.3, -0.4, 0.1, -1.5, -4.0])
OWNER = np.arange(2)
LENGTHS = [3, 1, 5, 2]


def some_curves(seed=0):
    rng = np.random.default_rng(seed)
    t = np.full((4, 5), np.nan)
    y = np.full((4, 5), np.nan)
    for n, length in enumerate(LENGTHS):
        t[n, :length] = np.arange(1, length + 1) / 9
        y[n, :length] = rng.standard_normal() + np.sort(rng.random(length))[::-1]
    return CurveData(rng.random((4, 2)), OWNER, t, y)


def of_places(A, B):
    scale = np.exp(-THETA[:2])
    return np.exp(THETA[2]) * matern52(squared_distances(A * scale, B * scale))


def joint(data, Z=None, t=None, curve=None):
    """Means and variances of all points, or of further ones, by the covariances of everything with everything."""
    n, at = np.nonzero(~np.isnan(data.y))
    y, steps = data.y[n, at], data.t[n, at]
    same = n[:, None] == n
    K = of_places(data.Z, data.Z)[np.ix_(n, n)] + same * decay(THETA, steps[:, None] + steps)
    K += np.exp(THETA[-1]) * np.eye(len(y)) + 1e-10 * np.eye(len(y))
    inverse = np.linalg.inv(K)
    # The mean is the most likely one.
    m = inverse.sum(axis=0) @ y / inverse.sum()
    density = -0.5 * (y - m) @ inverse @ (y - m) - 0.5 * np.linalg.slogdet(2 * np.pi * K)[1]
    if Z is None:
        return density, m
    k = of_places(Z, data.Z)[:, n] + (np.array(curve)[:, None] == n) * decay(THETA, np.array(t)[:, None] + steps)
    mean = m + k @ inverse @ (y - m)
    prior = np.exp(THETA[2]) + decay(THETA, 2 * np.array(t))
    return mean, prior - np.einsum("ij,jk,ik->i", k, inverse, k)


def test_the_density_is_that_of_the_joint_process():
    data, prior = some_curves(), curve_prior(2)
    value, _ = negative_log_posterior(THETA, data, prior)
    u = (THETA - prior.mean) / prior.sd
    assert value - u @ u / 2 == pytest.approx(-joint(data)[0], abs=1e-6)


def test_the_gradient_is_that_of_the_density():
    data, prior, h = some_curves(), curve_prior(2), 1e-5
    _, gradient = negative_log_posterior(THETA, data, prior)
    for j in range(len(THETA)):
        up, down = (negative_log_posterior(THETA + s * h * np.eye(7)[j], data, prior)[0] for s in (1, -1))
        assert gradient[j] == pytest.approx((up - down) / (2 * h), rel=1e-2, abs=1e-3)


def test_old_curves_continue_as_in_the_joint_process():
    data = some_curves()
    rows, t = np.array([0, 1, 2, 3]), np.array([0.5, 0.3, 1.0, 2.0])
    mean, sd = FreezeThaw.of(THETA, data).continued(rows, t)
    expected, variance = joint(data, data.Z[rows], t, rows)
    np.testing.assert_allclose(mean, expected, atol=1e-6)
    np.testing.assert_allclose(sd**2, variance, atol=1e-6)


def test_new_curves_begin_as_in_the_joint_process():
    data, t = some_curves(), np.array([0.1, 1.0])
    Z = np.random.default_rng(5).random((2, 2))
    mean, sd = FreezeThaw.of(THETA, data).begun(Z, t)
    expected, variance = joint(data, Z, t, [-1, -1])
    np.testing.assert_allclose(mean, expected, atol=1e-6)
    np.testing.assert_allclose(sd**2, variance, atol=1e-6)


def test_the_ends_of_curves_are_foretold():
    rng = np.random.default_rng(3)
    Z = rng.random((40, 1))
    ends = np.sin(4 * Z[:, 0])
    t = np.tile(np.arange(1, 21) / 20, (40, 1))
    y = ends[:, None] + rng.uniform(0.5, 1.5, (40, 1)) * 0.05 / (t + 0.05) + 0.005 * rng.standard_normal(t.shape)
    y[:30, 6:] = np.nan
    data = CurveData(Z, np.zeros(1, dtype=int), t, y)
    model = FreezeThaw.of(fit(data, curve_prior(1)), data)
    mean, sd = model.continued(np.arange(30), np.ones(30))
    truth = ends[:30] + 0.05 / 1.05
    assert np.abs(mean - truth).max() < 0.1
    assert (np.abs(mean - truth) < 3.5 * sd).all()
    new, _ = model.begun(np.array([[0.4], [0.9]]), np.ones(2))
    np.testing.assert_allclose(new, np.sin(4 * np.array([0.4, 0.9])) + 0.05, atol=0.12)
