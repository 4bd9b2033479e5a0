"""Lists whose length is a parameter."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import raytune_hpo as hpo
from raytune_hpo.errors import SpaceError
from raytune_hpo.rng import derive
from raytune_hpo.samplers import GP, TPE, Evolution
from raytune_hpo.space import Space
from raytune_hpo.testing.trials import Loop

LAYERS = Space(
    {
        "layers": hpo.Repeat({"units": hpo.Int(1, 4), "act": hpo.Choice(["relu", "tanh"])}, 1, 3),
        "lr": hpo.Float(1e-4, 1e-1, log=True),
    }
)
FINITE = Space({"steps": hpo.Repeat(hpo.Choice(["a", "b"]), 0, 3), "x": hpo.Int(1, 2)})


def test_a_configuration_has_as_many_blocks_as_its_length_says():
    drawn = LAYERS.sample(300, derive(0, "draws"))
    lengths = [len(config["layers"]) for config in drawn]
    assert {min(lengths), max(lengths)} == {1, 3}
    assert all(80 < lengths.count(n) < 120 for n in (1, 2, 3))
    assert all(set(layer) == {"units", "act"} for config in drawn for layer in config["layers"])


def test_columns_are_named_after_the_blocks():
    names = [column.name for column in LAYERS.columns]
    assert names[:5] == ["layers", "layers/0/units", "layers/0/act", "layers/1/units", "layers/1/act"]
    flat = LAYERS.flatten({"layers": [{"units": 2, "act": "relu"}], "lr": 0.01})
    assert flat == {"layers": 1, "layers/0/units": 2, "layers/0/act": "relu", "lr": 0.01}


@given(st.integers(0, 2**31))
def test_what_was_decoded_encodes_back_exactly(seed):
    for config in LAYERS.sample(3, derive(seed, "draws")):
        unit = LAYERS.encode([config])
        assert LAYERS.decode(unit) == [config]
        active = LAYERS.active(unit)
        assert np.array_equal(np.isnan(unit), ~active)
        assert active.sum() == 2 + 2 * len(config["layers"])


def test_every_configuration_of_a_finite_space_has_a_number():
    assert FINITE.cardinality == (1 + 2 + 4 + 8) * 2
    everything = [FINITE.at(i) for i in range(30)]
    assert everything[0]["steps"] == [] and everything[-1]["steps"] == ["b", "b", "b"]
    assert [FINITE.index_of(config) for config in everything] == list(range(30))


def test_it_travels_through_a_journal():
    again = Space.from_json(json.loads(json.dumps(LAYERS.to_json())))
    assert again == LAYERS
    assert again.sample(4, derive(0, "draws")) == LAYERS.sample(4, derive(0, "draws"))


def test_options_that_json_cannot_carry_are_packed_block_by_block():
    space = Space({"pools": hpo.Repeat({"shape": hpo.Choice([(1, 1), (2, 2)])}, 1, 2)})
    for config in space.sample(10, derive(0, "draws")):
        packed = json.loads(json.dumps(space.pack(config)))
        assert space.unpack(packed) == config
        assert space.chosen(space.pack(config)) == packed


def test_a_block_may_be_a_branch_of_its_own():
    conv = {"kind": "conv", "width": hpo.Int(1, 5)}
    space = Space(
        {"net": hpo.Repeat(hpo.Choice([conv, {"kind": "pool"}]), 1, 3), "tail": hpo.Repeat(hpo.Float(0, 1), 0, 2)}
    )
    for config in space.sample(50, derive(0, "draws")):
        space.check(config)
        assert space.decode(space.encode([config])) == [config]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"layers": [], "lr": 0.01}, "'layers' must be a list of 1 to 3"),
        ({"layers": [{"units": 9, "act": "relu"}], "lr": 0.01}, "'layers/0/units' must lie in"),
        ({"layers": 3, "lr": 0.01}, "'layers' must be a list of 1 to 3, got 3"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(config, message):
    with pytest.raises(SpaceError, match=message):
        LAYERS.check(config)


@pytest.mark.parametrize(("low", "high"), [(-1, 2), (3, 2), (0, 0), (1, 1000)])
def test_lengths_are_checked(low, high):
    with pytest.raises(SpaceError, match="0 <= low <= high <= 100"):
        hpo.Repeat(hpo.Float(0, 1), low, high)


def test_points_may_be_named():
    point = {"layers": ({"units": np.int64(2), "act": "tanh"},), "lr": 0.01}
    assert LAYERS.complete(point) == {"layers": [{"units": 2, "act": "tanh"}], "lr": 0.01}


@pytest.mark.parametrize("make", [GP, TPE, Evolution])
def test_samplers_find_how_many_blocks_there_should_be(make):
    def loss(config):
        return abs(len(config["layers"]) - 2) + sum(abs(layer["units"] - 3) for layer in config["layers"])

    loop = Loop.of(make, LAYERS)
    for _ in range(60):
        trial = loop.ask()
        loop.tell(trial, {"loss": float(loss(trial.config))})
    assert min(trial.losses[0] for trial in loop.finished) == 0
