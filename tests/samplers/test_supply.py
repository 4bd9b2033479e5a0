"""Suggestions under demand: several share one search, and are what they would be if each were computed alone."""

from __future__ import annotations

import numpy as np
import pytest

from raytune_hpo.facts import Status
from raytune_hpo.rng import derive
from raytune_hpo.samplers import GP, Auto
from raytune_hpo.samplers.history import TOLD
from raytune_hpo.space import Choice, Float, Int, Space
from raytune_hpo.testing.trials import Loop, bowl, finish, start

MIXED = Space({"lr": Float(1e-5, 1, log=True), "width": Int(8, 512, log=True), "act": Choice(["relu", "tanh", "gelu"])})
SQUARE = Space({"x": Float(0, 1), "y": Float(0, 1)})


def taught(make, space, num, *, pending=0):
    """A study of drawn trials that have ended, and others that run."""
    loop = Loop.of(make, space)
    for number, config in enumerate(space.sample(num, derive(0, "history"))):
        loop.learn(finish(start(number, config), {"loss": bowl(space, config)}))
    for config in space.sample(pending, derive(0, "pending")):
        loop.enqueue(config)
    return loop


def replayed(loop, make):
    """The same study in another process: told all of it at once, and asked for nothing before."""
    late = Loop.of(make, loop.space)
    for trial in loop.finished:
        late.learn(trial)
    late.pending = list(loop.pending)
    return late


@pytest.fixture
def searches(monkeypatch):
    """The stages at which there was a search."""
    stages, found = [], GP._found
    monkeypatch.setattr(
        GP, "_found", lambda self, stage, observed: stages.append(stage) or found(self, stage, observed)
    )
    return stages


@pytest.mark.parametrize("make", [GP, Auto])
def test_sixteen_at_once_are_what_each_would_be_alone(make):
    loop = taught(make, MIXED, 25)
    for _ in range(16):
        late = replayed(loop, make)
        assert late.peek() == loop.peek()
        loop.ask()


def test_suggestions_without_news_share_one_search(searches):
    loop = taught(GP, MIXED, 15)
    asked = [loop.ask() for _ in range(16)]
    assert len(searches) == 1
    assert {trial.meta[TOLD] for trial in asked} == {15}
    for _ in range(20):
        loop.ask()
    assert [stage.turn for stage in searches] == [0, 1]  # a search is not drawn from for ever


def test_with_few_running_every_result_has_a_search_of_its_own(searches):
    loop = taught(GP, SQUARE, 20, pending=3)
    for _ in range(4):
        loop.ask()
        loop.tell(loop.pending[0])
        loop.ask()
        loop.tell(loop.pending[0])
    assert [stage.num_told for stage in searches] == list(range(20, 28))


@pytest.mark.parametrize("make", [GP, Auto])
def test_with_many_running_a_search_serves_several_results(make, searches):
    loop = taught(make, SQUARE, 64, pending=64)
    for turn in range(24):
        if turn % 6 == 0:
            assert replayed(loop, make).peek() == loop.peek()
        loop.ask()
        loop.tell(loop.pending[turn % 3])
    assert len({(stage.num_told, stage.turn) for stage in searches}) <= 4


def test_a_point_of_the_users_in_between_makes_no_difference_to_a_replay():
    loop = taught(GP, MIXED, 25)
    for turn in range(6):
        if turn == 3:
            loop.enqueue(MIXED.sample(1, derive(1, "own"))[0])
        assert replayed(loop, GP).peek() == loop.peek()
        loop.ask()


def test_results_that_came_since_the_search_count(searches):
    """A search made before knows of a result when a suggestion is taken from it: no one is sent where it was bad."""
    loop = taught(GP, SQUARE, 64, pending=64)
    first = loop.ask()
    told_well, told_badly = replayed(loop, GP), replayed(loop, GP)
    told_well.tell(first, {"loss": -1.0})
    told_badly.tell(first, {"loss": 1.0})
    near, far = (
        np.linalg.norm(SQUARE.encode([s.peek().config, first.config])[0] - SQUARE.encode([first.config])[0])
        for s in (told_well, told_badly)
    )
    assert near < far
    assert {stage.num_told for stage in searches} == {64}


def test_failed_trials_in_between_are_survived():
    loop = taught(GP, SQUARE, 64, pending=64)
    loop.ask()
    loop.fail(loop.pending[-1])
    assert replayed(loop, GP).peek() == loop.peek()


def test_a_hundred_that_run_are_all_different():
    loop = taught(GP, SQUARE, 30)
    X = SQUARE.encode([loop.ask().config for _ in range(100)])
    assert len(np.unique(X, axis=0)) == 100


def test_nobody_is_sent_to_a_place_for_what_was_only_drawn():
    """A running trial is no incumbent: what it might turn out to be does not count as found."""
    loop = taught(GP, SQUARE, 20)
    loop.enqueue({"x": 0.9, "y": 0.9})  # far from the minimum, and running
    X = SQUARE.encode([loop.ask().config for _ in range(8)])
    assert np.linalg.norm(X - 0.9, axis=1).min() > 0.1


def test_failures_alone_are_no_reason_to_stop():
    loop = Loop.of(GP, SQUARE)
    for number, config in enumerate(SQUARE.sample(32, derive(0, "history"))):
        done = {"metrics": {"loss": 1.0}} if number == 31 else {"status": Status.FAILED}
        loop.learn(finish(start(number, config), **done))
    for config in SQUARE.sample(64, derive(0, "pending")):
        loop.enqueue(config)
    assert loop.ask() is not None
