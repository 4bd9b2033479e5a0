import numpy as np
import pytest

from raytune_hpo.numerics.reference_directions import nearest_directions, normalised, simplex_lattice


@pytest.mark.parametrize(("m", "least", "size"), [(1, 16, 1), (2, 16, 16), (3, 16, 21), (3, 91, 91), (5, 210, 210)])
def test_directions_are_those_of_the_smallest_lattice(m, least, size):
    W = simplex_lattice(m, least)
    assert W.shape == (size, m)
    assert W.sum(axis=1) == pytest.approx(np.ones(size))
    assert len(np.unique(W.round(9), axis=0)) == size


def test_the_plane_through_the_extreme_points_lies_at_one():
    front = np.array([[4.0, 1.0], [2.0, 3.0], [2.5, 1.8]]) * [10, 1] + [5, 5]
    assert normalised(front, front)[:2] == pytest.approx(np.eye(2), abs=1e-9)


def test_a_front_that_spans_no_plane_goes_to_its_worst():
    front = np.array([[1.0, 2.0, 3.0]])
    assert normalised(front + 1, front).tolist() == [[1.0, 1.0, 1.0]]


def test_the_nearest_direction_is_the_one_of_the_smallest_angle():
    nearest, distance = nearest_directions(np.array([[2.0, 0.1], [1.0, 1.0]]), np.array([[1.0, 0.0], [0.5, 0.5]]))
    assert nearest.tolist() == [0, 1]
    assert distance == pytest.approx([0.1, 0.0], abs=1e-6)


def test_the_nearest_direction_does_not_depend_on_how_large_losses_are():
    Y, W = np.random.default_rng(1).random((20, 3)), simplex_lattice(3, 16)
    nearest, distance = nearest_directions(Y, W)
    for times in (1e-200, 1e200):
        found, far = nearest_directions(times * Y, W)
        assert (found == nearest).all()
        np.testing.assert_allclose(far, times * distance)


def test_normalised_losses_have_no_unit():
    front = np.array([[-1.0, 1.0], [0.0, 0.5], [1.0, -1.0]])
    for times in (1e-200, 1e200, 1.7e308):
        assert normalised(times * front, times * front) == pytest.approx(normalised(front, front))


def test_the_largest_losses_are_normalised_as_small_ones_are():
    Y = np.array([[-1.0, 1.0], [-0.5, -0.2], [1.0, -1.0], [1.0, 1.0]])
    with np.errstate(over="raise", invalid="raise"):
        assert normalised(1.7e308 * Y, 1.7e308 * Y[:3]) == pytest.approx(normalised(Y, Y[:3]))
