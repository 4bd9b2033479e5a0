"""Nothing twice, while there is something new; and no long search where there is nothing."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo import registry
from raytune_hpo.numerics.axes import row_keys
from raytune_hpo.rng import derive
from raytune_hpo.samplers import CMAES, DE, GP, NSGA2, RF, TPE, Evolution
from raytune_hpo.samplers.cube import Cube
from raytune_hpo.space import Choice, Float, Int, Normal, Space
from raytune_hpo.testing.trials import Loop, start

SPACE = Space({"n": Int(0, 29), "c": Choice([{"kind": "plain"}, {"kind": "deep", "layers": Int(1, 19)}])})


def all_rows() -> np.ndarray:
    return SPACE.encode([SPACE.at(i) for i in range(SPACE.cardinality)])


def test_rows_that_are_not_active_count_once():
    rows = SPACE.encode([{"n": 1, "c": {"kind": "plain"}}] * 3 + [{"n": 1, "c": {"kind": "deep", "layers": 1}}])
    assert np.isnan(rows).any() and len(set(row_keys(rows))) == 2


def test_the_last_new_one_is_found():
    known = all_rows()
    last, known = known[123], np.delete(known, 123, axis=0)
    found = Cube(SPACE).first_new(known[:5], known, derive(0, "test"))
    assert np.array_equal(found, last, equal_nan=True)


def test_where_all_is_known_nobody_looks_for_more():
    known = all_rows()

    def seconds(known: np.ndarray) -> float:
        begin = time.process_time()
        found = Cube(SPACE).first_new(known[:5], known, derive(0, "test"))
        assert len(set(row_keys(np.vstack([known, found])))) == SPACE.cardinality
        return time.process_time() - begin

    assert seconds(known) < 0.5 * seconds(known[:-1])  # the search through the whole space for the last one


def test_where_all_is_known_half_of_what_comes_is_the_first_feasible_row_and_half_is_drawn():
    space = Space({"n": Int(0, 9)}, constraints=[lambda config: config["n"] > 1])
    for cube, first in ((Cube(Space({"n": Int(0, 9)})), 0), (Cube(space), 2)):
        rows = cube.space.encode([{"n": n} for n in range(10)])
        found = [cube.config(cube.first_new(rows, rows, derive(0, "test", i)))["n"] for i in range(100)]
        assert 40 < found.count(first) < 75
        assert len(set(found)) > 5


@pytest.mark.parametrize("make", [DE, GP, RF, TPE])
def test_what_is_good_is_repeated_where_all_has_been_tried(make):
    losses, late = derive(1, "losses").random(12), []
    for seed in range(2):
        loop = Loop.of(make, Space({"a": Choice(list("abcdef")), "n": Int(0, 1)}), seed=seed)
        for _ in range(40):
            trial = loop.ask()
            loop.tell(trial, {"loss": losses[2 * "abcdef".index(trial.config["a"]) + trial.config["n"]]})
        late += [trial.metrics["loss"] for trial in loop.finished[20:]]
    assert late.count(losses.min()) >= 10  # of 40; of draws it would be three or four
    assert len(set(late)) > 4


def test_where_few_configurations_are_feasible_and_all_are_known_constraints_are_not_asked_again_and_again():
    calls = []

    def is_small(config):
        calls.append(config)
        return config["a"] + config["b"] + config["c"] <= 2

    cube = Cube(Space({"a": Int(0, 19), "b": Int(0, 19), "c": Int(0, 19)}, constraints=[is_small]))
    everything = cube.everything
    assert len(everything) == 10 and len(calls) == 8_000
    for known in (everything[1:], everything):
        for i in range(3):
            assert cube.feasible(cube.first_new(everything[1:3], known, derive(0, "test", i))[None, :])[0]
    assert np.array_equal(cube.first_new(everything[1:3], everything[1:], derive(0, "test")), everything[0])
    assert len(calls) < 8_020


def test_a_branch_that_is_hardly_ever_drawn_is_entered_once_the_others_are_known():
    rare = Choice([{"kind": "c"}, {"kind": "d", "x": Float(0, 1)}], weights=[9999, 1])
    space = Space({"model": Choice([{"kind": "a"}, {"kind": "b", "deep": rare}], weights=[99, 1])})
    for make in (TPE, Evolution):
        loop = Loop.of(make, space).run(12)
        assert len({json.dumps(trial.config) for trial in loop.finished}) == 12


@pytest.mark.parametrize("make", [CMAES, DE, Evolution, NSGA2])
@pytest.mark.parametrize("number", [Normal(0.0, 1.0), Float(1e-5, 1e-1, log=True)])
def test_a_number_that_comes_back_with_other_last_digits_is_recognised(make, number):
    """A configuration's coordinates may differ from those that it was made from."""
    space = Space({"x": number, "a": Choice(list("abcdef")), "n": Int(0, 5)})
    for seed in range(3):
        loop = Loop.of(make, space, seed=seed)
        for _ in range(80):
            trial = loop.ask()
            loop.tell(trial, {"loss": (trial.config["x"] - 0.02) ** 2 + "cdefab".index(trial.config["a"])})
        tried = [tuple(trial.config.values()) for trial in loop.finished]
        assert len(set(tried)) == len(tried)


