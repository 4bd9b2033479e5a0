"""Constants and options that look like words of the journal's own come back as themselves."""

import pytest

import raytune_hpo as hpo
from raytune_hpo.space import Space

LOOKALIKES = [
    {"$float": "nan"},
    {"$float": 0.5},
    {"$float": float("-inf")},
    {"$$float": 1},
    {"$option": 0},
    {"$option": 1, "value": 2},
    {"$opaque": "x"},
    {"$escaped": {"$float": "inf"}},
    [{"$float": "inf"}, {"$option": 0}],
    {"deep": {"$opaque": "x", "$float": 1}},
]


PLACES = [
    lambda value: value,
    lambda value: {"deeper": value, "opaque": (1, 2)},
    lambda value: [hpo.uniform(0, 1), value],
    lambda value: hpo.choice([value]),
    lambda value: hpo.choice([value, "other"]),
    lambda value: hpo.choice([(1, 2), value]),
    lambda value: hpo.choice([{"b": hpo.uniform(0, 1), "c": (1,)}, {"b": value, "c": 3}]),
    lambda value: hpo.ordinal([value, (3,)]),
]


@pytest.mark.parametrize("place", PLACES)
def test_they_come_back_as_themselves_and_the_study_goes_on(place, tmp_path):
    seen = []

    def objective(config):
        seen.append(repr(config["a"]))
        return config["x"]

    space = {"x": hpo.uniform(0, 1), "a": {f"a{i}": place(value) for i, value in enumerate(LOOKALIKES)}}
    settings = {"metric": "loss", "sampler": "random", "seed": 0, "runtime": "local", "max_concurrent": 1}
    for num_trials in (2, 8):
        results = hpo.tune(
            objective, space, num_trials=num_trials, name="s", storage=tmp_path / "s.db", progress=False, **settings
        )
    assert [repr(trial.config["a"]) for trial in results] == seen
    assert len(hpo.load("s", storage=tmp_path / "s.db")) == 8


def test_a_plain_constant_is_loaded_as_itself_without_its_space(tmp_path):
    space = {"x": hpo.uniform(0, 1), "a": {"$float": "nan"}, "b": {"$option": 0}}
    hpo.tune(
        lambda c: c["x"], space, metric="loss", sampler="random", num_trials=1, runtime="local", progress=False, name="n",
        storage=tmp_path / "s.db",
    )  # fmt: skip
    config = hpo.load("n", storage=tmp_path / "s.db").best_config
    assert (config["a"], config["b"]) == ({"$float": "nan"}, {"$option": 0})
    assert Space.from_json(Space(space).to_json()).to_json() == Space(space).to_json()
