import math
from itertools import combinations

import numpy as np
import pytest

from raytune_hpo.numerics.hypervolume import hypervolume, largest_subset, reference_of


def test_no_point_has_no_volume():
    assert hypervolume(np.empty((0, 3)), np.ones(3)) == 0
    assert hypervolume(np.array([[1.0, 0.0], [np.nan, 0.0]]), np.ones(2)) == 0


@pytest.mark.parametrize(
    ("front", "reference", "volume"),
    [
        (lambda x: 1 - np.sqrt(x), 1.1, 1.1**2 - 1 / 3),  # ZDT1 and ZDT4
        (lambda x: 1 - np.sqrt(x), 11, 11**2 - 1 / 3),
        (lambda x: 1 - x**2, 1.1, 1.1**2 - 2 / 3),  # ZDT2
        (lambda x: 1 - x**2, 11, 11**2 - 2 / 3),
        (lambda x: np.sqrt(1 - np.minimum(x, 1) ** 2), 1.1, 1.1**2 - math.pi / 4),  # DTLZ2, two goals
    ],
)
def test_two_goals_have_the_volume_of_the_closed_form(front, reference, volume):
    # Between the sums of the lower and of the upper staircase, whose mean is off by the second derivative only.
    n = 20001
    x = np.linspace(0, 1, n)
    upper = hypervolume(np.column_stack([x, front(x)]), np.full(2, reference))
    steps = np.diff(x) @ (front(x)[:-1] - front(x)[1:])
    assert upper + steps / 2 == pytest.approx(volume, abs=1e-6)


def test_the_front_of_zdt3_is_in_five_pieces():
    x = np.linspace(0, 1, 100001)
    y = 1 - np.sqrt(x) - x * np.sin(10 * np.pi * x)
    assert hypervolume(np.column_stack([x, y]), np.array([1.1, 1.1])) == pytest.approx(1.331763, abs=1e-4)


@pytest.mark.parametrize("m", [2, 3, 4, 5])
def test_points_on_the_simplex_have_the_sum_of_their_boxes(m):
    """For the corners of DTLZ1's front, inclusion and exclusion is short enough to write down."""
    corners, r = 0.5 * np.eye(m), np.ones(m)
    by_hand = sum(
        (-1) ** (k + 1) * np.prod(1 - corners[list(some)].max(axis=0))
        for k in range(1, m + 1)
        for some in combinations(range(m), k)
    )
    assert hypervolume(corners, r) == pytest.approx(by_hand, abs=1e-12)


@pytest.mark.parametrize(("m", "n", "volume"), [(3, 40, 1.1**3 - math.pi / 6), (4, 9, 1.1**4 - math.pi**2 / 32)])
def test_a_dense_sphere_comes_near_the_closed_form_from_below(m, n, volume):
    angles = np.linspace(0, math.pi / 2, n)
    grid = np.stack(np.meshgrid(*[angles] * (m - 1), indexing="ij"), axis=-1).reshape(-1, m - 1)
    Y = np.ones((len(grid), m))
    for j in range(m - 1):
        Y[:, j] *= np.prod(np.cos(grid[:, : m - 1 - j]), axis=1)
        if j:
            Y[:, j] *= np.sin(grid[:, m - 1 - j])
    Y[:, m - 1] = np.sin(grid[:, 0])
    found = hypervolume(Y, np.full(m, 1.1))
    assert 0.85 * volume < found < volume


@pytest.mark.parametrize("m", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("has_ties", [False, True])
def test_random_fronts_have_the_share_of_points_that_they_dominate(m, has_ties):
    rng = np.random.default_rng(m)
    Y, r = rng.random((9, m)), np.full(m, 0.9)
    Y = np.round(4 * Y) / 4 if has_ties else Y
    P = rng.random((100_000, m)) * 0.9
    share = (Y[:, None, :] <= P).all(axis=2).any(axis=0).mean()
    assert hypervolume(Y, r) == pytest.approx(share * 0.9**m, abs=0.006)


@pytest.mark.parametrize("m", [2, 3, 4])
def test_the_volume_scales_with_the_units_of_each_loss(m):
    rng = np.random.default_rng(m)
    Y, scale, shift = rng.random((20, m)), np.array([1e3, 1e-4, 7.0, 0.5])[:m], np.array([1e6, -5.0, 0.0, 3.0])[:m]
    moved = hypervolume(Y * scale + shift, scale + shift)
    assert moved == pytest.approx(hypervolume(Y, np.ones(m)) * scale.prod(), rel=1e-6)


@pytest.mark.parametrize("m", [2, 3])
def test_a_subset_is_that_of_plain_greed(m):
    Y, r, chosen = np.random.default_rng(m).random((30, m)), np.full(m, 1.1), []
    for _ in range(8):
        volumes = [-1.0 if i in chosen else hypervolume(Y[[*chosen, i]], r) for i in range(len(Y))]
        chosen.append(int(np.argmax(volumes)))
    assert largest_subset(Y, r, 8).tolist() == chosen


def test_a_subset_of_more_than_counts_takes_the_others_last():
    Y = np.array([[2.0, 2.0], [0.0, 0.5], [0.5, 0.0]])
    assert set(largest_subset(Y, np.ones(2), 3).tolist()[:2]) == {1, 2}


def test_a_reference_lies_a_tenth_beyond_the_front():
    assert reference_of(np.array([[0.0, 5.0], [2.0, 1.0]])) == pytest.approx([2.2, 5.4])
    assert reference_of(np.array([[-30.0, 0.0]])) == pytest.approx([-27.0, 0.1])


@pytest.mark.parametrize("m", [2, 3, 4])
def test_a_volume_beyond_the_range_of_floats_is_infinite(m):
    Y = 1e200 * np.random.default_rng(0).random((9, m))
    with np.errstate(all="raise"):
        assert hypervolume(Y, np.full(m, 2e200)) == math.inf
        assert np.isinf(reference_of(1.7e308 * np.array([[-1.0, 1.0], [1.0, -1.0]]))).all()
