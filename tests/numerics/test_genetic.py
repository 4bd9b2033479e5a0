import numpy as np
import pytest

from raytune_hpo.numerics import genetic

X, Y = np.full(4, 0.3), np.full(4, 0.5)
REAL, NOMINAL = np.zeros(4, dtype=bool), np.ones(4, dtype=bool)


def children(eta, nominal=REAL, num=2000):
    return np.array(
        [genetic.simulated_binary_crossover(X, Y, nominal, eta, np.random.default_rng(i)) for i in range(num)]
    )


def test_half_of_the_coordinates_are_the_first_parents():
    assert np.mean(children(5) == 0.3) == pytest.approx(0.5, abs=0.02)


def test_children_lie_nearer_to_the_first_parent_the_larger_eta_is():
    far, near = (np.abs(children(eta) - 0.3).mean() for eta in (2, 20))
    assert near < far / 2


def test_the_spread_has_the_distribution_it_is_named_for():
    changed = children(5, num=4000)
    spread = np.abs((changed[changed != 0.3] - 0.4) / 0.1)  # beta: of the children over that of the parents
    assert np.mean(spread < 1) == pytest.approx(0.5, abs=0.02)
    assert np.mean(spread < 0.9) == pytest.approx(0.9**6 / 2, abs=0.02)


def test_values_in_no_order_come_from_one_of_the_parents():
    assert set(children(5, NOMINAL, 100).ravel()) == {0.3, 0.5}


def test_a_mutation_changes_a_coordinate_and_stays_inside():
    for eta in (0, 10):
        mutated = np.array([genetic.polynomial_mutation(X, REAL, eta, np.random.default_rng(i)) for i in range(500)])
        changed = mutated != X
        assert changed.any(axis=1).all()
        assert changed.mean() == pytest.approx(0.25 + 0.75 * 0.25, abs=0.04)
        assert mutated.min() >= 0
        assert mutated.max() <= 1
