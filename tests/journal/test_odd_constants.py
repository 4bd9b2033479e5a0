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


@pytest.fixture(params=range(len(LOOKALIKES)))
def value(request):
    return LOOKALIKES[request.param]


def spaces(value):
    yield {"x": hpo.uniform(0, 1), "a": value}
    yield {"x": hpo.uniform(0, 1), "a": value, "opaque": (1, 2)}
    yield {"x": hpo.uniform(0, 1), "a": [hpo.uniform(0, 1), value]}
    yield {"x": hpo.uniform(0, 1), "a": hpo.choice([value])}
    yield {"x": hpo.uniform(0, 1), "a": hpo.choice([value, "other"])}
    yield {"x": hpo.uniform(0, 1), "a": hpo.choice([(1, 2), value])}
    yield {"x": hpo.uniform(0, 1), "a": hpo.choice([{"b": hpo.uniform(0, 1), "c": (1,)}, {"b": value, "c": 3}])}
    yield {"x": hpo.uniform(0, 1), "a": hpo.ordinal([value, (3,)])}


def test_they_come_back_as_themselves_and_the_study_goes_on(value, tmp_path):
    for position, space in enumerate(spaces(value)):
        seen = []

        def objective(config, seen=seen):
            seen.append(repr(config["a"]))
            return config["x"]

        settings = {"metric": "loss", "sampler": "random", "seed": 0, "runtime": "local", "max_concurrent": 1}
        for num_trials in (2, 4):
            results = hpo.tune(
                objective,
                space,
                num_trials=num_trials,
                name=f"s{position}",
                storage=tmp_path / "s.db",
                progress=False,
                **settings,
            )
        assert [repr(trial.config["a"]) for trial in results] == seen
        assert len(hpo.load(f"s{position}", storage=tmp_path / "s.db")) == 4


def test_a_plain_constant_is_loaded_as_itself_without_its_space(tmp_path):
    space = {"x": hpo.uniform(0, 1), "a": {"$float": "nan"}, "b": {"$option": 0}}
    hpo.tune(
        lambda c: c["x"], space, metric="loss", sampler="random", num_trials=1, runtime="local", progress=False, name="n",
        storage=tmp_path / "s.db",
    )  # fmt: skip
    config = hpo.load("n", storage=tmp_path / "s.db").best_config
    assert (config["a"], config["b"]) == ({"$float": "nan"}, {"$option": 0})
    assert Space.from_json(Space(space).to_json()).to_json() == Space(space).to_json()
