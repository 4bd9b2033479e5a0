"""What samplers make of priors: a good start where they are right, and no lasting harm where they are wrong."""

from __future__ import annotations

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo.samplers import CMAES, DE, GP, NSGA2, RF, TPE, Auto, Evolution, Random, Sobol
from raytune_hpo.space import Space
from raytune_hpo.testing.trials import Loop


def space(mean=None, sd=0.1):
    prior = {} if mean is None else {"prior": hpo.Normal(mean, sd)}
    return Space({name: hpo.Float(0, 1, **prior) for name in "abcd"})


def away(config):
    """A bowl with its bottom at 0.8."""
    return sum((value - 0.8) ** 2 for value in config.values())


def regret(make, space, num, seed):
    loop = Loop.of(make, space, seed=seed)
    for _ in range(num):
        trial = loop.ask()
        loop.tell(trial, {"loss": away(trial.config)})
    return min(away(trial.config) for trial in loop.finished)


def average(make, space, num, seeds=3):
    return np.mean([regret(make, space, num, seed) for seed in range(seeds)])


@pytest.mark.parametrize("make", [Random, Sobol, GP, TPE, Auto])
def test_a_good_prior_is_a_good_start(make):
    assert average(make, space(0.8), 6) < 0.5 * average(make, space(), 6)


@pytest.mark.parametrize("make", [GP, Auto])
def test_a_prior_in_the_worst_corner_is_got_over(make):
    # Where the rounding of a processor leads it there, one seed stays at a border, 0.04 from the bottom.
    assert average(make, space(0.0), 40, seeds=6) < 0.01


def test_what_the_losses_contradict_is_believed_no_longer():
    """The worst corner, where the first trial is."""
    assert average(GP, space(0.0), 20) < 2 * average(GP, space(), 20)


def early_configs(make, space, loss, num):
    loop = Loop.of(make, space)
    for _ in range(num):
        trial = loop.ask()
        loop.tell(trial, {"loss": loss(trial.config)})
    return [trial.config for trial in loop.finished]


@pytest.mark.parametrize("make", [GP, TPE, RF, Auto, CMAES, DE, Evolution, NSGA2])
def test_the_first_trial_is_what_is_believed_best(make):
    believed = {
        "lr": hpo.Float(1e-5, 1e-1, log=True, prior=hpo.Normal(1e-3, 0.25)),
        "dropout": hpo.Float(0, 0.9, prior=hpo.Beta(2, 5)),
        "batch": hpo.Ordinal([16, 32, 64, 128], weights=[1, 4, 9, 1]),
        "optimizer": hpo.Choice(["adamw", "sgd", "adam"], weights=[5, 1, 1]),
        "depth": hpo.Int(1, 20, prior=hpo.Normal(3, 0.1)),
    }
    (first,) = early_configs(make, Space(believed), lambda config: config["dropout"], 1)
    assert first["lr"] == pytest.approx(1e-3, rel=0.01)
    assert first["dropout"] == pytest.approx(0.9 * 0.2, abs=0.001), (
        "the mode of a beta distribution is (a - 1) / (a + b - 2)"
    )
    assert (first["batch"], first["optimizer"], first["depth"]) == (64, "adamw", 3)


@pytest.mark.parametrize("make", [GP, TPE, RF, Evolution])
def test_the_even_design_follows_beliefs_as_long_as_they_lead(make):
    def near(loss):
        return sum(max(config.values()) < 0.5 for config in early_configs(make, space(0.1, 0.05), loss, 9))

    assert near(lambda config: sum(config.values())) >= 4
    assert near(lambda config: -sum(config.values())) <= 2


def test_beliefs_lead_as_long_as_the_best_trials_are_preferred():
    beliefs = Space({"x": hpo.Float(0, 1, prior=hpo.Normal(0.9, 0.2))}).beliefs
    X = np.array([[0.9], [0.1], [0.5]])
    assert beliefs.lead(X, np.array([[1.0], [2.0], [3.0]]))
    assert not beliefs.lead(X, np.array([[2.0], [1.0], [3.0]]))
    assert beliefs.lead(X, np.full((3, 1), np.nan)), "there is nothing to compare"
    assert beliefs.lead(X, np.array([[2.0], [np.nan], [3.0]])), "a trial without a loss is not the best one"
    assert beliefs.lead(X[:1], np.ones((1, 1)))
    both = np.array([[1.0, 3.0], [2.0, 1.0], [3.0, 2.0]])
    assert not beliefs.lead(X, both), "each goal has a best trial, and on average they are not preferred"


def test_losses_say_how_far_a_prior_can_be_believed():
    X, beliefs = np.linspace(0, 1, 20)[:, None], Space({"x": hpo.Float(0, 1, prior=hpo.Normal(0.9, 0.2))}).beliefs
    assert beliefs.credibility(X, -X[:, 0]) == 1
    assert beliefs.credibility(X, X[:, 0]) < 0.001
    mixed = np.random.default_rng(0).permutation(20).astype(float)
    assert 0.1 < beliefs.credibility(X, mixed) <= 1
    assert beliefs.credibility(X[:1], X[:1, 0]) == beliefs.credibility(X, np.ones(20)) == 1


def test_densities_get_over_it_too():
    assert average(TPE, space(0.0), 60) < 2 * max(average(TPE, space(), 60), 0.02)


@pytest.mark.parametrize("make", [Random, Sobol, GP, TPE, Auto])
def test_a_weight_of_nothing_is_the_study_without_priors(make):
    plain, weighed = Loop.of(make, space()), Loop.of(make, space(0.8).weighed(0))
    for _ in range(14):
        assert plain.peek() == weighed.peek()
        for loop in (plain, weighed):
            loop.tell(loop.ask())


def test_options_that_are_thought_better_come_first():
    weights = [1, 1, 1, 12]
    believed = Space(
        {
            "c": hpo.Choice(list("wxyz"), weights=weights),
            "o": hpo.Ordinal([1, 2, 3, 4], weights=weights),
            "x": hpo.Float(0, 1),
        }
    )
    for make in (Random, Sobol, GP, TPE):
        loop = Loop.of(make, believed)
        early = [loop.ask() for _ in range(12)]
        assert sum(trial.config["c"] == "z" for trial in early) >= 5
        assert sum(trial.config["o"] == 4 for trial in early) >= 4


def test_a_study_says_how_much_its_priors_weigh():
    study = hpo.Study(space(0.8), storage="memory", seed=1, prior_weight=0.0, sampler="random")
    plain = hpo.Study(space(), storage="memory", seed=1, sampler="random")
    assert [study.ask().config for _ in range(5)] == [plain.ask().config for _ in range(5)]


@pytest.mark.parametrize("weight", [5e-324, 1e18, 1e308])
def test_any_weight_will_do(weight):
    """Shares in a mixture that round to nothing, or to all, have no logarithm."""
    assert regret(TPE, space(0.8).weighed(weight), 12, seed=0) < 1.0
