"""Bandits against hand-made examples, and how long trials take."""

from __future__ import annotations

import numpy as np
import pytest

from raytune_hpo.numerics import bandits, duration_model, penalties
from raytune_hpo.numerics.axes import Axis, Kind

REAL, CHOICE = Axis(Kind.REAL), Axis(Kind.NOMINAL, np.array([0.25, 0.75]))


def test_softmax_prefers_gains_and_survives_large_ones():
    np.testing.assert_allclose(bandits.softmax(np.log([1.0, 2.0, 5.0]), 1.0), [1 / 8, 2 / 8, 5 / 8])
    np.testing.assert_allclose(bandits.softmax(np.array([1e6, 1e6 - 1]), 1.0), [np.e / (1 + np.e), 1 / (1 + np.e)])


def test_greedy_tries_what_it_has_not_seen_and_shares_between_equals():
    np.testing.assert_allclose(bandits.greedy(np.array([0.1, 0.9, 0.5]), 0.3), [0.1, 0.8, 0.1])
    np.testing.assert_allclose(bandits.greedy(np.array([0.1, np.nan, 0.9, np.nan]), 0.0), [0, 0.5, 0, 0.5])


def test_epsilons_fall_to_a_tenth():
    assert [bandits.falling_epsilon(t, 2) for t in (0, 9, 10, 20, 500)] == [1.0, 1.0, 0.9, 0.8, 0.1]
    assert [bandits.epsilon_of_hours(h) for h in (0, 3, 1000)] == [1.0, 0.5, 0.1]


def test_sequential_knock_out_drops_the_worst_arm_of_each_round_and_keeps_two():
    arms = np.tile(np.arange(4), 10)
    rewards = np.array([0.5, 0.1, 0.9, 0.6])[arms]
    assert bandits.survivors(rewards[:39], arms[:39], 4).tolist() == [0, 1, 2, 3]  # the round is not over
    assert bandits.survivors(rewards, arms, 4).tolist() == [0, 2, 3]
    later = np.tile([0, 2, 3], 10)
    both = np.concatenate([arms, later]), np.concatenate([rewards, np.array([0.2, 0, 0.9, 0.6])[later]])
    assert bandits.survivors(both[1], both[0], 4).tolist() == [2, 3]
    forever = np.tile([2, 3], 100)
    assert len(bandits.survivors(np.concatenate([both[1], forever / 10]), np.concatenate([both[0], forever]), 4)) == 2


def test_good_losses_bring_much_whatever_their_units():
    errors = np.array([0.01, 0.2, 0.5])
    np.testing.assert_allclose(bandits.goodness(errors, errors), [0.99, 0.8, 0.5])
    np.testing.assert_allclose(bandits.goodness(-np.array([0.99, 0.5]), np.array([-0.9, -0.5])), [0.99, 0.5])
    for unit in (1.0, 1e-12):
        told, expected = unit * np.array([10.0, 20.0, 30.0, 40.0]), unit * np.array([5.0, 20.0, 99.0])
        np.testing.assert_allclose(bandits.goodness(expected, told), [1.0, 0.625, 0.0])
    np.testing.assert_allclose(bandits.log_goodness(np.array([0.9, 0.999, 1.0])), [1, 3, 5])


def test_one_strange_expectation_does_not_change_what_the_others_bring():
    errors = np.array([0.01, 0.03, 0.2])
    np.testing.assert_allclose(bandits.goodness(np.array([np.nan, 0.02, -0.001]), errors), [0.0, 0.98, 1.0])
    np.testing.assert_allclose(bandits.goodness(-np.array([0.9, 1.2]), -errors), [0.9, 1.0])
    np.testing.assert_allclose(bandits.goodness(np.array([np.nan, 5.0]), 100 * errors), [0.0, 1 / 3])


def test_means_of_arms_that_had_no_turn_are_not_known():
    np.testing.assert_allclose(bandits.means(np.array([1.0, 3.0]), np.array([0, 0]), 2), [2.0, np.nan])


# ------------------------------------------------------------------------------------------------ duration_model


@pytest.mark.parametrize("shape", ["linear", "steps"])
def test_the_better_of_two_models_of_duration_model_is_taken(shape):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.random(120), np.where(rng.random(120) < 0.5, 0.25, 0.75)])
    if shape == "linear":
        t = 60 + 100 * X[:, 0]
    else:
        t = np.where(X[:, 0] > 0.5, 10.0, 100.0) + np.where(X[:, 1] > 0.5, 300.0, 0.0)
    model = duration_model.fit_durations([REAL, CHOICE], X[:80], t[:80], rng)
    error = np.abs(model(X[80:]) - t[80:]).mean()
    assert error < 0.1 * np.abs(t[80:] - t[:80].mean()).mean()


def test_nothing_takes_less_than_no_time():
    X = np.linspace(0.4, 0.6, 20)[:, None]
    model = duration_model.fit_durations([REAL], X, 100 * (X[:, 0] - 0.4), np.random.default_rng(0))
    assert (model(np.array([[0.0], [np.nan]])) >= 0).all()


def test_penalties_prefer_the_quick_among_equals():
    promise, seconds = np.array([1.0, 1.0, 0.0]), np.array([100.0, 10.0, 1.0])
    for penalised, weight in penalties.PENALTIES.values():
        order = np.argsort(-penalised(promise, seconds, weight), kind="stable")
        assert order[0] == 1 or weight == 10.0, penalised
    assert penalties.linear(promise, seconds, 0.1).argmax() == 1
    assert penalties.top_k(promise, seconds, 2).argmax() == 1
    assert penalties.top_k(promise, seconds, 1).tolist().index(1.0) == 0  # only one: the first of the equals
    assert np.isfinite(penalties.per_second(np.array([-np.inf, -3.0, -2.0]), seconds, 10.0)).all()
