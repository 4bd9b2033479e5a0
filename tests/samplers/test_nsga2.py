import numpy as np
import pytest

from raytune_hpo import testing
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.goals import make_goals
from raytune_hpo.samplers import NSGA2, Random
from raytune_hpo.space import Choice, Float, Space

GOALS = make_goals(["f", "g"], ["min", "max"])
SPACE = Space({**{f"x{i}": Float(0, 1) for i in range(6)}, "c": Choice(["good", "bad", "worse"])})


def zdt1(config):
    """The first of Zitzler, Deb and Thiele's problems, and a choice to be made; its second goal is maximised."""
    x = [config[f"x{i}"] for i in range(6)]
    away = 1 + 9 * np.mean(x[1:]) + ["good", "bad", "worse"].index(config["c"])
    return {"f": x[0], "g": -away * (1 - np.sqrt(x[0] / away))}


def volume(loop):
    """What the results dominate of the box up to (1, 6)."""
    points = sorted(trial.losses for trial in loop.finished if trial.losses)
    total, floor = 0.0, 6.0
    for f, g in points:
        if g < floor:
            total += (1 - f) * (floor - max(g, 0.0))
            floor = g
    return total


def play(make, seed, num=200, workers=1):
    loop = testing.Loop.of(make, SPACE, goals=GOALS, seed=seed)
    for _ in range(num):
        loop.ask()
        if len(loop.pending) >= workers:
            loop.tell(loop.pending[0], zdt1(loop.pending[0].config))
    return loop


@pytest.mark.parametrize("workers", [1, 8])
def test_it_dominates_more_than_random_search(workers):
    ours, random = (
        np.mean([volume(play(make, seed, workers=workers)) for seed in range(3)]) for make in (NSGA2, Random)
    )
    assert ours > 1.2 * random


def test_the_population_spreads_along_the_front():
    late = [trial.losses[0] for trial in play(NSGA2, 0, 300).finished[-60:]]
    assert np.ptp(late) > 0.5
    assert len(set(np.round(late, 2))) > 15


def test_failures_and_users_points_are_survived():
    loop = play(NSGA2, 1, 40)
    for i in range(20):
        trial = loop.ask()
        loop.pending.clear()
        loop.learn(testing.finish(trial, status=Status.FAILED, goals=GOALS))
        if i % 5 == 0:
            loop.tell(loop.enqueue({**{f"x{j}": 0.01 * j for j in range(6)}, "c": "good"}), {"f": 0.0, "g": 0.0})
    children = [loop.ask().config for _ in range(30)]
    assert np.mean([child["c"] == "good" for child in children]) > 0.5
    assert np.mean([child["x5"] for child in children]) < 0.45, "children take after the user's good point"


def test_a_replay_is_the_live_run():
    loop = play(NSGA2, 2, 100, workers=5)
    again = testing.Loop(loop.sampler.bind(SPACE, GOALS, loop.seed), SPACE, GOALS, loop.seed)
    for trial in loop.finished:
        again.learn(trial)
    again.pending = loop.pending
    assert again.peek() == loop.peek()


@pytest.mark.parametrize("options", [{"population": 3}, {"eta_crossover": -1}, {"eta_mutation": float("inf")}])
def test_options_out_of_range_are_refused(options):
    name, value = next(iter(options.items()))
    with pytest.raises(SpecError, match=f"nsga2 needs .*{name}={value}"):
        NSGA2(**options)
