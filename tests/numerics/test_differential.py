import numpy as np
import pytest

from raytune_hpo.numerics import differential


def test_a_mutant_is_the_leader_and_a_difference_of_two_others():
    X, losses = np.random.default_rng(0).random((4, 3)), np.array([3.0, 0.0, 1.0, 2.0])
    possible = [X[1] + 0.5 * (X[a] - X[b]) for a in (1, 2, 3) for b in (1, 2, 3) if a != b]
    for seed in range(20):
        v = differential.mutant(X, losses, 0, np.zeros(3, dtype=bool), 0.5, 1, np.random.default_rng(seed))
        assert any(np.allclose(v, p) for p in possible)


def test_values_in_no_order_are_never_mixed():
    X = np.array([[0.1], [0.1], [0.5], [0.9], [0.5]])
    draws = [
        differential.mutant(X, np.arange(5.0), 2, np.ones(1, dtype=bool), 0.7, 2, np.random.default_rng(seed))[0]
        for seed in range(200)
    ]
    assert set(draws) == {0.1, 0.5, 0.9}


def test_a_crossover_changes_something():
    x, v = np.zeros(6), np.ones(6)
    children = [
        differential.binomial_crossover(x, v, CR, np.random.default_rng(i))
        for CR in (0.0, 0.5, 1.0)
        for i in range(100)
    ]
    changed = np.array([child.sum() for child in children]).reshape(3, 100)
    assert (changed[0] == 1).all()
    assert changed[1].mean() == pytest.approx(3.5, abs=0.4)
    assert (changed[2] == 6).all()


def test_what_leaves_the_cube_stands_midway_to_the_bound():
    returned = differential.moved_inside(np.array([-0.3, 0.5, 1.7]), np.array([0.2, 0.9, 0.6]))
    assert returned == pytest.approx([0.1, 0.5, 0.8])


def test_rates_are_drawn_around_their_centres_and_follow_success():
    rng = np.random.default_rng(0)
    rates = np.array([differential.draw_rates(0.5, 0.9, rng) for _ in range(2000)])
    assert np.median(rates, axis=0) == pytest.approx([0.5, 0.9], abs=0.02)
    assert rates.min() >= 0
    assert rates.max() <= 1
    assert differential.adapted(0.5, 0.9, 1.0, 0.4, 0.1) == pytest.approx((0.6, 0.85))
    assert differential.adapted(0.5, 0.9, 0.5, 0.9, 0.1) == pytest.approx((0.5, 0.9))


def test_it_finds_the_minimum_of_a_sphere():
    rng, n = np.random.default_rng(0), 5
    X = rng.random((20, n))
    losses = ((X - 0.3) ** 2).sum(axis=1)
    for i in range(4000):
        target = i % 20
        F, CR = differential.draw_rates(0.5, 0.9, rng)
        v = differential.mutant(X, losses, target, np.zeros(n, dtype=bool), F, 3, rng)
        child = differential.binomial_crossover(X[target], differential.moved_inside(v, X[target]), CR, rng)
        loss = ((child - 0.3) ** 2).sum()
        if loss <= losses[target]:
            X[target], losses[target] = child, loss
    assert losses.min() < 1e-8
