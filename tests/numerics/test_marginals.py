"""Marginals of a forest are exact, and shares of variance are those that a known function has."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from raytune_hpo.numerics.axes import Axis, Kind
from raytune_hpo.numerics.forest import grow
from raytune_hpo.numerics.marginals import Marginals, measure

REAL = Axis(Kind.REAL)
GRID = Axis(Kind.GRID, (np.arange(5) + 0.5) / 5)
NOMINAL = Axis(Kind.NOMINAL, (np.arange(4) + 0.5) / 4)
UNEVEN = Axis(Kind.NOMINAL, np.array([0.1, 0.6]))  # cells of widths 0.2 and 0.8


def drawn(axes, n, rng):
    """Rows from the uniform measure; on axes with cells, at their centres."""
    X = rng.random((n, len(axes)))
    for j, axis in enumerate(axes):
        if axis.centres is not None:
            X[:, j] = axis.centres[np.searchsorted(axis.edges[1:-1], X[:, j])]
    return X


def marginals(axes, f, n, *, noise=0.0, seed=0, **options):
    rng = np.random.default_rng(seed)
    X = drawn(axes, n, rng)
    forest = grow(axes, X, f(X) + noise * rng.normal(size=n), rng, **options)
    return Marginals(forest, [measure(axis, X[:, j]) for j, axis in enumerate(axes)])


def test_on_a_finite_space_the_shares_of_a_tree_are_those_of_its_table():
    axes = [GRID, NOMINAL, UNEVEN]
    rng = np.random.default_rng(1)
    found = marginals(axes, lambda X: rng.random(len(X)), 300, num_trees=1)
    cells = [list(zip(axis.centres, np.diff(axis.edges), strict=True)) for axis in axes]
    rows = np.array([[x for x, _ in row] for row in itertools.product(*cells)])
    mass = np.array([np.prod([m for _, m in row]) for row in itertools.product(*cells)])
    table = found.forest.predict(rows)[0].reshape(5, 4, 2)
    mass = mass.reshape(5, 4, 2)
    mean = (table * mass).sum()
    total = ((table - mean) ** 2 * mass).sum()

    def explained(*columns):
        others = tuple(j for j in range(3) if j not in columns)
        weight = mass.sum(axis=others)
        return ((((table * mass).sum(axis=others) / weight - mean) ** 2) * weight).sum() / total

    shares = found.shares([(0, 1), (1, 2)])
    np.testing.assert_allclose(shares.single, [explained(j) for j in range(3)], atol=1e-9)
    joint = [explained(j, k) - explained(j) - explained(k) for j, k in ((0, 1), (1, 2))]
    np.testing.assert_allclose(shares.pairs, joint, atol=1e-9)


def test_a_surface_is_the_mean_of_predictions_over_the_other_columns():
    axes = [REAL, REAL, NOMINAL]
    found = marginals(axes, lambda X: X[:, 0] * X[:, 1] + (X[:, 2] > 0.5), 200, num_trees=5)
    xs, ys = np.array([0.21, 0.77]), np.array([0.13, 0.5, 0.9])
    at = [[[x, y, z] for z in NOMINAL.centres] for y in ys for x in xs]
    expected = found.forest.predict(np.array(at).reshape(-1, 3))[0].reshape(3, 2, 4).mean(axis=2)
    np.testing.assert_allclose(found.surface(0, 1, xs, ys), expected, atol=1e-9)


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_a_weighted_sum_is_explained_by_the_squares_of_its_weights(noise):
    found = marginals([REAL] * 4, lambda X: X[:, :3] @ [3, 2, 1], 600, noise=noise, num_trees=32, min_leaf=3)
    shares = found.shares([(0, 1)])
    np.testing.assert_allclose(shares.single, [9 / 14, 4 / 14, 1 / 14, 0], atol=0.05)
    assert shares.pairs[0] < 0.04


def test_what_two_columns_do_together_is_the_pairs_and_not_theirs():
    """Of (x - 1/2)(y - 1/2) neither factor explains anything alone."""
    found = marginals([REAL] * 3, lambda X: (X[:, 0] - 0.5) * (X[:, 1] - 0.5), 1000, num_trees=32, min_leaf=3)
    shares = found.shares([(0, 1), (0, 2)])
    assert shares.single.max() < 0.12
    assert shares.pairs[0] > 0.65
    assert shares.pairs[1] < 0.05


def test_a_choice_and_a_product_have_the_shares_of_the_algebra():
    """2 x y has variance 7/36, of which each factor explains 1/12 and the pair 1/36."""
    effect = np.array([0.0, 1.0, 3.0, 0.0])

    def f(X):
        return effect[NOMINAL.levels(X[:, 2])] + 2 * X[:, 0] * X[:, 1]

    found = marginals([REAL, REAL, NOMINAL], f, 800, num_trees=32, min_leaf=3)
    total = effect.var() + 7 / 36
    shares = found.shares([(0, 1)])
    np.testing.assert_allclose(shares.single, np.array([1 / 12, 1 / 12, effect.var()]) / total, atol=0.02)
    assert shares.pairs[0] == pytest.approx(1 / 36 / total, abs=0.01)


def test_what_was_not_tried_has_no_mass():
    x = np.array([0.125, 0.625, 0.625])
    assert measure(NOMINAL, x).masses.tolist() == [0.5, 0.0, 0.5, 0.0]
    assert measure(REAL, np.array([0.2, 0.7]))[:2] == (0.2, 0.7)


def test_where_nothing_varies_nothing_is_explained():
    found = marginals([REAL, NOMINAL], lambda X: np.ones(len(X)), 20, num_trees=4)
    assert found.shares([(0, 1)]).single.tolist() == [0, 0]
    assert found.shares([(0, 1)]).pairs.tolist() == [0]
