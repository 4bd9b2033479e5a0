"""Rows that are looked at again and again: what is kept says the same as a prediction from nothing."""

from __future__ import annotations

import numpy as np
import pytest

from raytune_hpo.numerics import cached_predictions as panel
from raytune_hpo.numerics.cached_predictions import CachedPredictions
from raytune_hpo.numerics.gaussian import Posterior

OWNER = np.arange(3)
THETAS = [np.log([length, 0.9, 2.0, 1.7, 0.02]) for length in (0.2, 0.4, 1.5)]
RNG = np.random.default_rng(5)
Z, Y, ROWS = RNG.random((60, 3)), RNG.standard_normal(60), RNG.random((200, 3))


def beliefs(Z, y, thetas=THETAS):
    return [Posterior.of(theta, Z, OWNER, y) for theta in thetas]


def agree(found, wanted):
    for (mean, sd), belief in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mean, belief.predict(ROWS)[0], atol=1e-10)
        np.testing.assert_allclose(sd, belief.predict(ROWS)[1], atol=1e-10)


def test_observations_may_come_one_by_one_or_many_at_once():
    looked_at = CachedPredictions()
    for n in (1, 2, 3, 10, 40, 41, 60):
        agree(looked_at.predict(beliefs(Z[:n], Y[:n]), ROWS), beliefs(Z[:n], Y[:n]))


def test_looking_twice_at_the_same_is_no_work_and_no_complaint(capfd):
    looked_at = CachedPredictions()
    for _ in range(2):
        agree(looked_at.predict(beliefs(Z[:9], Y[:9]), ROWS), beliefs(Z[:9], Y[:9]))
    assert capfd.readouterr() == ("", "")  # LAPACK prints what it does not like


def test_losses_may_change_with_every_look():
    looked_at = CachedPredictions()
    for scale in (1.0, -2.0, 0.1):
        agree(looked_at.predict(beliefs(Z[:9], scale * Y[:9]), ROWS), beliefs(Z[:9], scale * Y[:9]))


def test_the_last_observations_may_be_taken_back():
    """As pending trials are, when their results come."""
    looked_at = CachedPredictions()
    looked_at.predict(beliefs(Z[:30], Y[:30]), ROWS)
    for kept in (28, 5, 0):
        rows = np.concatenate([Z[:kept], Z[40:50]])
        agree(looked_at.predict(beliefs(rows, Y[: len(rows)]), ROWS), beliefs(rows, Y[: len(rows)]))


def test_thetas_may_change():
    looked_at = CachedPredictions()
    looked_at.predict(beliefs(Z[:30], Y[:30]), ROWS)
    others = [THETAS[2], THETAS[0] + 0.1]
    agree(looked_at.predict(beliefs(Z[:31], Y[:31], others), ROWS), beliefs(Z[:31], Y[:31], others))


def test_more_noise_on_the_diagonal_is_noticed():
    """Where a row is repeated, rounding may make the factor need it: the rows are the same, and the factor is not."""
    looked_at, belief = CachedPredictions(), beliefs(Z[:30], Y[:30])[0]
    looked_at.predict([belief], ROWS)
    noisy = Posterior.of(THETAS[0] + np.log([1, 1, 1, 1, 5]), Z[:30], OWNER, Y[:30])
    disguised = Posterior(theta=belief.theta, scale=belief.scale, B=noisy.B, L=noisy.L, a=noisy.a, y=noisy.y)
    agree(looked_at.predict([disguised], ROWS), [disguised])


def test_what_is_too_large_is_not_kept(monkeypatch):
    monkeypatch.setattr(panel, "_MOST_KEPT", 1000)
    looked_at = CachedPredictions()
    for n in (5, 6):
        agree(looked_at.predict(beliefs(Z[:n], Y[:n]), ROWS), beliefs(Z[:n], Y[:n]))
    assert not looked_at._kept


@pytest.mark.parametrize("at_once", [1, 50, 10_000])
def test_it_does_not_matter_how_many_rows_are_looked_at_together(monkeypatch, at_once):
    monkeypatch.setattr(panel, "_AT_ONCE", at_once)
    agree(CachedPredictions().predict(beliefs(Z[:20], Y[:20]), ROWS), beliefs(Z[:20], Y[:20]))
