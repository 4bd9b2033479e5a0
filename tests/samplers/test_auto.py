"""The default sampler: whose turn it is, and that its parts learn from each other's trials."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from raytune_hpo import registry
from raytune_hpo.cluster.environment import optimizer_needs
from raytune_hpo.facts import Status
from raytune_hpo.goals import make_goals
from raytune_hpo.rng import derive
from raytune_hpo.runtime.settings import Settings
from raytune_hpo.samplers import GP, TPE, Auto, Hyperopt, Random
from raytune_hpo.samplers.auto import ARM
from raytune_hpo.space import Choice, Float, Int, Ordinal, Space
from raytune_hpo.testing.trials import Loop, finish, start

MIXED = Space(
    {
        "lr": Float(1e-5, 1, log=True),
        "width": Int(8, 512, log=True),
        "act": Choice(["relu", "tanh", "gelu"]),
        "batch": Ordinal([16, 32, 64, 128]),
    }
)
BRANCHES = Space(
    {
        "model": Choice(
            [
                {"kind": "svm", "C": Float(1e-3, 1e3, log=True)},
                {"kind": "tree", "deep": Int(1, 9), "split": Float(0, 1)},
            ]
        )
    }
)


def mixed(config):
    return (
        (math.log10(config["lr"]) + 3) ** 2
        + math.log2(config["width"] / 64) ** 2
        + {"relu": 2.0, "tanh": 1.0, "gelu": 0.0}[config["act"]]
        + abs(math.log2(config["batch"] / 64))
    )


def branched(config):
    model = config["model"]
    if model["kind"] == "svm":
        return 1 + (math.log10(model["C"]) - 1) ** 2
    return 0.1 * (model["deep"] - 6) ** 2 + (model["split"] - 0.3) ** 2


def least(make, space, loss, *, num, seed, workers=1):
    """The least loss of a study."""
    loop = Loop.of(make, space, seed=seed)
    for _ in range(num):
        if len(loop.pending) >= workers:
            loop.tell(loop.pending[0], {"loss": loss(loop.pending[0].config)})
        loop.ask()
    for trial in list(loop.pending):
        loop.tell(trial, {"loss": loss(trial.config)})
    return min(loss(trial.config) for trial in loop.finished)


def taught(space, losses):
    """A study of drawn trials with these losses."""
    loop = Loop.of(Auto, space)
    for number, config in enumerate(space.sample(len(losses), derive(0, "history"))):
        loop.learn(finish(start(number, config), {"loss": losses[number]}))
    return loop


def arms(loop, num):
    """Who makes the next suggestions, all of them pending."""
    return [loop.ask().meta[ARM] for _ in range(num)]


# ------------------------------------------------------------------------------------------------ whose turn it is


def test_it_begins_as_the_gaussian_process_does():
    auto, gp = Loop.of(Auto, MIXED), Loop.of(GP, MIXED)
    begun = [auto.ask() for _ in range(4)]
    assert [trial.config for trial in begun] == [gp.ask().config for _ in range(4)]
    assert [trial.meta for trial in begun] == [{}] * 4


def test_the_gaussian_process_goes_on_as_long_as_there_are_new_best_trials():
    falling = taught(MIXED, -np.arange(30.0))
    assert arms(falling, 6) == ["gp"] * 6


def test_every_other_suggestion_is_an_estimate_by_density_where_nothing_new_was_found():
    losses = np.ones(30)
    losses[17] = 0.0  # twelve trials ago
    assert arms(taught(MIXED, np.append(losses, 1.0)), 2) == ["tpe", "gp"]
    losses[18] = -1.0
    assert arms(taught(MIXED, np.append(losses, -2.0)), 2) == ["gp", "gp"]


def test_a_duplicate_of_the_front_is_no_news():
    goals = make_goals(["errors", "layers"])
    loop = Loop.of(Auto, MIXED, goals=goals)
    for number, config in enumerate(MIXED.sample(30, derive(0, "history"))):
        loop.learn(finish(start(number, config), {"errors": 3.0, "layers": 2.0}, goals=goals))
    assert Counter(arms(loop, 2)) == {"tpe": 1, "gp": 1}


def test_trials_that_run_are_waited_for_before_the_model_is_doubted():
    stuck = taught(MIXED, np.arange(19.0))  # eighteen in vain: twelve, and six for those that are pending
    assert arms(stuck, 10) == ["tpe", "gp"] * 3 + ["tpe"] + ["gp"] * 3


def test_failed_trials_are_no_news():
    loop = Loop.of(Auto, MIXED)
    for number, config in enumerate(MIXED.sample(20, derive(0, "history"))):
        trial = start(number, config)
        loop.learn(finish(trial, {"loss": 0.0}) if number == 0 else finish(trial, status=Status.FAILED))
    assert Counter(arms(loop, 4)) == {"gp": 2, "tpe": 2}


def test_long_studies_are_left_to_estimates_by_density():
    loop = taught(MIXED, -np.arange(1000.0))
    assert Counter(arms(loop, 5)) == {"tpe": 4, "gp": 1}


def test_a_suggestion_is_that_of_its_arm():
    """Told the same, the parts on their own would say the same."""
    losses = np.arange(20.0)
    parts = {"gp": Loop.of(GP, MIXED), "tpe": Loop.of(TPE, MIXED)}
    auto = taught(MIXED, losses)
    for part in parts.values():
        for trial in auto.finished:
            part.learn(trial)
    for _ in range(2):
        arm = auto.peek().meta[ARM]
        assert auto.peek().config == parts[arm].peek().config
        trial = auto.ask()
        for part in parts.values():
            part.enqueue(trial.config)


# ------------------------------------------------------------------------------------------------ what comes of it


@pytest.mark.parametrize(
    ("space", "loss", "found"), [(MIXED, mixed, 0.3), (BRANCHES, branched, 0.05)], ids=["mixed", "branches"]
)
def test_good_configurations_are_found_soon(space, loss, found):
    assert max(least(Auto, space, loss, num=40, seed=seed) for seed in range(2)) < found


def test_eight_workers_learn_nearly_as_much_as_one():
    assert least(Auto, MIXED, mixed, num=48, seed=1, workers=8) < 0.5


@pytest.mark.parametrize("workers", [8, 32])
def test_many_workers_are_sent_to_different_places(workers):
    loop = taught(MIXED, np.arange(30.0))
    trials = [loop.ask() for _ in range(workers)]
    X = MIXED.encode([trial.config for trial in trials])
    assert len(np.unique(X, axis=0)) == workers
    assert (X.std(axis=0) > 0.1).sum() >= 2


def test_no_configuration_of_a_finite_space_is_tried_twice():
    space = Space({"a": Int(0, 4), "b": Choice(["x", "y", "z"])})
    loop = Loop.of(Auto, space).run(15, workers=3)
    assert len({(trial.config["a"], trial.config["b"]) for trial in loop.finished}) == 15


# ------------------------------------------------------------------------------------------------ who gets it


def test_the_default_is_the_same_for_one_goal_and_for_several():
    for settings in (Settings(), Settings(metric=["loss", "size"], mode=["min", "max"])):
        assert registry.describe("sampler", settings.make_parts()[0]).name == "auto"


def test_the_head_node_needs_no_more_than_the_sampler_does():
    assert set(optimizer_needs("memory", Auto())) == {"scipy", "threadpoolctl"}
    assert set(optimizer_needs("memory", Hyperopt())) == {"scipy", "threadpoolctl", "hyperopt"}
    assert not optimizer_needs("memory", Random())
    assert not optimizer_needs("memory", None)
