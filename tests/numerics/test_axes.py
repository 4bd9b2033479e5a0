"""Axes: groups of columns, and rows that are known."""

from __future__ import annotations

import numpy as np

from raytune_hpo.numerics.axes import Axes, Axis, Kind, KnownRows, alike, row_keys

REAL = Axis(Kind.REAL)
NOMINAL = Axis(Kind.NOMINAL, np.array([0.25, 0.75]))
GRID = Axis(Kind.GRID, np.array([0.25, 0.75]))
WIDE = Axis(Kind.NOMINAL, np.array([0.125, 0.625]))


def test_axes_of_the_same_kind_and_cells_are_alike():
    axes = Axes([NOMINAL, REAL, GRID, NOMINAL, WIDE])
    groups = {tuple(group.columns.tolist()): group.axis for group in alike(axes, Kind.NOMINAL, Kind.GRID)}
    assert groups == {(0, 3): NOMINAL, (2,): GRID, (4,): WIDE}
    assert (axes.real.tolist(), axes.on_lines.tolist(), axes.nominal.tolist()) == ([1], [1, 2], [0, 3, 4])
    assert [group.columns.tolist() for group in axes.celled] == [[0, 3], [2], [4]]
    assert Axes.of(axes) is axes and Axes.of(list(axes)) == axes


def test_coordinates_settle_at_the_centres_of_their_cells():
    np.testing.assert_array_equal(WIDE.settled(np.array([[0.0, 0.24], [0.26, 1.0]])), [[0.125, 0.125], [0.625, 0.625]])
    assert GRID.is_even
    assert not WIDE.is_even


def test_rows_are_known_wherever_they_stand_and_in_whatever_order_of_memory():
    rng = np.random.default_rng(0)
    rows = rng.choice([0.25, 0.75, np.nan], size=(40, 7))
    others = np.concatenate([rng.choice([0.25, 0.75, np.nan], size=(500, 7)), rows[::3]])
    keys = set(row_keys(rows))
    wanted = [key in keys for key in row_keys(others)]
    known = KnownRows(np.asfortranarray(rows))
    assert known.among(others).tolist() == known.among(np.asfortranarray(others)).tolist() == wanted
    assert [bool(known.among(row[None, :])[0]) for row in others] == wanted
    assert sum(wanted) >= 14


def test_nothing_is_known_of_no_rows():
    assert not KnownRows(np.empty((0, 3))).among(np.zeros((2, 3))).any()
    assert KnownRows(np.zeros((2, 3))).among(np.empty((0, 3))).shape == (0,)
