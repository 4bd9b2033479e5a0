"""One step away, in every kind of column."""

from __future__ import annotations

import numpy as np

from raytune_hpo.numerics.axes import Axis, Kind
from raytune_hpo.numerics.neighbours import Neighbourhoods, crowded, first_of_close, neighbours

REAL = Axis(Kind.REAL)
GRID = Axis(Kind.GRID, np.array([0.125, 0.375, 0.625, 0.875]))
NOMINAL = Axis(Kind.NOMINAL, np.array([0.1, 0.3, 0.5, 0.7, 0.9]))
WIDE = Axis(Kind.NOMINAL, (np.arange(12) + 0.5) / 12)
AXES = (REAL, GRID, NOMINAL, WIDE)


def rng():
    return np.random.default_rng(3)


def test_a_neighbour_differs_from_its_start_in_one_active_column():
    X = np.array([[0.2, 0.375, 0.3, WIDE.centres[7]], [0.9, 0.125, 0.9, WIDE.centres[0]]])
    N, start = neighbours(AXES, X, rng())
    assert ((X[start] != N).sum(axis=1) == 1).all()
    # four steps of a number, one or two cells of a grid, all four others of five, four of the eleven others of twelve
    assert np.bincount(start).tolist() == [4 + 2 + 4 + 4, 4 + 1 + 4 + 4]


def test_a_grid_steps_to_adjacent_cells_and_not_beyond_its_ends():
    X = np.array([[0.125], [0.625], [0.875]])
    N, start = neighbours([GRID], X, rng())
    assert {(int(s), float(x)) for s, x in zip(start, N[:, 0], strict=True)} == {
        (0, 0.375), (1, 0.375), (1, 0.875), (2, 0.625)
    }  # fmt: skip


def test_a_nominal_steps_to_different_other_values_all_alike():
    X = np.full((3000, 1), WIDE.centres[4])
    N, start = neighbours([WIDE], X, rng())
    levels = WIDE.levels(N[:, 0])
    assert len(set(zip(start.tolist(), levels.tolist(), strict=True))) == 3000 * 4
    counts = np.bincount(levels, minlength=12)
    assert counts[4] == 0
    assert np.abs(np.delete(counts, 4) / (3000 * 4 / 11) - 1).max() < 0.1


def test_a_number_steps_by_normals_of_the_given_deviations_inside_the_cube():
    N, start = neighbours([REAL], np.full((3000, 1), 0.5), rng(), sds=(0.1, 0.02))
    steps = N.reshape(3000, 2) - 0.5
    assert (start == np.repeat(np.arange(3000), 2)).all()
    np.testing.assert_allclose(steps.mean(axis=0), 0, atol=0.01)
    np.testing.assert_allclose(steps.std(axis=0), [0.1, 0.02], rtol=0.05)


def test_what_would_leave_the_cube_is_reflected_and_not_heaped_up_at_its_border():
    for border in (0.0, 1.0):
        N, _ = neighbours([REAL], np.full((3000, 1), border), rng(), sds=(0.1,))
        away = np.abs(N - border)
        assert away.min() > 0
        np.testing.assert_allclose(away.mean(), 0.1 * (2 / np.pi) ** 0.5, rtol=0.05)  # of the half-normal


def test_what_is_not_active_takes_no_step_and_gets_a_drawn_coordinate():
    X = np.full((400, 2), np.nan)
    X[:, 1] = 0.3
    N, start = neighbours([REAL, NOMINAL], X, rng())
    assert np.bincount(start).tolist() == [4] * 400
    assert (NOMINAL.levels(N[:, 1]) != 1).all()
    assert abs(N[:, 0].mean() - 0.5) < 0.05
    assert abs(N[:, 0].std() - 12**-0.5) < 0.02


def test_steps_are_in_no_more_columns_than_asked_for_and_others_the_next_time():
    axes, X = [Axis(Kind.REAL)] * 9, np.full((2, 9), 0.5)
    rng = np.random.default_rng(0)
    stepped = [set(np.argwhere(neighbours(axes, X, rng, most=4)[0] != 0.5)[:, 1]) for _ in range(20)]
    assert {len(columns) for columns in stepped} == {4}
    assert set.union(*stepped) == set(range(9))


def test_where_there_is_nowhere_to_go_there_are_no_neighbours():
    alone = Axis(Kind.NOMINAL, np.array([0.5]))
    for X in (np.array([[0.5]]), np.empty((0, 1))):
        N, start = neighbours([alone], X, rng())
        assert N.shape == (0, 1)
        assert start.shape == (0,)


def test_who_is_in_the_same_cells_and_very_near_is_crowded():
    axes = (REAL, REAL, NOMINAL)
    P = np.array([[0.5, 0.5, 0.125], [0.2, np.nan, 0.625]])
    near, far, other = [0.505, 0.495, 0.125], [0.505, 0.52, 0.125], [0.5, 0.5, 0.625]
    inactive, entered = [0.205, np.nan, 0.625], [0.205, 0.5, 0.625]
    X = np.array([near, far, other, inactive, entered])
    assert crowded(axes, X, Neighbourhoods(P)).tolist() == [True, False, False, True, False]
    assert not crowded(axes, X, Neighbourhoods(P[:0])).any()


def test_of_rows_that_are_close_the_first_counts():
    X = np.array([[0.5, 0.125], [0.50005, 0.125], [0.5, 0.625], [0.502, 0.125], [0.49995, 0.125]])
    assert first_of_close((REAL, NOMINAL), X, 1e-4).tolist() == [True, False, True, True, False]
