"""Forests against a tree made by hand, scikit-learn's, and what a cut can and cannot do."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor

from raytune_hpo.numerics.axes import Axis, Kind
from raytune_hpo.numerics.forest import Forest, Nodes, Views, grow
from raytune_hpo.numerics.neighbours import neighbours

REAL = Axis(Kind.REAL)


def nominal(k):
    return Axis(Kind.NOMINAL, (np.arange(k) + 0.5) / k)


def friedman(X):
    """Friedman's function of five columns; the others are noise."""
    return 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2 + 10 * X[:, 3] + 5 * X[:, 4]


def handmade():
    """Two trees on [0, 1]: one cut at 0.5 into normal leaves (1, 0.5) and (3, 0.25), and one that is a leaf (2, 1)."""
    return Forest(
        views=Views((REAL,), np.random.default_rng(0)),
        num_trees=2,
        nodes=Nodes(
            view=np.ones(4, dtype=np.intp),
            threshold=np.array([0.5, np.inf, np.inf, np.inf]),
            left=np.array([2, 1, 2, 3]),
            mean=np.array([2.0, 2.0, 1.0, 3.0]),
            variance=np.array([1.0, 1.0, 0.5, 0.25]),
        ),
    )


def test_mean_and_variance_of_a_handmade_forest_are_those_of_the_mixture_of_its_leaves():
    mean, variance = handmade().predict(np.array([[0.2], [0.5], [0.7], [np.nan]]))
    np.testing.assert_allclose(mean, [1.5, 1.5, 2.5, 2.5])  # what is not active goes right in this view
    # Law of total variance: the mean of 0.5 and 1 and the variance of 1 and 2; of 0.25 and 1, and of 3 and 2.
    np.testing.assert_allclose(variance, [0.75 + 0.25, 1.0, 0.625 + 0.25, 0.875])
    draws = np.random.default_rng(0)
    mixture = np.concatenate([draws.normal(1, 0.5**0.5, 200_000), draws.normal(2, 1, 200_000)])
    np.testing.assert_allclose([mean[0], variance[0]], [mixture.mean(), mixture.var()], rtol=0.01)


def test_it_predicts_as_well_as_scikit_learns_extra_trees():
    errors, variances = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X, Z = rng.random((100, 8)), rng.random((400, 8))
        mean, variance = grow([REAL] * 8, X, friedman(X), rng, num_cuts=16).predict(Z)
        theirs = ExtraTreesRegressor(50, random_state=seed).fit(X, friedman(X))
        their_means = np.array([tree.predict(Z) for tree in theirs.estimators_])
        errors.append([np.mean((m - friedman(Z)) ** 2) for m in (mean, their_means.mean(axis=0))])
        variances.append([variance.mean(), their_means.var(axis=0).mean()])
    error, their_error = np.mean(errors, axis=0)
    assert error < 1.15 * their_error
    assert 0.75 < np.divide(*np.mean(variances, axis=0)) < 1.33


def test_full_trees_of_all_rows_reproduce_them_and_doubt_what_lies_between():
    rng = np.random.default_rng(1)
    X = rng.random((60, 3))
    forest = grow([REAL] * 3, X, friedman(np.tile(X, 2)), rng)
    mean, variance = forest.predict(X)
    np.testing.assert_allclose(mean, friedman(np.tile(X, 2)))
    np.testing.assert_allclose(variance, 0, atol=1e-12)
    assert np.median(forest.predict(rng.random((200, 3)))[1]) > 0.1


def test_between_two_points_the_mean_is_linear():
    forest = grow([REAL], np.array([[0.2], [0.8]]), np.array([0.0, 1.0]), np.random.default_rng(0), num_trees=4000)
    mean, variance = forest.predict(np.array([[0.0], [0.2], [0.35], [0.5], [0.65], [0.8], [1.0]]))
    p = np.array([0, 0, 0.25, 0.5, 0.75, 1, 1])
    np.testing.assert_allclose(mean, p, atol=0.03)
    np.testing.assert_allclose(variance, p * (1 - p), atol=0.02)


def test_duplicates_share_a_leaf_with_their_mean_and_variance():
    X = np.array([[0.2], [0.2], [0.9]])
    mean, variance = grow([REAL], X, np.array([1.0, 3.0, 7.0]), np.random.default_rng(0)).predict(X)
    np.testing.assert_allclose(mean, [2, 2, 7])
    np.testing.assert_allclose(variance, [1, 1, 0])


def test_no_leaf_has_fewer_rows_than_it_may():
    rng = np.random.default_rng(2)
    X = rng.random((97, 4))
    forest = grow([REAL] * 4, X, friedman(np.tile(X, 2)), rng, min_leaf=5)
    for leaves in forest.leaves(X):
        assert np.unique(leaves, return_counts=True)[1].min() >= 5


