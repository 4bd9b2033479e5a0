"""Fantasies: ways in which running trials may end, as a Gaussian process believes."""

from __future__ import annotations

import numpy as np
import pytest

from raytune_hpo.numerics.acquisition import ACQUISITIONS, FantasyAcquisition
from raytune_hpo.numerics.fantasies import Fantasies
from raytune_hpo.numerics.gaussian import Posterior

OWNER = np.arange(2)
THETA = np.log([0.5, 0.8, 1.3, 0.05])
RNG = np.random.default_rng(3)
Z, Y, RUNNING, ROWS = RNG.random((12, 2)), RNG.standard_normal(12), RNG.random((3, 2)), RNG.random((7, 2))
POSTERIOR = Posterior.of(THETA, Z, OWNER, Y)


def fantasies(num):
    return Fantasies.of(POSTERIOR, RUNNING, RNG.standard_normal((num, 3)))


def test_on_average_running_trials_end_as_expected():
    means, sd = fantasies(20_000).predict(ROWS)
    expected, before = POSTERIOR.predict(ROWS)
    np.testing.assert_allclose(means.mean(axis=0), expected, atol=0.03)
    # What is doubted before is doubted still, or differs from draw to draw: the law of total variance.
    np.testing.assert_allclose(means.var(axis=0) + sd**2, before**2, rtol=0.05)


def test_each_draw_is_the_process_that_has_seen_it():
    drawn = fantasies(4)
    for s in range(4):
        seen = POSTERIOR.extended(RUNNING, drawn.Y[12:, s])
        mean, sd = seen.predict(ROWS)
        np.testing.assert_allclose(drawn.predict(ROWS)[0][s], mean, atol=1e-9)
        np.testing.assert_allclose(drawn.predict(ROWS)[1], sd, atol=1e-9)


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("name", list(ACQUISITIONS))
def test_gradients_are_those_of_the_values(name, noise):
    acquisition = FantasyAcquisition(fantasies(5), -0.4, name, noise)
    value, gradient = acquisition.values_and_gradients(ROWS)
    np.testing.assert_allclose(value, acquisition.values(ROWS), rtol=1e-9)
    for j, step in enumerate(1e-6 * np.eye(2)):
        slope = (acquisition.values(ROWS + step) - acquisition.values(ROWS - step)) / 2e-6
        np.testing.assert_allclose(gradient[:, j], slope, rtol=1e-4, atol=1e-6)


def test_without_running_trials_there_is_the_process_itself():
    alone = Fantasies.of(POSTERIOR, RUNNING[:0], np.empty((5, 0)))
    mean, sd = POSTERIOR.predict(ROWS)
    np.testing.assert_allclose(alone.predict(ROWS)[0], [mean])
    np.testing.assert_allclose(alone.predict(ROWS)[1], sd)
