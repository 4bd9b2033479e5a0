import numpy as np
import pytest

from raytune_hpo.numerics.acquisition import log_expected_improvement
from raytune_hpo.numerics.boxes import open_boxes
from raytune_hpo.numerics.hypervolume import hypervolume
from raytune_hpo.numerics.hypervolume_improvement import log_improvement, log_improvement_and_slopes


def case(m, num=6):
    rng = np.random.default_rng(m)
    Y, r = rng.random((num, m)), np.ones(m)
    mean, sd = 0.2 + 0.6 * rng.random((4, m)), 0.05 + 0.3 * rng.random((4, m))
    return Y, r, mean, sd


def test_for_one_goal_it_is_the_expected_improvement():
    Y, r, mean, sd = case(1)
    expected = log_expected_improvement(mean[:, 0], sd[:, 0], float(Y.min()))
    assert log_improvement(mean, sd, open_boxes(Y, r)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("m", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_it_is_the_mean_of_what_draws_add(m):
    Y, r, mean, sd = case(m)
    before, rng = hypervolume(Y, r), np.random.default_rng(0)
    log = log_improvement(mean, sd, open_boxes(Y, r))
    for i in range(len(mean)):
        draws = mean[i] + sd[i] * rng.standard_normal((4000, m))
        added = [hypervolume(np.vstack([Y, y]), r) - before for y in draws]
        assert np.exp(log[i]) == pytest.approx(np.mean(added), abs=3.5 * np.std(added) / 4000**0.5)


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_slopes_are_those_of_differences(m):
    Y, r, mean, sd = case(m)
    boxes, step = open_boxes(Y, r), 1e-6
    value, by_mean, by_sd = log_improvement_and_slopes(mean, sd, boxes)
    assert value == pytest.approx(log_improvement(mean, sd, boxes), rel=1e-12)
    for j in range(m):
        e = step * (np.arange(m) == j)
        rise = log_improvement(mean + e, sd, boxes) - log_improvement(mean - e, sd, boxes)
        assert by_mean[:, j] == pytest.approx(rise / (2 * step), rel=1e-5, abs=1e-6)
        rise = log_improvement(mean, sd + e, boxes) - log_improvement(mean, sd - e, boxes)
        assert by_sd[:, j] == pytest.approx(rise / (2 * step), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("m", [2, 3])
def test_far_away_there_is_a_value_and_a_slope_still(m):
    Y, r, _, _ = case(m)
    value, by_mean, by_sd = log_improvement_and_slopes(np.full((1, m), 60.0), np.full((1, m), 0.1), open_boxes(Y, r))
    assert np.isfinite([value, *by_mean.T, *by_sd.T]).all()
    assert value[0] < -1e4
    assert (by_mean < 0).all()


@pytest.mark.parametrize("m", [2, 3])
def test_another_unit_of_a_loss_shifts_all_logarithms_alike(m):
    Y, r, mean, sd = case(m)
    scale, shift = np.array([1e4, 1e-3, 2.0])[:m], np.array([-1e5, 3.0, 0.0])[:m]
    before = log_improvement(mean, sd, open_boxes(Y, r))
    after = log_improvement(mean * scale + shift, sd * scale, open_boxes(Y * scale + shift, r * scale + shift))
    assert after - before == pytest.approx(np.full(len(mean), np.log(scale).sum()), abs=1e-6)
