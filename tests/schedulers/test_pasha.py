"""PASHA: rungs that are opened as long as the ranking changes."""

from __future__ import annotations

import math

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo import testing
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status, Verdict
from raytune_hpo.schedulers import PASHA
from raytune_hpo.schedulers.soft_ranking import SoftRanking, num_crossings
from tests.schedulers.played import Played

STEPS = 81


def settled_early(config, step):
    return config["x"] + 1.0 / step


def changes_late(config, step):
    """What leads at first is behind in the end; each curve turns at a time of its own, around half of the steps."""
    turned = 1.0 / (1.0 + math.exp(-(step - config["turns_at"] * STEPS / 2)))
    return (1.0 - turned) * config["x"] + turned * (1.0 - config["x"])


SPACE = {"x": hpo.uniform(0, 1), "turns_at": hpo.uniform(0, 2)}


def played(scheduler, curve, seed):
    return Played(scheduler, curve=curve, num_steps=STEPS, workers=4, num_trials=300, space=SPACE, seed=seed)


def best(study):
    return min(trial.losses[0] for trial in study.trials if trial.status is Status.COMPLETED)


@pytest.mark.parametrize("seed", [1, 2])
def test_where_the_ranking_is_settled_early_it_ends_with_three_fifths_of_the_steps_of_asha(seed):
    asha = played({"name": "asha", "promote": True, "max_steps": STEPS}, settled_early, seed)
    pasha = played({"name": "pasha", "max_steps": STEPS}, settled_early, seed)
    assert pasha.num_steps <= 0.6 * asha.num_steps
    assert best(pasha) == pytest.approx(best(asha), abs=0.001)
    assert pasha.scheduler._promotion.top == 3
    assert sum(trial.status is Status.COMPLETED for trial in pasha.trials) == 1


@pytest.mark.parametrize("seed", [1, 2])
def test_where_the_ranking_changes_around_half_of_the_steps_it_does_not_stop_short(seed):
    pasha = played({"name": "pasha", "max_steps": STEPS}, changes_late, seed)
    assert pasha.scheduler._promotion.top is None
    assert sum(trial.status is Status.COMPLETED for trial in pasha.trials) > 1


def pasha(**options):
    return testing.Race(PASHA(max_steps=27, **options).bind(testing.GOALS))


def climb(race, number, lower, upper):
    """A trial that comes to the two lowest rungs, whether it is among the best or not."""
    trial = race.observe(testing.start(number, {}))
    trial, verdict = race.report(trial, 1, lower)
    if verdict is Verdict.PAUSE:
        trial = race.observe(testing.go_on(race.observe(testing.pause(trial))))
    trial, verdict = race.report(trial, 2, upper)
    race.end(trial, upper, verdict)


def test_nobody_is_promoted_from_the_top_until_two_trials_are_out_of_order():
    race = pasha(eta=2)
    promotion = race.scheduler._promotion
    assert promotion.top == 2
    for number, (lower, upper) in enumerate([(5.0, 4.0), (4.0, 3.0), (3.0, 2.0), (2.0, 1.0)]):
        climb(race, number, lower, upper)
    assert promotion.top == 2 and race.promote(final=False) is None
    climb(race, 4, 1.0, 1.5)
    assert promotion.top == 4  # it led, and trial 3 is better now
    assert race.promote(final=False).number == 3


@pytest.mark.parametrize(("lead", "has_changed"), [(0.5, False), (1.5, True)])
def test_overtaking_within_the_noise_of_other_curves_changes_nothing(lead, has_changed):
    """Two curves that cross back and forth say how large a difference means nothing: 1 at the top."""
    ranking = SoftRanking()
    zigzag = np.array([[1.0], [-1.0], [1.0], [-1.0]])
    ranking.put(0, np.array([50.0]), np.full((4, 1), 50.0))
    ranking.put(1, np.array([50.0]), 50.0 + zigzag)
    ranking.put(2, np.array([10.0]), np.full((4, 1), 10.0))
    ranking.put(3, np.array([10.0 + lead]), np.array([[12.0], [12.0], [12.0], [9.9]]))
    assert ranking.has_changed() is has_changed


def test_a_trial_that_comes_again_replaces_what_it_was():
    ranking = SoftRanking()
    flat = np.ones((4, 1))
    ranking.put(0, np.array([1.0]), flat)
    ranking.put(1, np.array([2.0]), 0.5 * flat)
    assert ranking.has_changed()
    ranking.put(1, np.array([2.0]), 2 * flat)
    assert not ranking.has_changed()


def test_crossings_are_changes_of_sign():
    difference = np.array([[1, -1, 1, 0, -1], [1, np.nan, 2, 3, 0], [0, 0, 1, np.nan, -1]], dtype=float)[:, :, None]
    assert num_crossings(difference).ravel().tolist() == [3, 0, 1]


def test_reports_that_pass_over_rungs_open_them():
    race = pasha()
    promotion = race.scheduler._promotion
    trial, _ = race.report(race.observe(testing.start(0, {})), 4, 1.0)
    assert promotion.top == 9  # it enters rung 3 without having been at rung 1
    race.report(trial, 8, 1.0)
    assert promotion.top == 9


@pytest.mark.parametrize(
    ("options", "said"),
    [({}, "pasha needs max_steps"), ({"max_steps": 1}, "max_steps >= 2"), ({"max_steps": 9, "eta": 1}, "eta >= 2")],
)
def test_options_that_cannot_be_are_refused(options, said):
    with pytest.raises(SpecError, match=said):
        PASHA(**options)


@pytest.mark.filterwarnings("error")
def test_orders_of_losses_as_large_as_floats_are_compared():
    ranking = SoftRanking()
    for number, (below, end) in enumerate([(-1.7e308, 1.7e308), (1.7e308, -1.7e308)]):
        ranking.put(number, np.array([below]), np.array([[np.nan], [below], [end]]))
    assert ranking.has_changed()
