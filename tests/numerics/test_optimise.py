"""Climbing in a mixed cube."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from raytune_hpo.numerics.axes import Axis, Kind
from raytune_hpo.numerics.optimise import Objective, filled, maximised, perturbed

REAL = Axis(Kind.REAL)
SHORT = Axis(Kind.GRID, (np.arange(5) + 0.5) / 5)
LONG = Axis(Kind.GRID, (np.arange(40) + 0.5) / 40)
NOMINAL = Axis(Kind.NOMINAL, (np.arange(3) + 0.5) / 3)
AXES = (REAL, REAL, SHORT, LONG, NOMINAL)
TOP = np.array([0.3, 1.0, 0.5, 0.7, 0.5])


def snapped(F):
    X = np.clip(F, 0, 1)
    for j, axis in enumerate(AXES):
        if axis.centres is not None:
            X[:, j] = axis.centres[axis.levels(X[:, j])]
    return X


def height(X):
    return -((X - TOP) ** 2).sum(axis=1)


def slope(X):
    return height(X), -2 * (X - TOP)


OBJECTIVE = Objective(AXES, snapped, height, slope)


def test_a_smooth_function_is_followed_to_its_maximum():
    F = np.random.default_rng(0).random((4, 5))
    rows, heights = maximised(OBJECTIVE, F)
    grid = itertools.product(SHORT.centres, LONG.centres, NOMINAL.centres)
    best = max(float(height(np.array([[0.3, 1.0, *values]]))[0]) for values in grid)
    np.testing.assert_allclose(heights, best, atol=1e-6)
    np.testing.assert_allclose(height(snapped(rows)), heights)


def test_no_row_ends_lower_than_it_began_nor_where_it_is_not_allowed():
    rng = np.random.default_rng(1)
    rough = Objective(
        AXES,
        snapped,
        lambda X: np.where(X[:, 0] > 0.5, -np.inf, np.sin(40 * X).sum(axis=1)),
        lambda X: (np.sin(40 * X).sum(axis=1), 40 * np.cos(40 * X)),
    )
    F = rng.random((8, 5))
    before = rough.values(snapped(F))
    rows, heights = maximised(rough, F)
    assert (heights >= before).all()
    assert (snapped(rows)[before > -np.inf, 0] <= 0.5).all()


def test_columns_without_gradients_are_searched_by_their_values():
    axes = (NOMINAL, SHORT)
    top = np.array([NOMINAL.centres[2], SHORT.centres[4]])

    def score(X):
        return -np.abs(X - top).sum(axis=1)

    objective = Objective(axes, lambda F: F, score, lambda X: pytest.fail("there is nothing to follow"))
    rows, heights = maximised(objective, np.array([[NOMINAL.centres[0], SHORT.centres[0]]]))
    np.testing.assert_allclose(rows[0], top)
    assert heights[0] == 0


def test_columns_that_are_not_active_stay_out_of_it():
    """Below 0.5 in the first column, the second one does not exist."""

    def proper(F):
        X = F.copy()
        X[F[:, 0] < 0.5, 1] = np.nan
        return X

    def score(X):
        return -np.abs(X[:, 0] - 0.2) + np.nan_to_num(X[:, 1])

    def steep(X):
        return score(X), np.column_stack([-np.sign(X[:, 0] - 0.2), np.where(np.isnan(X[:, 1]), 0.0, 1.0)])

    rows, heights = maximised(Objective((REAL, REAL), proper, score, steep), np.array([[0.1, 0.4], [0.9, 0.4]]))
    assert rows[0, 1] == 0.4
    assert heights[0] == pytest.approx(0.0, abs=1e-3)
    assert heights[1] >= 0.4 - 0.7


def test_perturbed_rows_stay_in_the_cube_and_most_change_little():
    rng = np.random.default_rng(2)
    F = rng.random((3, 20))
    rows = perturbed(F, 600, (REAL,) * 20, rng)
    assert rows.shape == (600, 20)
    assert ((rows >= 0) & (rows <= 1)).all()
    changed = (rows != F[np.arange(600) % 3]).sum(axis=1)
    assert changed.min() >= 1
    assert np.median(changed) <= 4
    assert changed.max() > 8


def test_filled_rows_keep_what_was_there():
    X = np.array([[0.1, np.nan], [np.nan, 0.2]])
    F = filled(X, np.random.default_rng(0))
    assert ((F >= 0) & (F <= 1)).all()
    np.testing.assert_array_equal(F[~np.isnan(X)], [0.1, 0.2])


def test_columns_with_the_same_cells_find_their_way_beside_others():
    axes = (NOMINAL, REAL, NOMINAL, SHORT, NOMINAL, SHORT)
    top = np.array([1 / 6, 0.4, 5 / 6, 0.9, 0.5, 0.1])

    def proper(F):
        centred = [
            F[:, j] if axis.centres is None else axis.centres[axis.levels(F[:, j])] for j, axis in enumerate(axes)
        ]
        return np.column_stack(centred)

    def values(X):
        return -((X - top) ** 2).sum(axis=1)

    objective = Objective(axes, proper, values, lambda X: (values(X), -2 * (X - top)))
    found, reached = maximised(objective, np.random.default_rng(0).random((3, 6)))
    np.testing.assert_allclose(proper(found), np.tile(top, (3, 1)), atol=1e-3)
    np.testing.assert_allclose(reached, 0, atol=1e-5)


@pytest.mark.parametrize("num_idle", [0, 30])
def test_of_many_columns_the_promising_ones_are_searched_and_the_others_left_alone(num_idle):
    """Sixty columns of three values: some have one that is much better, which changes of pairs improve a little more."""
    axes, tops, asked = (NOMINAL,) * 60, np.random.default_rng(0).choice(NOMINAL.centres, 60), []
    tops[:num_idle] = np.nan  # these make no difference

    def proper(F):
        return NOMINAL.centres[NOMINAL.levels(F)]

    def score(X):
        asked.append(len(X))
        good = tops == X
        return good[:, 45:].sum(axis=1) + 0.1 * good[:, :45].sum(axis=1) / 45 + 0.5 * (good[:, 45] & good[:, 46])

    objective = Objective(axes, proper, score, lambda X: pytest.fail("there is nothing to follow"))
    start = np.tile(NOMINAL.centres[0], (2, 60))
    rows, heights = maximised(objective, start)
    wrong = (proper(rows) != tops)[:, 45:].sum()
    assert wrong == 0
    np.testing.assert_allclose(heights, score(proper(rows)))
    assert max(asked) <= 2 * 60 * 2  # every value of every column, from both rows
    assert asked.count(max(asked)) == 1


def test_a_few_columns_are_searched_to_the_end():
    """Sixteen columns, each of which helps only once the one before it does: none of them is given up."""
    axes, top = (NOMINAL,) * 16, NOMINAL.centres[2]

    def score(X):
        return np.logical_and.accumulate(top == X, axis=1).sum(axis=1).astype(float)

    objective = Objective(axes, lambda F: F, score, lambda X: pytest.fail("there is nothing to follow"))
    _, heights = maximised(objective, np.full((1, 16), NOMINAL.centres[0]))
    assert heights[0] == 16
