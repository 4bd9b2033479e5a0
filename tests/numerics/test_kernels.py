"""Kernels over mixed and conditional rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.gaussian_process.kernels import Matern

from raytune_hpo.numerics.axes import Axis, Kind
from raytune_hpo.numerics.kernels import Anchors, Embedding, matern52, matern52_slope, squared_distances

REAL = Axis(Kind.REAL)
GRID = Axis(Kind.GRID, np.array([0.125, 0.375, 0.625, 0.875]))
NOMINAL = Axis(Kind.NOMINAL, np.array([1 / 6, 0.5, 5 / 6]))
ALONE = Axis(Kind.GRID, np.array([0.5]))
AXES = (REAL, GRID, NOMINAL, ALONE)


def test_each_kind_of_column_has_its_own_geometry():
    X = np.array([[0.2, 0.125, 1 / 6, 0.5], [0.7, 0.875, 0.5, 0.5], [0.2, 0.375, 5 / 6, 0.5]])
    embedding = Embedding(AXES)
    Z = embedding(X)
    by_column = [squared_distances(Z[:, embedding.owner == j], Z[:, embedding.owner == j]) for j in range(4)]
    np.testing.assert_allclose(by_column[0][0], [0, 0.25, 0], atol=1e-12)
    np.testing.assert_allclose(by_column[1][0], [0, 0.5625, 0.0625], atol=1e-12)
    np.testing.assert_allclose(by_column[2], (1 - np.eye(3)) / 4, atol=1e-12)  # different is different
    np.testing.assert_allclose(by_column[3], 0, atol=1e-12)


def test_random_values_are_as_far_apart_in_a_nominal_column_as_in_a_real_one():
    rng = np.random.default_rng(0)
    for size in (2, 3, 7):
        axis = Axis(Kind.NOMINAL, (np.arange(size) + 0.5) / size)
        one, other = (Embedding((axis,))(axis.centres[rng.integers(size, size=(20000, 1))]) for _ in range(2))
        assert ((one - other) ** 2).sum(axis=1).mean() == pytest.approx(1 / 6, rel=0.05)


def test_a_column_that_is_not_active_tells_nothing_apart():
    """Two rows in which it is not active do not differ there; every value is as far from it as the opposite one."""
    embedding = Embedding(AXES)
    Z = embedding(np.array([[np.nan] * 4, [np.nan] * 4, [0.0, 0.125, 1 / 6, 0.5], [1.0, 0.875, 5 / 6, 0.5]]))
    np.testing.assert_array_equal(Z[0], Z[1])
    far = squared_distances(Z[:1], Z[2:])
    assert far[0, 0] == pytest.approx(far[0, 1])
    assert far[0, 0] > 0


@pytest.mark.parametrize("seed", range(5))
def test_the_kernel_matrix_of_any_conditional_rows_is_positive_semidefinite(seed):
    rng = np.random.default_rng(seed)
    X = np.column_stack(
        [axis.centres[rng.integers(axis.size, size=60)] if axis.size else rng.random(60) for axis in AXES]
    )
    X[rng.random(X.shape) < 0.4] = np.nan
    embedding = Embedding(AXES)
    B = embedding(X) / rng.lognormal(size=4)[embedding.owner]
    k = matern52(squared_distances(B, B))
    assert np.linalg.eigvalsh(k).min() > -1e-9
    np.testing.assert_allclose(np.diagonal(k), 1.0, atol=1e-9)


def test_distances_and_correlations_are_those_of_scipy_and_scikit_learn():
    rng = np.random.default_rng(0)
    A, B = rng.random((7, 3)), rng.random((5, 3))
    np.testing.assert_allclose(squared_distances(A, B), cdist(A, B, "sqeuclidean"), atol=1e-12)
    np.testing.assert_allclose(matern52(squared_distances(A, B)), Matern(nu=2.5)(A, B), atol=1e-9)


def test_the_slope_is_the_difference_quotient():
    r2 = np.array([1e-4, 0.1, 1.0, 7.0, 60.0])
    k, slope = matern52_slope(r2)
    np.testing.assert_allclose(k, matern52(r2))
    np.testing.assert_allclose(slope, (matern52(r2 + 1e-6) - matern52(r2 - 1e-6)) / 2e-6, rtol=1e-4)
    assert matern52_slope(np.zeros(1))[1][0] == pytest.approx(-5 / 6)


def test_a_space_without_columns_has_no_features():
    assert Embedding(())(np.empty((3, 0))).shape == (3, 0)


def test_columns_with_the_same_cells_are_embedded_as_each_is_alone():
    rng = np.random.default_rng(0)
    other = Axis(Kind.NOMINAL, np.array([0.25, 0.75]))
    axes = (NOMINAL, REAL, other, NOMINAL, GRID, NOMINAL)
    X = np.column_stack(
        [axis.centres[rng.integers(axis.size, size=50)] if axis.size else rng.random(50) for axis in axes]
    )
    X[rng.random(X.shape) < 0.2] = np.nan
    alone = [Embedding((axis,))(X[:, [j]]) for j, axis in enumerate(axes)]
    np.testing.assert_array_equal(Embedding(axes)(X), np.column_stack(alone))


def test_correlations_are_the_same_whatever_stands_beside_them():
    r2 = np.random.default_rng(0).random((300, 200)) * 9
    np.testing.assert_array_equal(matern52(r2)[:, ::7], matern52(np.ascontiguousarray(r2[:, ::7])))
    np.testing.assert_array_equal(matern52(r2.T), matern52(r2).T)


def test_correlations_may_take_the_memory_of_the_distances():
    r2 = np.random.default_rng(0).random((90, 100)) * 9
    k, slope = matern52_slope(r2)
    inside, beside = r2.copy(), np.empty_like(r2)
    matern52_slope(inside, out=(beside, inside))
    np.testing.assert_array_equal(beside, k)
    np.testing.assert_array_equal(inside, slope)
    inside = r2.copy()
    assert matern52(inside, out=inside) is inside
    np.testing.assert_array_equal(inside, matern52(r2))


def test_anchors_are_as_far_away_the_second_time():
    rng = np.random.default_rng(0)
    B = rng.random((20, 3))
    anchors = Anchors(B)
    for num in (1, 50, 50, 1):
        A = rng.random((num, 3))
        np.testing.assert_array_equal(anchors.squared_distances(A), squared_distances(A, B))