def test_bootstrapped_trees_see_different_rows():
    rng = np.random.default_rng(3)
    X = rng.random((40, 2))
    forest = grow([REAL] * 2, X, X[:, 0], rng, bootstrap=True, num_trees=200)
    roots = forest.nodes.mean[:200]
    np.testing.assert_allclose(roots.std(), X[:, 0].std() / 40**0.5, rtol=0.2)


def test_nominal_levels_are_cut_into_any_two_parts():
    """With one cut a tree tells levels {0, 2, 5} from the others, whatever their numbers."""
    axis = nominal(6)
    X = np.repeat(axis.centres, 10)[:, None]
    y = np.isin(axis.levels(X[:, 0]), [0, 2, 5]).astype(float)
    forest = grow([axis], X, y, np.random.default_rng(0), num_cuts=400, num_trees=20)
    assert len(forest.nodes.mean) == 20 * 3
    np.testing.assert_array_equal(forest.predict(X)[0], y)


def test_levels_that_were_never_seen_are_doubted():
    axis = nominal(5)
    X = np.repeat(axis.centres[:4], 5)[:, None]
    forest = grow([axis], X, np.repeat([0.0, 1.0, 0.0, 1.0], 5), np.random.default_rng(0))
    mean, variance = forest.predict(axis.centres[:, None])
    np.testing.assert_allclose(variance[:4], 0, atol=1e-12)
    assert 0.2 < mean[4] < 0.8
    assert variance[4] > 0.1


@pytest.mark.parametrize("axis", [REAL, nominal(3)], ids=["real", "nominal"])
def test_not_active_is_a_level_of_its_own(axis):
    """Only rows whose second column is not active are good."""
    rng = np.random.default_rng(4)
    X = np.column_stack([rng.random(40), nominal(3).centres[rng.integers(3, size=40)]])
    X[::2, 1] = np.nan
    y = np.isnan(X[:, 1]).astype(float)
    Z = np.column_stack([rng.random(50), np.where(np.arange(50) % 2, np.nan, 0.5)])
    mean, _ = grow([REAL, axis], X, y, rng).predict(Z)
    np.testing.assert_allclose(mean, np.isnan(Z[:, 1]), atol=0.15)


def test_columns_that_are_never_active_spoil_nothing():
    rng = np.random.default_rng(5)
    X = np.full((30, 40), np.nan)
    X[:, 17] = rng.random(30)
    mean, _ = grow([REAL] * 40, X, X[:, 17], rng, num_cuts=1).predict(X)
    np.testing.assert_allclose(mean, X[:, 17])


def test_the_same_generator_grows_the_same_forest_and_another_another():
    X = np.random.default_rng(0).random((30, 3))
    one, same, other = (
        grow([REAL, REAL, nominal(4)], X, X.sum(axis=1), np.random.default_rng(seed)).predict(X[::-1] * 0.9)[0]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_a_forest_of_one_row_or_of_equal_losses_is_sure():
    for n in (1, 5):
        X = np.random.default_rng(0).random((n, 2))
        mean, variance = grow([REAL] * 2, X, np.full(n, 3.0), np.random.default_rng(0)).predict(X + 0.01)
        np.testing.assert_array_equal(mean, 3.0)
        np.testing.assert_array_equal(variance, 0.0)


def test_nobody_asks_nothing():
    forest = grow([REAL], np.array([[0.5]]), np.array([1.0]), np.random.default_rng(0))
    assert [len(part) for part in forest.predict(np.empty((0, 1)))] == [0, 0]


@pytest.mark.parametrize("copies", [1, 10])  # a narrow space and a wide one
def test_rows_near_others_fall_into_the_same_leaves_however_they_are_found(copies):
    axes = (REAL, nominal(3), Axis(Kind.GRID, (np.arange(4) + 0.5) / 4)) * copies
    rng = np.random.default_rng(0)
    X = rng.random((60, len(axes)))
    for j, axis in enumerate(axes):
        if axis.centres is not None:
            X[:, j] = axis.settled(X[:, j])
    X[rng.random(X.shape) < 0.1] = np.nan
    forest = grow(axes, X, rng.random(60), rng)
    near, of = neighbours(axes, starts := X[:8], rng)
    near[rng.random(near.shape) < 0.02] = np.nan  # a branch that was left
    order = rng.permutation(len(near))
    expected = forest.predict(near[order])
    for found, wanted in zip(forest.predict_near(near[order], starts, of[order]), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(forest.predict_near(starts, starts, np.arange(8)), forest.predict(starts))
