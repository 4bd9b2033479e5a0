import numpy as np
import pytest

from raytune_hpo.numerics.boxes import open_boxes
from raytune_hpo.numerics.hypervolume import hypervolume


@pytest.mark.parametrize("m", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("num", [0, 1, 8])
@pytest.mark.parametrize("has_ties", [False, True])
def test_boxes_tile_what_the_front_leaves_open(m, num, has_ties):
    rng = np.random.default_rng([m, num])
    Y, r = rng.random((num, m)), np.full(m, 0.9)
    Y = np.round(4 * Y) / 4 if has_ties else Y
    boxes = open_boxes(Y, r)
    volume = np.prod(boxes.upper - np.maximum(boxes.lower, 0.0), axis=1).sum()
    assert volume + hypervolume(Y, r) == pytest.approx(0.9**m, abs=1e-12)
    P = rng.random((2000, m)) * 0.9
    covered = ((P[:, None, :] >= boxes.lower) & (P[:, None, :] < boxes.upper)).all(axis=2).sum(axis=1)
    is_dominated = (P[:, None, :] >= Y).all(axis=2).any(axis=1)
    assert (covered == ~is_dominated).all()


def test_two_goals_have_a_strip_between_each_two_points():
    assert len(open_boxes(np.array([[0.0, 2.0], [1.0, 1.0], [1.0, 1.0], [2.0, 2.0]]), np.full(2, 3.0)).lower) == 3
