"""BOHB: a density of good trials at the largest budget that enough came to, and the scheduler that it brings."""

from __future__ import annotations

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo import testing
from raytune_hpo.core.asking import ask
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.numerics.axes import Kind
from raytune_hpo.rng import derive
from raytune_hpo.samplers import BOHB
from raytune_hpo.samplers.bohb import _deviation
from raytune_hpo.space import Choice, Float, Space
from raytune_hpo.testing.trials import SEED, finish, report, start

SPACE = Space({"x": Float(0, 1), "c": Choice(["a", "b", "c"])})


def told(num_short, num_long, **options):
    """A sampler that has heard of trials whose early loss is best at x = 0.9, and whose later one at 0.2."""
    sampler = BOHB(max_steps=27, **options).bind(SPACE, testing.GOALS, SEED)
    for number, config in enumerate(SPACE.sample(num_short + num_long, derive(0, "some"))):
        trial = report(start(number, config), 1, (config["x"] - 0.9) ** 2)
        if number < num_long:
            trial = report(trial, 3, (config["x"] - 0.2) ** 2)
        sampler.tell(finish(trial, status=Status.PRUNED))
    return sampler, num_short + num_long


def suggested(sampler, number, n=20):
    return np.array([ask(sampler, number, (), seed).config["x"] for seed in range(n)])


def test_it_learns_from_the_largest_budget_that_enough_trials_came_to():
    few, many = (suggested(*told(40, num_long, random_share=0.0)) for num_long in (3, 4))
    assert np.abs(few - 0.9).mean() < 0.2, "three at step 3 are no more than there are parameters and one"
    assert few.mean() - many.mean() > 0.2, "four are enough: what is best at step 3 counts"
    assert np.abs(suggested(*told(20, 40, random_share=0.0)) - 0.2).mean() < 0.15


def test_a_third_of_the_suggestions_are_draws():
    drawn = suggested(*told(40, 40), n=150)
    assert 0.15 < (np.abs(drawn - 0.2) > 0.35).mean() < 0.35  # of a third that is drawn, 55 % lie so far away


def test_the_first_suggestions_are_an_even_design():
    sampler = BOHB(max_steps=27, random_share=0.0).bind(SPACE, testing.GOALS, SEED)
    assert sampler.initial() == 5


def test_failed_trials_are_bad():
    sampler, number = told(0, 30, random_share=0.0)
    before = suggested(sampler, number)
    for i in range(30):
        sampler.tell(finish(start(number + i, {"x": 0.15 + i / 300, "c": "a"}), status=Status.FAILED))
    assert np.abs(suggested(sampler, number + 30) - 0.2).mean() > np.abs(before - 0.2).mean()


def test_the_deviation_of_two_options_is_that_of_0_and_1():
    x = np.array([0.25] * 3 + [0.75] * 5)
    assert _deviation(x, True) == pytest.approx((x > 0.5).std())
    assert _deviation(x, False) == pytest.approx(x.std())
    assert _deviation(x[:0], False) == 1.0


def test_densities_have_kernels_at_least_as_wide_as_the_least():
    sampler = BOHB(max_steps=27, min_bandwidth=0.01).bind(SPACE, testing.GOALS, SEED)
    density = sampler._density(np.array([[0.5, 1 / 6]] * 4), 3.0)
    np.testing.assert_allclose(density.widths, [0.03, 0.03])
    assert sampler._cube.axes[1].kind is Kind.NOMINAL


def test_it_brings_hyperband_that_promotes():
    study = hpo.Study(
        SPACE, metric="loss", sampler={"name": "bohb", "max_steps": 27, "eta": 3}, storage="memory", seed=0
    )
    seen = set()
    for _ in range(60):
        trial = study.ask()
        seen.add((trial.number, trial.attempt))
        for step in range((trial.last_step or 0) + 1, 28):
            if study.report(trial, step, {"loss": trial.config["x"] + 1 / step}) != "continue":
                break
    assert any(attempt > 1 for _, attempt in seen), "trials pause, and the best of them go on"
    assert study.results().num_by_status["paused"] > 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "bohb needs max_steps, the last step of a trial"),
        (
            {"max_steps": 3, "min_steps": 3},
            "bohb needs a whole number max_steps >= 4, got max_steps=3; it is the last step",
        ),
        ({"max_steps": 9, "random_share": 2.0}, "random_share"),
        ({"max_steps": 9, "top_share": 0.0}, "top_share"),
        ({"max_steps": 9, "min_points": 0}, "min_points"),
    ],
)
def test_options_are_checked(options, said):
    with pytest.raises(SpecError, match=said):
        BOHB(**options)


def test_another_scheduler_beside_it_is_refused():
    with pytest.raises(SpecError, match="'bohb' brings the scheduler that it needs"):
        hpo.Study(SPACE, metric="loss", sampler={"name": "bohb", "max_steps": 9}, scheduler="median", storage="memory")
