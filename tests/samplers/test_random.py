import numpy as np
import pytest

from raytune_hpo import testing
from raytune_hpo.errors import SpaceError
from raytune_hpo.rng import derive
from raytune_hpo.samplers import Random
from raytune_hpo.space import Choice, Float, Space

SPACE = Space({"x": Float(0, 1), "c": Choice(["a", "b"], weights=[1, 3])})


def test_the_draws_are_those_of_the_prior():
    trials = testing.Loop.of(Random, SPACE).run(4000).finished
    assert np.mean([trial.config["x"] for trial in trials]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([trial.config["c"] == "b" for trial in trials]) == pytest.approx(0.75, abs=0.03)


def test_a_draw_depends_on_its_number_alone_however_one_comes_to_it():
    sampler, other = Random().bind(SPACE, testing.GOALS, 3), Random().bind(SPACE, testing.GOALS, 3)
    numbers = [5000, 0, 1023, 1024, 0, 2048, 5000]
    backwards = {n: other.ask(n, (), derive(0, "any")) for n in reversed(numbers)}
    assert [sampler.ask(n, (), derive(1, "other")) for n in numbers] == [backwards[n] for n in numbers]


def test_another_seed_draws_something_else():
    first, second = (Random().bind(SPACE, testing.GOALS, seed).ask(0, (), derive(0, "any")) for seed in (1, 2))
    assert first != second


def test_no_more_draws_are_searched_for_than_are_asked_for():
    calls = []

    def is_small(config):
        calls.append(config)
        return config["x"] < 0.01

    space = Space({"x": Float(0, 1)}, constraints=[is_small])
    sampler = Random().bind(space, testing.GOALS, 3)
    assert sampler.ask(0, (), derive(0, "any")).config["x"] < 0.01
    assert len(calls) < 2_000
    drawn = [sampler.ask(number, (), derive(0, "any")).config for number in (40, 3, 1023)]
    block = space.sample(1024, derive(3, "random", 0))
    assert drawn == [block[40], block[3], block[1023]]


def test_asked_again_it_says_again_that_nothing_meets_the_constraints():
    sampler = Random().bind(Space({"x": Float(0, 1)}, constraints=[lambda config: config["x"] > 2]), testing.GOALS, 3)
    for _ in range(2):
        with pytest.raises(SpaceError, match="at least one feasible configuration"):
            sampler.ask(0, (), derive(0, "any"))
