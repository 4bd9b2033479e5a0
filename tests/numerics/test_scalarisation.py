import numpy as np
import pytest

from raytune_hpo.numerics.scalarisation import (
    chebyshev,
    log_chebyshev_improvement,
    log_chebyshev_improvement_and_slopes,
    scaled,
    simplex_weights,
)


def test_weights_cover_the_simplex_evenly():
    W = np.array([simplex_weights(i, 3, 0) for i in range(256)])
    assert W.sum(axis=1) == pytest.approx(np.ones(256))
    assert W.mean(axis=0) == pytest.approx(np.full(3, 1 / 3), abs=0.01)
    assert W.std(axis=0) == pytest.approx(np.full(3, (1 / 18) ** 0.5), abs=0.01)


def test_every_point_of_a_concave_front_is_the_best_for_some_weights():
    angles = np.linspace(0.1, np.pi / 2 - 0.1, 9)
    Y = np.column_stack([np.cos(angles), np.sin(angles)])
    best = {int(np.argmin(chebyshev(Y, simplex_weights(i, 2, 0)))) for i in range(256)}
    assert best == set(range(9))


def test_scaled_losses_go_from_0_to_1_and_a_constant_one_is_0():
    Y = np.array([[1.0, 5.0], [3.0, 5.0], [np.nan, np.nan]])
    assert scaled(Y)[:2].tolist() == [[0.0, 0.0], [1.0, 0.0]]


def test_scaled_losses_may_be_as_large_as_floats_are():
    with np.errstate(over="raise", invalid="raise"):
        np.testing.assert_allclose(scaled(np.array([[-1.7e308], [0.0], [1.7e308]]))[:, 0], [0.0, 0.5, 1.0])


def test_the_slopes_of_an_expected_improvement_are_those_of_differences():
    rng = np.random.default_rng(0)
    mean, sd = rng.random((5, 3)), 0.05 + 0.2 * rng.random((5, 3))
    rest = np.array([0.2, 0.3, 0.5]), 0.2, rng.standard_normal((64, 3))
    found, step = log_chebyshev_improvement_and_slopes(mean, sd, *rest), 1e-6
    for j in range(3):
        e = step * (np.arange(3) == j)
        rise = log_chebyshev_improvement(mean + e, sd, *rest) - log_chebyshev_improvement(mean - e, sd, *rest)
        assert found.by_mean[:, j] == pytest.approx(rise / (2 * step), abs=1e-5)
        rise = log_chebyshev_improvement(mean, sd + e, *rest) - log_chebyshev_improvement(mean, sd - e, *rest)
        assert found.by_sd[:, j] == pytest.approx(rise / (2 * step), abs=1e-5)


def test_an_improvement_is_the_mean_over_draws_but_for_the_rounded_corner():
    rng = np.random.default_rng(1)
    mean, sd, w, N = (
        rng.random((3, 2)) * 0.3,
        np.full((3, 2), 0.3),
        np.array([0.4, 0.6]),
        rng.standard_normal((4000, 2)),
    )
    drawn = np.maximum(0.5 - chebyshev(mean[:, None] + sd[:, None] * N, w), 0).mean(axis=1)
    assert np.exp(log_chebyshev_improvement(mean, sd, w, 0.5, N)) == pytest.approx(drawn, rel=0.05)


def test_far_away_the_logarithm_still_falls():
    w, N = np.array([0.5, 0.5]), np.random.default_rng(0).standard_normal((64, 2))
    near, far = log_chebyshev_improvement(np.array([[50.0, 50.0], [90.0, 90.0]]), np.full((2, 2), 0.1), w, 0.0, N)
    assert np.isfinite([near, far]).all()
    assert far < near


def test_the_largest_losses_are_scaled_as_small_ones_are():
    Y = np.array([[-1.0, 0.5], [1.0, -0.5], [np.nan, 0.0]])
    with np.errstate(all="raise"):
        assert scaled(1.7e308 * Y) == pytest.approx(scaled(Y), nan_ok=True)
