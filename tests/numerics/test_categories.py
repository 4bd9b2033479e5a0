import numpy as np
import pytest

from raytune_hpo.numerics import categories

UNIFORM = np.full(4, 0.25)


def test_the_shares_move_towards_the_values_of_good_points():
    q = categories.updated_shares(UNIFORM, np.array([2, 2, 0, 1]), np.array([0.5, 0.3, 0.2, 0.0]), 0.5, 0.0)
    assert q == pytest.approx([0.225, 0.125, 0.525, 0.125])


def test_points_without_a_value_pull_nowhere():
    q = categories.updated_shares(UNIFORM, np.array([-1, 3]), np.array([0.9, 0.1]), 0.5, 0.0)
    assert q == pytest.approx(0.95 * UNIFORM + 0.05 * np.array([0, 0, 0, 1]))


def test_no_value_falls_below_the_margin():
    q = UNIFORM
    for _ in range(100):
        q = categories.updated_shares(q, np.array([1]), np.array([1.0]), 0.5, 0.03)
    assert q.sum() == pytest.approx(1)
    assert q == pytest.approx([0.03, 0.91, 0.03, 0.03])


@pytest.mark.parametrize(("c", "num_axes"), [(2, 1), (3, 5), (10, 30)])
def test_the_margin_lets_all_axes_be_at_their_best_often_enough(c, num_axes):
    assert (1 - (c - 1) * categories.least(c, num_axes)) ** num_axes == pytest.approx(0.73)


def test_a_single_value_is_certain():
    assert categories.updated_shares(np.ones(1), np.zeros(3, dtype=int), np.full(3, 1 / 3), 0.5, 0.27) == pytest.approx(
        [1.0]
    )


def test_draws_have_their_shares():
    q = np.array([0.1, 0.6, 0.3])
    levels = categories.draw_levels(q, 20_000, np.random.default_rng(0))
    assert np.bincount(levels, minlength=3) / 20_000 == pytest.approx(q, abs=0.02)
