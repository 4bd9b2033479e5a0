"""What the tree-structured Parzen estimator does beyond the contract of every sampler."""

from __future__ import annotations

import json

import numpy as np
import pytest

from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.rng import derive
from raytune_hpo.samplers import TPE
from raytune_hpo.samplers.tpe import rank_weights, split
from raytune_hpo.space import Choice, Float, Int, Space
from raytune_hpo.testing.trials import GOALS, Loop, bowl, finish, start

LINE = Space({"x": Float(0, 1)})
TREE = Space({"model": Choice([{"kind": "a", "x": Float(0, 1)}, {"kind": "b", "y": Float(0, 1), "z": Float(0, 1)}])})


def told(space, pairs, **options):
    """A sampler that was told configurations with their losses; None for a failure."""
    sampler = TPE(n_initial=1, **options).bind(space, GOALS, 0)
    for number, (config, loss) in enumerate(pairs):
        trial = start(number, config)
        sampler.tell(finish(trial, status=Status.FAILED) if loss is None else finish(trial, {"loss": loss}))
    return sampler


def suggestions(sampler, n=60, pending=()):
    return [sampler.ask(1000 + i, pending, derive(3, "ask", i)).config for i in range(n)]


def test_the_best_are_good_and_failures_are_bad():
    good, bad = split(np.array([3, np.nan, 1, 2, 5, 4, 6, 7, 8]), gamma=0.5)
    assert good.tolist() == [2, 3]
    assert bad.tolist() == [0, 5, 4, 6, 7, 8, 1]


@pytest.mark.parametrize(
    ("losses", "good", "bad"),
    [([np.nan, 1.0, np.nan, np.nan], [1], [0, 2, 3]), ([2.0, 1.0], [1], [0]), ([2.0], [0], [])],
)
def test_only_trials_with_a_loss_are_good_and_one_is_bad(losses, good, bad):
    found = split(np.array(losses), gamma=9.0)
    assert [positions.tolist() for positions in found] == [good, bad]


def test_of_many_bad_trials_an_even_share_is_kept():
    good, bad = split(np.arange(2000.0), gamma=0.01)
    assert good.tolist() == [0]
    assert len(bad) == 400
    assert (bad[0], bad[-1]) == (1, 1999)
    assert set(np.diff(bad)) <= {5, 6}
    assert split(np.arange(401.0), gamma=0.01)[1].tolist() == list(range(1, 401))


def test_better_trials_weigh_more():
    weights = rank_weights(5)
    assert (np.diff(weights) < 0).all()
    assert weights[-1] > 0
    np.testing.assert_allclose(rank_weights(1), np.log(2))


def test_it_looks_where_the_good_ones_are():
    pairs = [({"x": x}, abs(x - 0.7)) for x in np.linspace(0.02, 0.98, 25).tolist()]
    found = np.array([config["x"] for config in suggestions(told(LINE, pairs))])
    assert np.median(np.abs(found - 0.7)) < 0.1


def test_it_keeps_away_from_pending_trials():
    pairs = [({"x": x}, abs(x - 0.5)) for x in np.linspace(0.02, 0.98, 25).tolist()]
    sampler = told(LINE, pairs)
    pending = [start(100 + i, {"x": 0.5 + 0.001 * i}) for i in range(30)]
    alone = np.array([config["x"] for config in suggestions(sampler)])
    apart = np.array([config["x"] for config in suggestions(sampler, pending=pending)])
    assert (np.abs(apart - 0.515) < 0.05).mean() < (np.abs(alone - 0.515) < 0.05).mean() / 2


def test_it_keeps_away_from_failures():
    pairs = [({"x": x}, 1.0 if x < 0.5 else None) for x in np.linspace(0.01, 0.99, 40).tolist()]
    found = np.array([config["x"] for config in suggestions(told(LINE, pairs))])
    assert (found < 0.5).mean() > 0.8


def test_it_finds_the_branch_and_the_place_in_it():
    """Branch b is better where y is small, and branch a is bad everywhere."""
    configs = TREE.sample(60, derive(0, "configs"))
    pairs = [(c, 2.0 if c["model"]["kind"] == "a" else c["model"]["y"]) for c in configs]
    found = [config["model"] for config in suggestions(told(TREE, pairs))]
    chosen = [model for model in found if model["kind"] == "b"]
    assert len(chosen) > 0.9 * len(found)
    assert np.mean([model["y"] for model in chosen]) < 0.25


def test_a_branch_never_seen_stays_possible():
    pairs = [({"model": {"kind": "a", "x": x}}, abs(x - 0.5)) for x in np.linspace(0.1, 0.9, 9).tolist()]
    found = [config["model"]["kind"] for config in suggestions(told(TREE, pairs, n_candidates=4), n=100)]
    assert "b" in found


def test_a_finite_space_is_exhausted_before_anything_comes_twice():
    space = Space({"a": Int(0, 3), "b": Choice(["x", "y", "z"])})
    loop = Loop.of(lambda: TPE(n_initial=3), space).run(12)
    assert len({json.dumps(dict(trial.config)) for trial in loop.finished}) == 12
    assert space.check(loop.run(3).finished[-1].config) is None  # and then it goes on with what there is


def test_it_beats_random_where_choices_ints_and_floats_meet():
    space = Space({"x": Float(1e-4, 1, log=True), "n": Int(1, 40), "c": Choice(["a", "b", "c", "d"]), "y": Float(0, 1)})
    best, random = [], []
    for seed in range(4):
        loop = Loop.of(TPE, space, seed=seed).run(50)
        best.append(min(bowl(space, trial.config) for trial in loop.finished))
        random.append(min(bowl(space, config) for config in space.sample(50, derive(seed, "random"))))
    assert np.mean(best) < 0.5 * np.mean(random)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"n_initial": 0}, "n_initial >= 1"),
        ({"n_candidates": 2.5}, "n_candidates >= 1"),
        ({"gamma": 0.0}, "gamma > 0"),
        ({"prior_weight": -1.0}, "prior_weight > 0"),
        ({"bandwidth": float("nan")}, "bandwidth >= 1e-09"),
        ({"min_bandwidth": float("inf")}, "min_bandwidth >= 1e-09"),
        ({"switch": 1.5}, "switch <= 1"),
    ],
)
def test_bad_options_are_refused(options, rule):
    with pytest.raises(SpecError, match=rule):
        TPE(**options)
