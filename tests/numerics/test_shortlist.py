"""A shortlist says of its rows what the whole process would, and the same to the last bit whatever it was asked before."""

from __future__ import annotations

import numpy as np
import pytest

from raytune_hpo.numerics.fantasies import Fantasies
from raytune_hpo.numerics.gaussian import Posterior
from raytune_hpo.numerics.shortlist import Shortlist

OWNER = np.arange(3)
THETA = np.log([0.4, 0.9, 2.0, 1.7, 0.02])
RNG = np.random.default_rng(5)
Z, Y, ROWS, LATER = RNG.random((40, 3)), RNG.standard_normal(40), RNG.random((30, 3)), RNG.random((9, 3))
ENDED = RNG.standard_normal(4)
NONE = np.empty((0, 3))


@pytest.fixture
def posterior():
    return Posterior.of(THETA, Z, OWNER, Y)


def test_trials_that_ended_count_as_if_they_had_been_learned_from(posterior):
    outlook = Shortlist(posterior, ROWS).after(LATER[:4], ENDED, NONE, np.zeros((1, 0)))
    whole = Posterior.of(THETA, np.concatenate([Z, LATER[:4]]), OWNER, np.concatenate([Y, ENDED]))
    mean, sd = whole.predict(ROWS)
    np.testing.assert_allclose(outlook.means, mean[None], atol=1e-10)
    np.testing.assert_allclose(outlook.sd, sd, atol=1e-10)
    np.testing.assert_allclose(outlook.ended, whole.means[-4:], atol=1e-10)


def test_running_trials_end_in_as_many_ways_as_there_are_draws(posterior):
    normals = RNG.standard_normal((6, 5))
    outlook = Shortlist(posterior, ROWS).after(LATER[:4], ENDED, LATER[4:], normals)
    fantasies = Fantasies.of(posterior.extended(LATER[:4], ENDED), LATER[4:], normals)
    means, sd = fantasies.predict(ROWS)
    np.testing.assert_allclose(outlook.means, means, atol=1e-9)
    np.testing.assert_allclose(outlook.sd, sd, atol=1e-10)


def test_no_later_trials_leave_the_rows_as_they_are(posterior):
    outlook = Shortlist(posterior, ROWS).after(NONE, ENDED[:0], NONE, np.zeros((2, 0)))
    mean, sd = posterior.predict(ROWS)
    np.testing.assert_allclose(outlook.means, [mean, mean], atol=1e-10)
    np.testing.assert_allclose(outlook.sd, sd, atol=1e-10)


def test_what_was_asked_before_changes_no_bit(posterior):
    used, normals = Shortlist(posterior, ROWS), RNG.standard_normal((3, 5))
    for ended in range(4):
        used.after(LATER[:ended], ENDED[:ended], LATER[ended : ended + 3], normals[:, :3])
    before = used.after(LATER[:4], ENDED, LATER[4:], normals)
    fresh = Shortlist(posterior, ROWS).after(LATER[:4], ENDED, LATER[4:], normals)
    for one, another in zip(before, fresh, strict=True):
        assert np.array_equal(one, another)
