"""Curves continued to their end."""

import numpy as np
import pytest

from raytune_hpo import testing
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status, Verdict
from raytune_hpo.numerics.curve_extrapolation import probability_below
from raytune_hpo.schedulers import Extrapolation

E = 50


def curve(limit, rng, power=0.7, noise=0.01):
    steps = np.arange(1, E + 1)
    return limit + 0.8 * steps**-power + noise * rng.standard_normal(E)


def test_probabilities_are_about_as_often_right_as_they_say():
    """Over power laws of all kinds, of the values said to be exceeded with 90 % about so many are."""
    rng, inside, total = np.random.default_rng(0), 0, 0
    steps = np.arange(1, 21, dtype=float)
    for _ in range(200):
        limit, power = rng.random(), rng.uniform(0.2, 1.5)
        seen = limit + 0.8 * steps**-power + 0.01 * rng.standard_normal(20)
        end = limit + 0.8 * E**-power
        inside += 0.05 < probability_below(steps, seen, E, end) < 0.95
        total += 1
    assert 0.8 < inside / total <= 1.0


def test_the_further_a_value_is_below_the_less_probable_it_is():
    rng = np.random.default_rng(1)
    steps, seen = np.arange(1, 16, dtype=float), curve(0.3, rng)[:15]
    found = [probability_below(steps, seen, E, value) for value in (-1.0, 0.2, 0.35, 0.5, 2.0)]
    assert found == sorted(found) and found[0] < 0.01 and found[-1] > 0.99
    flat = [probability_below(steps, np.full(15, 0.5), E, value) for value in (0.4, 0.5, 0.6)]
    assert flat == [0.0, 0.5, 1.0]


def test_of_equal_flat_curves_none_is_stopped():
    assert not testing.race(Extrapolation(max_steps=27).bind(testing.GOALS), [[0.1] * 27] * 12).stopped


def test_what_gains_speed_is_not_given_up():
    """A recorded validation error, at steps 1 to 4 and 50: by what it did at first it goes nowhere."""
    steps, seen = np.arange(1, 5, dtype=float), np.array([0.7256, 0.7019, 0.6778, 0.6511])
    assert probability_below(steps, seen, E, 0.4354) > 0.2  # it came to 0.4154
    assert probability_below(steps, seen, E, -1.0) < 0.05


def test_hopeless_curves_are_given_up_and_promising_ones_are_not():
    rng = np.random.default_rng(2)
    scheduler = Extrapolation(max_steps=E).bind(testing.GOALS)
    best = curve(0.2, rng)
    done = testing.start(0, {})
    for step, loss in enumerate(best, start=1):
        done = testing.report(done, step, float(loss))
    scheduler.observe(testing.finish(done, {"loss": float(best[-1])}))

    def stopped_at(losses):
        trial = testing.start(1, {})
        for step, loss in enumerate(losses, start=1):
            due, trial = scheduler.next_step(trial), testing.report(trial, step, float(loss))
            if scheduler.judge(trial) is Verdict.STOP:
                assert due is not None and due <= step
                return step
            scheduler.observe(trial)
        return None

    hopeless = [stopped_at(curve(0.8, rng)) for _ in range(20)]
    promising = [stopped_at(curve(0.1, rng)) for _ in range(20)]
    assert all(step is not None and step < 0.7 * E for step in hopeless)
    assert promising.count(None) >= 18


def test_what_others_are_by_now_is_enough_to_know_better():
    """With many workers nobody waits for the first to end; but whoever has failed or was stopped is no standard."""
    rng = np.random.default_rng(3)

    def is_stopped(others_status):
        scheduler = Extrapolation(max_steps=E).bind(testing.GOALS)
        other, trial = testing.start(0, {}), testing.start(1, {})
        for step, loss in enumerate(curve(0.2, rng)[:20], start=1):
            other = testing.report(other, step, float(loss))
            scheduler.observe(other)
        if others_status is not Status.RUNNING:
            scheduler.observe(testing.finish(other, {"loss": 0.3}, status=others_status))
        for step, loss in enumerate(curve(0.8, rng)[:20], start=1):
            trial = testing.report(trial, step, float(loss))
            if scheduler.judge(trial) is Verdict.STOP:
                return True
            scheduler.observe(trial)
        return False

    assert is_stopped(Status.RUNNING) and is_stopped(Status.COMPLETED)
    assert not is_stopped(Status.FAILED) and not is_stopped(Status.PRUNED)


def test_alone_nobody_is_stopped():
    scheduler = Extrapolation(max_steps=E).bind(testing.GOALS)
    trial = testing.start(0, {})
    for step in range(1, E):
        trial = testing.report(trial, step, 9.0 + 1 / step)
        assert scheduler.judge(trial) is Verdict.CONTINUE
        scheduler.observe(trial)


@pytest.mark.parametrize(
    "options, said",
    [
        ({}, "needs max_steps"),
        ({"max_steps": 9, "probability": 0}, "0 < probability < 1"),
        ({"max_steps": 9, "min_reports": 2}, "min_reports >= 3"),
        ({"max_steps": 9, "every": 0}, "every >= 1"),
    ],
)
def test_options_that_cannot_be_are_refused(options, said):
    with pytest.raises(SpecError, match=said):
        Extrapolation(**options)


def test_curves_of_huge_losses_are_extrapolated_like_any_others():
    steps, seen = np.arange(1.0, 7.0), np.array([1.0, 0.2, 0.1, -0.3, -0.6, -1.0])
    for value in (-1.0, -0.7, 0.5):
        assert probability_below(steps, seen * 2.0**1023, E, value * 2.0**1023) == probability_below(
            steps, seen, E, value
        )
