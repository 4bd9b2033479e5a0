"""Repeats: intervals that hold as often as they say, noise, and trials of one configuration found again."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from raytune_hpo.analysis.repeats import by_config, estimate, noise_among, pooled_sd, vary
from tests.faces.studies import done, failed, results_of

NUM_SEARCHED, TOP, REPEATS = 100, 5, 10
TIMES = 2_000
EXPECTED_LUCK = 2.5076  # the mean of the largest of 100 standard normal numbers


def test_the_interval_is_students():
    values = [1.0, 2.0, 4.0, 4.5]
    found = estimate(values)
    expected = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert found.interval == pytest.approx(expected)
    assert (found.mean, found.n) == (pytest.approx(2.875), 4)
    assert found.sd == pytest.approx(np.std(values, ddof=1))


def test_intervals_that_hold_together_are_wider():
    values = [1.0, 2.0, 4.0, 4.5]
    expected = stats.t.interval(1 - 0.05 / 5, 3, loc=np.mean(values), scale=stats.sem(values))
    assert estimate(values, k=5).interval == pytest.approx(expected)


@pytest.mark.parametrize("unit", [1e308 / 4.5, 1e-300])
def test_values_of_any_size_have_an_estimate(unit):
    values = [1.0, 2.0, 4.0, 4.5]
    found, expected = estimate([unit * value for value in values]), estimate(values)
    assert (found.mean, found.sd) == pytest.approx((unit * expected.mean, unit * expected.sd), rel=1e-12)
    assert pooled_sd([[unit, 3 * unit], [unit, 2 * unit]]) == pytest.approx(unit * pooled_sd([[1, 3], [1, 2]]))


@pytest.mark.parametrize(("values", "sd"), [([], None), ([0.5], None), ([0.5, 0.5], 0.0), ([1.0, math.inf], None)])
def test_there_is_no_interval_where_nothing_can_be_told(values, sd):
    found = estimate(values)
    assert found.interval is None and found.sd == sd and found.n == len(values)
    assert math.isnan(found.mean) is (not values)


def test_rounding_is_not_noise():
    assert not vary([0.1 + 0.2, 0.3])
    assert vary([0.3, 0.3001])
    assert estimate([0.1 + 0.2, 0.3, 0.3]).sd == 0.0


def test_the_noise_is_pooled_by_degrees_of_freedom():
    rng = np.random.default_rng(1)
    samples = [rng.normal(center, 2.0, size=n) for center, n in ((0, 400), (100, 300), (-50, 2))]
    assert pooled_sd(samples) == pytest.approx(2.0, rel=0.06)
    assert pooled_sd([[1.0, 3.0], [5.0]]) == pytest.approx(math.sqrt(2.0))
    assert pooled_sd([[1.0], []]) is None


def test_trials_of_one_configuration_are_found_whatever_they_hold():
    nested = {"model": {"kind": "svm", "C": 0.1}, "list": [1, 2]}
    turned = {"list": [1, 2], "model": {"C": 0.1, "kind": "svm"}}
    results = results_of(done(0.5, nested), done(0.1, {"x": 1}), failed(), done(0.7, turned))
    assert [[trial.number for trial in group] for group in by_config(results)] == [[0, 3], [1]]


def test_a_search_that_tries_points_again_shows_its_noise():
    same = {"x": 0.5}
    noise = noise_among(results_of(done(1.0, same), done(3.0, same), done(9.0, {"x": 0.1}), failed()), "loss")
    assert (noise.num_repeated, noise.num_differing, noise.sd) == (1, 1, pytest.approx(math.sqrt(2)))
    assert noise_among(results_of(done(1.0, same), done(9.0, {"x": 0.1})), "loss") is None
    calm = noise_among(results_of(done(1.0, same), done(1.0, same)), "loss")
    assert (calm.num_differing, calm.sd) == (0, 0.0)


def picked(rng, truths, sds, k):
    """One search and its confirmation: the interval of the picked candidate, its truth, and the optimism."""
    searched = rng.normal(truths, sds)
    top = np.argsort(searched)[:TOP]
    samples = [rng.normal(truths[i], sds[i], size=REPEATS) for i in top]
    estimates = [estimate(values, k=k) for values in samples]
    best = min(range(TOP), key=lambda index: estimates[index].mean)
    return estimates[best].interval, truths[top[best]], np.mean(samples[0]) - searched[top[0]]


def coverage(make_truths, make_sds, k, seed):
    rng = np.random.default_rng(seed)
    held, optimism = 0, 0.0
    for _ in range(TIMES):
        (low, high), truth, found = picked(rng, make_truths(rng), make_sds(rng), k)
        held += low <= truth <= high
        optimism += found
    return held / TIMES, optimism / TIMES


def flat(value):
    return lambda rng: np.full(NUM_SEARCHED, value)


@pytest.mark.parametrize(
    ("make_truths", "make_sds"),
    [
        (flat(0.0), flat(1.0)),  # nothing to find: all that the search found is luck
        (lambda rng: rng.normal(0, 0.5, NUM_SEARCHED), flat(1.0)),
        (lambda rng: rng.normal(0, 2.0, NUM_SEARCHED), flat(1.0)),
        (lambda rng: rng.normal(0, 0.5, NUM_SEARCHED), lambda rng: rng.uniform(0.5, 2.0, NUM_SEARCHED)),
    ],
)
def test_the_interval_of_the_picked_one_holds_as_often_as_it_says(make_truths, make_sds):
    share, _ = coverage(make_truths, make_sds, TOP, seed=1)
    margin = 3 * math.sqrt(0.95 * 0.05 / TIMES)
    assert share >= 0.95 - margin
    assert share <= 0.998  # an interval that always holds says nothing


def test_the_interval_of_one_mean_holds_less_often_for_the_one_that_was_picked():
    share, _ = coverage(flat(0.0), flat(1.0), 1, seed=2)
    assert share < 0.92


def test_the_optimism_of_a_search_has_the_size_that_luck_has():
    _, alike = coverage(flat(0.0), flat(1.0), TOP, seed=3)
    assert alike == pytest.approx(EXPECTED_LUCK, abs=0.05)
    _, doubled = coverage(flat(5.0), flat(2.0), TOP, seed=4)
    assert doubled == pytest.approx(2 * EXPECTED_LUCK, abs=0.1)
    _, clear = coverage(lambda rng: rng.normal(0, 10.0, NUM_SEARCHED), flat(0.1), TOP, seed=5)
    assert 0 <= clear < 0.1  # where configurations differ much more than noise, the best is hardly lucky
