import numpy as np
import pytest

from raytune_hpo.numerics import pareto

STAIRS = np.array([[0.0, 4.0], [1.0, 2.0], [3.0, 1.0], [4.0, 0.0]])


def dominates(a, b):
    return bool((a <= b).all() and (a < b).any())


@pytest.mark.parametrize("m", [1, 2, 3])
def test_fronts_are_those_of_the_definition(m):
    Y = np.random.default_rng(m).integers(0, 6, size=(40, m)).astype(float)
    front = pareto.fronts(Y)
    for i, y in enumerate(Y):
        above = [front[j] for j in range(40) if dominates(Y[j], y)]
        assert front[i] == max(above, default=-1) + 1


def test_room_is_the_box_between_the_neighbours():
    room = pareto.crowding(STAIRS, np.zeros(4, dtype=int))
    assert room == pytest.approx([np.inf, 3 / 4 + 3 / 4, 3 / 4 + 2 / 4, np.inf])


def test_equal_rows_leave_each_other_no_room():
    Y = np.concatenate([STAIRS, STAIRS[1:2], STAIRS[1:2]])
    room = pareto.crowding(Y, pareto.fronts(Y))
    assert room[[1, 4, 5]].min() == 0


def test_the_worst_are_those_that_failed_then_later_fronts_then_the_crowded():
    Y = np.concatenate([STAIRS, STAIRS[:1] + 5, np.full((2, 2), np.inf)])
    order = pareto.worst_first(Y)
    assert set(order[:2]) == {5, 6}
    assert order[2] == 4
    assert order[3] == 2
    assert order[4] == 1


def test_no_rows_and_one_row_are_fine():
    assert len(pareto.worst_first(np.empty((0, 2)))) == 0
    assert pareto.worst_first(np.array([[1.0, 2.0]])).tolist() == [0]


def test_of_equal_rows_the_front_owes_its_extent_to_the_first():
    Y = np.array([[2.0, 2.0], [1.0, 3.0], [2.0, 2.0], [3.0, 1.0], [1.0, 3.0], [4.0, 4.0], [np.nan, 0.0]])
    assert pareto.first_of_front(Y).tolist() == [True, True, False, True, False, False, False]
    assert pareto.first_of_front(np.empty((0, 2))).shape == (0,)


def test_the_largest_losses_have_crowding_distances_too():
    Y = STAIRS - 2
    with np.errstate(all="raise"):
        found = pareto.crowding(8e307 * Y, np.zeros(4, dtype=int))
    assert found == pytest.approx(pareto.crowding(Y, np.zeros(4, dtype=int)))
    assert pareto.shrunk(Y) is Y
