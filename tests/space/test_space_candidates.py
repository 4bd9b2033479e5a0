"""Spaces that are restricted to candidates: the rows of a table, say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import raytune_hpo as hpo
from raytune_hpo import registry, testing
from raytune_hpo.errors import SpaceError
from raytune_hpo.space import Choice, Float, Int, Space

DOMAINS = {"lr": Float(1e-4, 1.0, log=True), "depth": Int(1, 9), "act": Choice(["relu", "tanh"])}
ROWS = [{"lr": 10.0 ** -(i % 5), "depth": 1 + i % 9, "act": "relu" if i % 2 else "tanh"} for i in range(90)]


def listed(rows=ROWS, **settings):
    return Space(DOMAINS, candidates=rows, **settings)


def test_every_coordinate_stands_for_the_nearest_candidate_and_candidates_for_themselves():
    space, rng = listed(), np.random.default_rng(0)
    assert space.decode(space.encode(ROWS)) == ROWS
    unit = rng.random((50, 3))
    distances = ((unit[:, None, :] - space.encode(ROWS)[None]) ** 2).sum(axis=2)
    assert space.decode(unit) == [ROWS[i] for i in distances.argmin(axis=1)]
    assert all(config in ROWS for config in space.sample(200, rng))


def test_it_is_finite_and_its_configurations_are_numbered_as_they_were_given():
    space = listed()
    assert space.cardinality == 90
    assert [space.at(i) for i in range(90)] == ROWS
    assert [space.index_of(row) for row in ROWS] == list(range(90))
    assert space.discretised(3) is space


def test_what_is_not_listed_is_refused():
    space = listed(ROWS[:4])
    with pytest.raises(SpaceError, match="one of the 4 candidates, got"):
        space.check({"lr": 0.5, "depth": 1, "act": "relu"})
    with pytest.raises(SpaceError, match="depth"):
        listed([{"lr": 0.1, "depth": 10, "act": "relu"}])
    with pytest.raises(SpaceError, match="numbers 0 and 2 are both"):
        listed([ROWS[0], ROWS[1], ROWS[0]])
    with pytest.raises(SpaceError, match="at least one candidate"):
        listed([])
    with pytest.raises(SpaceError, match="list of configurations or a DataFrame"):
        listed("rows.csv")


def test_a_data_frame_is_as_good_as_its_rows_and_constraints_leave_some_out():
    assert listed(pd.DataFrame(ROWS)) == listed(ROWS)
    values = listed(pd.DataFrame(ROWS)).at(0)
    assert [type(value) for value in values.values()] == [float, int, str]
    assert listed(constraints=[lambda c: c["depth"] > 5]).cardinality == sum(row["depth"] > 5 for row in ROWS)


def test_an_objective_that_changes_its_configuration_does_not_change_the_candidates():
    space = Space({"net": {"depth": Int(1, 3)}}, candidates=[{"net": {"depth": 1}}, {"net": {"depth": 2}}])
    space.at(0)["net"]["depth"] = 99
    space.sample(1, np.random.default_rng(0))[0]["net"]["depth"] = 99
    assert [space.at(i)["net"]["depth"] for i in (0, 1)] == [1, 2]


def test_a_stored_space_names_its_candidates_and_says_so_when_they_are_needed():
    space = listed()
    stored = Space.from_json(space.to_json())
    assert stored == space != listed(ROWS[:-1])
    assert stored.cardinality == 90
    assert stored.flatten(ROWS[0]) == space.flatten(ROWS[0])
    with pytest.raises(SpaceError, match="its 90 candidates were not; give the study its space again"):
        stored.sample(1, np.random.default_rng(0))


def test_branches_may_be_listed():
    svm, tree = {"kind": "svm", "C": Float(0.1, 10)}, {"kind": "tree", "depth": Int(1, 5)}
    rows = [{"model": {"kind": "svm", "C": 1.0}}, {"model": {"kind": "tree", "depth": 3}}]
    space = Space({"model": Choice([svm, tree])}, candidates=rows)
    assert space.decode(np.array([[0.1, 0.9, 0.1], [0.9, 0.1, 0.9]])) == rows
    assert [space.index_of(row) for row in rows] == [0, 1]


# A population goes on with the trials that it has, and a running system with what it has.
@pytest.mark.parametrize("name", sorted(set(registry.SAMPLERS) - {"pbt", "pb2", "schedule", "live"}))
def test_every_sampler_stays_among_the_candidates(name):
    sampler = {"name": name, "max_steps": 27} if name in ("bohb", "hypertune", "freeze_thaw") else name
    loop = testing.Loop.of(lambda: registry.make("sampler", sampler), listed(ROWS[:30]))
    seen = [loop.ask() for _ in range(3)]
    for _ in range(22):
        trial = loop.pending[0]
        loop.tell(trial, {"loss": abs(np.log10(trial.config["lr"]) + 2) + trial.config["depth"] / 10})
        seen.append(loop.ask())
    configs = [trial.config for trial in seen]
    assert all(config in ROWS[:30] for config in configs)
    if name not in ("random", "hyperopt", "sobol"):  # these may come back to a configuration
        assert len({str(config) for config in configs}) == len(configs)


@pytest.mark.parametrize("name", ["gp", "rf", "tpe", "auto"])
def test_models_find_the_best_row_of_a_table_sooner_than_chance(name):
    rng = np.random.default_rng(3)
    rows = [{"x": float(x), "y": float(y)} for x, y in rng.random((2000, 2))]
    space = Space({"x": Float(0, 1), "y": Float(0, 1)}, candidates=rows)

    def loss(config):
        return (config["x"] - 0.3) ** 2 + (config["y"] - 0.6) ** 2

    best = sorted(map(loss, rows))[20]  # among the best 1 %
    results = hpo.tune(  # one worker: with several, the order of results is a matter of chance, and so is what is found
        loss,
        space,
        sampler=name,
        num_trials=40,
        max_concurrent=1,
        runtime="local",
        storage="memory",
        seed=1,
        progress=False,
    )
    assert results.best_value <= best