@pytest.mark.parametrize("make", [CMAES, DE, Evolution, RF, TPE])
def test_a_float_of_few_values_is_not_taken_for_new_ones_where_only_rows_differ(make):
    """Between 1 and 1 + 4e-15 there are 19 floats, and more rows than that."""
    loop = Loop.of(make, Space({"x": Float(1.0, 1.0 + 4e-15), "n": Int(0, 2)})).run(30)
    assert len({tuple(trial.config.values()) for trial in loop.finished}) == 30


def test_constraints_are_asked_of_no_more_draws_than_needed():
    calls = []

    def is_close(config):
        calls.append(config)
        return abs(config["x"] - config["y"]) < 0.005

    cube = Cube(Space({"x": Float(0, 1), "y": Float(0, 1)}, constraints=[is_close]))
    drawn = cube.draw(256, derive(0, "test"))
    assert len(calls) > 10_000
    for num_known in (0, 1, 3):
        calls.clear()
        found = cube.first_new(np.empty((0, 2)), drawn[:num_known], derive(0, "test"))
        np.testing.assert_array_equal(found, drawn[num_known])
        assert len(calls) < 1_000


def test_a_trial_whose_configuration_has_grown_gets_a_new_row():
    cube, short = Cube(SPACE), {"n": 1, "c": {"kind": "plain"}}
    trials = [start(0, short), start(1, {"n": 2, "c": {"kind": "deep", "layers": 3}})]
    first = cube.encode(trials)
    np.testing.assert_array_equal(cube.encode(trials[::-1]), first[::-1])
    longer = [start(0, {"n": 5, "c": {"kind": "plain"}}), trials[1]]
    np.testing.assert_array_equal(cube.encode(longer), SPACE.encode([trial.config for trial in longer]))
    assert cube.encode([]).shape == (0, 3)


STEPS, MEMBERS = {"max_steps": 9}, {"max_steps": 9, "population": 4, "quantile": 0.5}
OPTIONS = {"bohb": STEPS, "hypertune": STEPS, "freeze_thaw": STEPS, "pbt": MEMBERS, "pb2": MEMBERS}
ELSEWHERE = ("grid", "hyperopt", "live", "schedule", "sobol")  # they list, draw or are given their configurations


@pytest.mark.parametrize("name", sorted(set(registry.SAMPLERS) - set(ELSEWHERE)))
def test_a_constraint_that_few_configurations_meet_is_not_drawn_for_again_and_again(name):
    """One configuration in a thousand is feasible: of 100 draws, each would take a hundred thousand calls."""
    calls = []

    def is_rare(config):
        calls.append(config)
        return config["x"] + config["y"] < 0.045

    belief = {"prior": hpo.Normal(0.5, 0.3)} if name in ("tpe", "gp", "auto") else {}
    space = Space({"x": Float(0, 1, **belief), "y": Float(0, 1)}, constraints=[is_rare])
    made = registry.load("sampler", name)
    run, asked = Loop.of(lambda: made(**OPTIONS.get(name, {})), space), []
    for _ in range(22):
        calls.clear()
        trial = run.ask()
        asked.append(len(calls))
        assert space.is_feasible([trial.config])[0]
        run.tell(trial)
    assert np.mean(asked[12:]) < 4_000
