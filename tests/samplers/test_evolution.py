"""Regularised evolution: members die of age, and children differ from a good one in one thing."""

from __future__ import annotations

import numpy as np
import pytest

from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.rng import derive
from raytune_hpo.samplers import Evolution, Random
from raytune_hpo.space import Choice, Float, Int, Ordinal, Space
from raytune_hpo.testing.trials import Loop

CELL = Space({f"edge{i}": Choice(["none", "skip", "conv1", "conv3", "pool"]) for i in range(6)})
MIXED = Space(
    {
        "model": Choice([{"kind": "svm", "C": Float(0, 1)}, {"kind": "tree", "deep": Int(1, 9)}]),
        "batch": Ordinal([16, 32, 64, 128]),
    }
)


def architectures(seed):
    """A table of a cell's size: what each edge does for itself, and what pairs of edges do together."""
    rng = derive(seed, "table")
    single, pairs = rng.standard_normal((6, 5)), 0.5 * rng.standard_normal((6, 6, 5, 5))

    def losses(codes):
        return single[np.arange(6), codes].sum(axis=-1) + sum(
            pairs[i, j, codes[..., i], codes[..., j]] for i in range(6) for j in range(i)
        )

    options = CELL.columns[0].domain.options
    everything = np.stack(np.meshgrid(*[np.arange(5)] * 6, indexing="ij"), axis=-1).reshape(-1, 6)
    best = losses(everything).min()
    return lambda config: float(losses(np.array([options.index(config[f"edge{i}"]) for i in range(6)])) - best)


def found(make, seed, num=100):
    loop, loss = Loop.of(make, CELL, seed=seed), architectures(seed)
    for _ in range(num):
        trial = loop.ask()
        loop.tell(trial, {"loss": loss(trial.config)})
    return min(trial.losses[0] for trial in loop.finished)


def test_it_closes_most_of_the_gap_between_random_search_and_the_best_architecture():
    seeds = range(6)
    ours, random = (np.mean([found(make, seed) for seed in seeds]) for make in (Evolution, Random))
    assert ours < 0.4 * random


def test_a_child_is_a_member_with_one_change():
    loop = Loop.of(lambda: Evolution(population=4, tournament=2), CELL).run(4)
    for _ in range(20):
        members = [trial.config for trial in loop.finished[-4:]]
        child = loop.ask()
        assert min(sum(child.config[key] != member[key] for key in member) for member in members) == 1
        loop.tell(child)


def test_the_oldest_dies_however_good_it_was():
    loop = Loop.of(lambda: Evolution(population=4, tournament=4), CELL)
    for _ in range(4):
        trial = loop.ask()
        loop.tell(trial, {"loss": float(trial.number)})  # the first is the best
    best = loop.finished[0].config
    for _ in range(4):
        child = loop.ask()
        loop.tell(child, {"loss": 10.0 + child.number})
    later = loop.ask()
    assert sum(later.config[key] != best[key] for key in best) >= 1
    assert not (loop.sampler._members == CELL.encode([best])[0]).all(axis=1).any()


def test_branches_are_entered_and_left():
    loop = Loop.of(lambda: Evolution(population=5, tournament=2), MIXED).run(60)
    kinds = {trial.config["model"]["kind"] for trial in loop.finished[5:]}
    assert kinds == {"svm", "tree"}


def test_failed_members_have_no_children():
    loop = Loop.of(lambda: Evolution(population=4, tournament=4), CELL)
    for number in range(4):
        trial = loop.ask()
        loop.tell(trial, {"loss": 1.0}) if number == 2 else loop.fail(trial)
    assert [trial.status for trial in loop.finished].count(Status.FAILED) == 3
    survivor = loop.finished[2].config
    assert sum(loop.peek().config[key] != survivor[key] for key in survivor) == 1


def test_a_space_of_one_point_is_survived():
    assert Loop.of(lambda: Evolution(population=2, tournament=1), Space({"x": Choice(["a"])})).run(5).finished


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population": 1}, "population >= 2, got population=1"),
        ({"tournament": 0}, "tournament >= 1, got tournament=0"),
        ({"population": 4, "tournament": 5}, "tournament=5 of 4"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(SpecError, match=message):
        Evolution(**options)
