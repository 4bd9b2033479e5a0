"""Learning curves of many trials, and what they say at the highest fidelity."""

from __future__ import annotations

import numpy as np
import pytest

from raytune_hpo.numerics.curves import Curves, Link, at_fidelities, expected_losses, fidelities, lifted
from raytune_hpo.numerics.transforms import half_ranked, standardised

NAN = np.nan


def curves(*trials):
    """Curves of trials, each a dict of losses by step and, where it completed, its final loss."""
    steps = [np.array(list(curve), dtype=np.int64) for curve, _ in trials]
    losses = [np.array(list(curve.values()), dtype=float).reshape(-1, 1) for curve, _ in trials]
    final = np.array([[NAN if last is None else last] for _, last in trials])
    return Curves.none(1).replaced(np.arange(len(trials)), steps, losses, final)


def test_losses_are_looked_up_at_the_last_step_that_a_trial_reported():
    some = curves(({1: 5.0, 2: 4.0, 4: 3.0}, None), ({2: 7.0}, None), ({}, 1.0), ({0: 9.0}, None))
    np.testing.assert_array_equal(some.at(3)[:, 0], [4.0, NAN, NAN, NAN])  # the second never came to step 3
    np.testing.assert_array_equal(some.at(1)[:, 0], [5.0, NAN, NAN, NAN])  # and had nothing at step 1
    np.testing.assert_array_equal(some.at(2)[:, 0], [4.0, 7.0, NAN, NAN])
    np.testing.assert_array_equal(some.last, [4, 2, -1, 0])
    np.testing.assert_array_equal(some.completed, [False, False, True, False])


def test_a_curve_that_is_replaced_leaves_the_others_and_the_former_ones_as_they_were():
    before = curves(({1: 5.0}, None), ({1: 6.0}, None))
    after = before.replaced(
        np.array([0, 2]), [np.array([1, 3]), np.array([1])], [[[5.0], [2.0]], [[8.0]]], [[NAN], [NAN]]
    )
    np.testing.assert_array_equal(after.at(1)[:, 0], [5.0, 6.0, 8.0])
    np.testing.assert_array_equal(after.at(3)[:, 0], [2.0, NAN, NAN])
    np.testing.assert_array_equal(before.at(1)[:, 0], [5.0, 6.0])
    np.testing.assert_array_equal(after.first(2).at(3)[:, 0], [2.0, NAN])


def test_the_fidelities_are_the_rungs_and_of_steps_that_lie_close_some():
    rungs = curves(*[({step: 1.0}, None) for step in (9, 1, 3, 1, 27)], ({1: 1.0, 81: 0.5}, 0.5))
    assert fidelities(rungs) == [1, 3, 9, 27]
    everywhere = curves(*[({step: 1.0}, None) for step in range(5, 50)])
    assert fidelities(everywhere) == [5, 10, 20, 40]
    values = at_fidelities(rungs)
    assert values.shape == (6, 5)
    np.testing.assert_array_equal(values[5], [1.0, 1.0, 1.0, 1.0, 0.5])


def test_a_link_is_not_misled_by_who_went_on():
    rng = np.random.default_rng(0)
    below = rng.standard_normal(600)
    above = 2.0 + 0.6 * below + 0.1 * rng.standard_normal(600)
    above[below > -0.5] = NAN  # only the best went on
    link = Link.between(below, above)
    assert abs(link(0.0) - 2.0) < 0.1
    assert abs(link.slope - 0.6) < 0.1
    assert 0.05 < link.sd < 0.2


def test_links_between_few_trials_are_cautious():
    nobody = Link.between(np.array([1.0, 2.0]), np.array([NAN, NAN]))
    assert (nobody.slope, nobody.offset) == (0.7, 0.0)
    one = Link.between(np.array([1.0, 2.0]), np.array([5.0, NAN]))
    assert one(1.0) == 5.0 and one.slope == pytest.approx(0.7)
    alike = Link.between(np.array([1.0, 1.0, 1.0]), np.array([3.0, 3.0, 3.0]))
    assert alike(1.0) == 3.0 and np.isfinite([alike.slope, alike.sd]).all()


def test_early_losses_that_mislead_count_little():
    rng = np.random.default_rng(1)
    final = rng.standard_normal(60)
    early = -final + 0.1 * rng.standard_normal(60)  # what is good early ends badly
    values = np.column_stack([early, final])
    values[30:, 1] = NAN
    assert np.corrcoef(lifted(values)[30:], final[30:])[0, 1] > 0.9


def test_expected_losses_are_in_the_units_of_the_highest_fidelity():
    def warp(y):
        return standardised(half_ranked(y))

    rng = np.random.default_rng(2)
    final = 100 + rng.random(40)
    trials = [({1: 10 * loss, 3: loss}, loss) for loss in final[:30]] + [({1: 10 * loss}, None) for loss in final[30:]]
    expected = expected_losses(curves(*trials), warp)[:, 0]
    better = final <= np.median(final)
    np.testing.assert_allclose(expected[better], final[better], atol=0.15)
    assert np.isfinite(expected).all()
    only = expected_losses(curves(({1: 7.0}, None), ({}, None)), warp)[:, 0]
    np.testing.assert_array_equal(only, [7.0, NAN])


def test_expected_losses_are_finite_however_large_the_losses_are():
    first, last = np.array([-1.0, -0.5, 0.2, 0.6, 1.0]), np.array([-1.0, -0.4, 0.3, 0.5, NAN])

    def expected(unit):
        trials = [({1: unit * a}, None if np.isnan(b) else unit * b) for a, b in zip(first, last, strict=True)]
        some = curves(*trials)
        with np.errstate(over="raise", invalid="raise"):
            return expected_losses(some, lambda y: standardised(half_ranked(y)))[:, 0]

    np.testing.assert_allclose(expected(2.0**1000) / 2.0**1000, expected(1.0))
    huge = expected(1.7e308)
    assert np.isfinite(huge).all()
    np.testing.assert_allclose(huge[:2] / 1.7e308, last[:2])
    with np.errstate(over="raise", invalid="raise"):
        equal = expected_losses(
            curves(({1: 5e-320}, 5e-320), ({1: 5e-320}, None)), lambda y: standardised(half_ranked(y))
        )
    np.testing.assert_array_equal(equal, 5e-320)
