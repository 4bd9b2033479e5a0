"""Points that users hand in are completed to what a trial gets, or refused with the parameter's name."""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo.errors import SpaceError, SpecMismatch
from raytune_hpo.space.stored import NotStored


def half(x: float) -> float:
    return x / 2


def space() -> hpo.Space:
    return hpo.Space(
        {
            "lr": hpo.uniform(0, 1),
            "units": hpo.randint(1, 200),
            "bias": hpo.choice([True, False]),
            "hidden": hpo.choice([(64,), (128, 64)]),
            "drop": hpo.choice([None, 0.5]),
            "act": hpo.choice([half, abs]),
            "epochs": 5,
            "shape": (1, 2),
            "deep": {"a": {"b": [1]}},
            "warmup": hpo.sample_from(lambda c: c["epochs"] // 2),
            "model": hpo.choice(
                [{"kind": "svm", "C": hpo.uniform(0, 1)}, {"kind": "rf", "n": hpo.randint(1, 9)}, None]
            ),
        }
    )


WHOLE: dict[str, Any] = {
    "lr": 0.5, "units": 64, "bias": True, "hidden": (64,), "drop": None, "act": half, "epochs": 5, "shape": (1, 2),
    "deep": {"a": {"b": [1]}}, "warmup": 2, "model": {"kind": "svm", "C": 0.25},
}  # fmt: skip
CHOSEN: dict[str, Any] = {key: WHOLE[key] for key in ("lr", "units", "bias", "hidden", "drop", "act", "model")}


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"lr": np.float32(0.5)}, {"lr": Fraction(1, 2)}, {"lr": np.array(0.5)}, {"units": np.int64(64)},
        {"units": np.array(64)}, {"bias": np.bool_(True)}, {"hidden": [64]}, {"hidden": [np.int8(64)]},
        {"hidden": np.array([64])[0:1].tolist()}, {"drop": math.nan}, {"act": f"{half.__module__}.half"},
        {"model": {"C": 0.25}}, {"model": {"kind": "svm", "C": np.float64(0.25)}}, {"epochs": np.int16(5)},
        {"shape": [1, 2]},
        {"deep": {"a": {"b": (1,)}}}, {"warmup": np.int64(2)},
    ],
    ids=str,
)  # fmt: skip
def test_a_point_is_completed(changes: dict[str, Any]) -> None:
    config = space().complete({**CHOSEN, **changes})
    assert config == WHOLE
    assert [type(value) for value in config.values()] == [type(WHOLE[key]) for key in config]
    assert type(config["model"]["C"]) is float and type(config["deep"]["a"]["b"]) is list


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 6}, "'epochs' is always 5, got 6"),
        ({"shape": [2, 1]}, "'shape' is always"),
        ({"hidden": [64, 1]}, "'hidden' must be one of"),
        ({"model": {"kind": "svm"}}, "'model/C' is missing"),
        ({"model": {}}, "'model/kind' must name an option"),
        ({"deep": {}}, "'deep' is always"),
        ({"model": "svm"}, "'model' must fit one of"),
        ({"act": NotStored("<lambda>")}, "'act' is <<lambda>, not stored>|'act' is .*not stored"),
        ({"warmup": NotStored("Loss()")}, "'warmup' is .*not stored"),
        ({"lr": 10**400}, "'lr' must lie in"),
        ({"other": 1}, "'other' is not in the space"),
    ],
)
def test_a_point_that_fits_nothing_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        space().complete({**CHOSEN, **changes})


def test_a_derived_value_that_a_point_names_is_kept() -> None:
    assert space().complete({**CHOSEN, "warmup": 7})["warmup"] == 7


def test_a_point_that_fits_several_options_must_say_which() -> None:
    both = hpo.Space({"m": hpo.choice([{"k": 1, "C": hpo.uniform(0, 1)}, {"k": 2, "C": hpo.uniform(0, 1)}])})
    with pytest.raises(SpaceError, match="which option.*name 'k' too"):
        both.complete({"m": {"C": 0.5}})
    assert both.complete({"m": {"k": 2, "C": 0.5}}) == {"m": {"k": 2, "C": 0.5}}


def test_derived_values_are_filled_in_in_order() -> None:
    chain = hpo.Space(
        {"x": hpo.randint(0, 9), "y": hpo.sample_from(lambda c: c["x"] + 1), "z": hpo.sample_from(lambda c: c["y"] * 2)}
    )
    assert chain.complete({"x": 3}) == {"x": 3, "y": 4, "z": 8}
    assert chain.complete({"x": 3, "y": 7}) == {"x": 3, "y": 7, "z": 14}


def test_every_way_in_takes_numbers_of_numpy_and_gives_python_s() -> None:
    domains = {"units": hpo.randint(1, 200), "bias": hpo.choice([True, False])}
    point = {"units": np.int64(64), "bias": np.bool_(True)}
    results = hpo.tune(
        lambda c: float(c["units"]), domains, metric="loss", num_trials=1, runtime="local", progress=False, storage="memory",
        points_to_evaluate=[point],
    )  # fmt: skip
    study = hpo.Study(domains, metric="loss", storage="memory")
    study.enqueue(point)
    for config in (results[0].config, study.ask().config):
        assert config == {"units": 64, "bias": True}
        assert [type(value) for value in config.values()] == [int, bool]


def test_what_results_write_can_be_enqueued(tmp_path: Any) -> None:
    import json

    domains = {"h": hpo.choice([(64,), (128, 64)]), "f": hpo.choice([half, abs]), "x": hpo.uniform(0, 1)}
    results = hpo.tune(
        lambda c: c["x"], domains, metric="loss", num_trials=3, runtime="local", progress=False, storage="memory"
    )
    results.to_json(tmp_path / "out.json")
    for trial, record in zip(results, json.loads((tmp_path / "out.json").read_text())["trials"], strict=True):
        assert results.spec.space.complete(record["config"]) == trial.config


def test_a_table_of_results_can_be_given_as_points(tmp_path: Any) -> None:
    pandas = pytest.importorskip("pandas")
    domains = {"d": hpo.choice([None, 0.5]), "o": hpo.ordinal([None, 1, 2]), "t": hpo.choice([(1,), (2, 3)])}
    results = hpo.tune(
        lambda c: 1.0, domains, metric="loss", num_trials=8, runtime="local", progress=False, storage="memory", seed=1
    )
    results.to_csv(tmp_path / "out.csv")
    for frame in (results.to_dataframe(), pandas.read_csv(tmp_path / "out.csv")):
        for trial, row in zip(results, frame.to_dict("records"), strict=True):
            point = {name: row[f"config/{name}"] for name in domains}
            assert results.spec.space.complete(point) == trial.config


# ------------------------------------------------------------------------------------------------ drawing


def test_domains_that_sample_from_gives_are_drawn_for_each_trial_anew() -> None:
    domains = {
        "depth": hpo.randint(1, 4),
        "width": hpo.sample_from(lambda c: [hpo.choice([10, 20, 30])] * c["depth"]),
        "up": hpo.sample_from(lambda c: hpo.uniform(0, c["depth"])),
        "deep": hpo.sample_from(lambda c: {"a": hpo.choice(["x", {"k": hpo.randint(0, 9)}]), "z": 1}),
    }

    def run() -> list[dict[str, Any]]:
        results = hpo.tune(
            lambda c: float(sum(c["width"])), domains, metric="loss", num_trials=20, seed=3, max_concurrent=1,
            sampler="random", runtime="local", progress=False, storage="memory",
        )  # fmt: skip
        return [dict(trial.config) for trial in results]

    configs = run()
    assert all(len(c["width"]) == c["depth"] and set(c["width"]) <= {10, 20, 30} for c in configs)
    assert all(0 <= c["up"] <= c["depth"] and c["deep"]["z"] == 1 for c in configs)
    assert len({tuple(c["width"]) for c in configs}) > 5 and len({c["up"] for c in configs}) == 20
    assert run() == configs


def test_domains_of_ray_tune_that_sample_from_gives_are_drawn() -> None:
    tune = pytest.importorskip("ray.tune")
    derived = hpo.Space(
        {"d": tune.randint(1, 4), "w": tune.sample_from(lambda spec: [tune.choice([1, 2])] * spec.config.d)}
    )
    for config in derived.sample(9, np.random.default_rng(0)):
        assert len(config["w"]) == config["d"] and set(config["w"]) <= {1, 2}
    assert len(derived.complete({"d": 3})["w"]) == 3


def test_a_domain_that_breaks_a_rule_names_the_parameter() -> None:
    broken = hpo.Space({"x": hpo.uniform(0, 1), "m": {"y": hpo.sample_from(lambda c: hpo.sample_from(lambda c: 1))}})
    with pytest.raises(SpaceError, match="sample_from at 'm/y' may return domains, but not another sample_from"):
        broken.sample(1, np.random.default_rng(0))
    empty = hpo.Space(
        {"x": hpo.uniform(0, 1), "y": hpo.sample_from(lambda c: [hpo.uniform(0, 1), {"/": hpo.uniform(0, 1)}])}
    )
    with pytest.raises(SpaceError, match="sample_from at 'y' gave"):
        empty.sample(1, np.random.default_rng(0))


# ------------------------------------------------------------------------------------------------ at the door


@pytest.mark.parametrize(
    "make", [hpo.choice, hpo.ordinal, hpo.grid_search, lambda o: hpo.Space({"a": {"grid_search": o}})]
)
@pytest.mark.parametrize("options", [{"a", "b"}, frozenset("ab"), {"a": 1}.keys() & {"a"}])
def test_a_set_is_no_list_of_options(make: Any, options: Any) -> None:
    with pytest.raises(SpaceError, match=r"takes a list of options, got a .*set.*sorted\("):
        make(options)


@pytest.mark.parametrize("options", [{"a": 1}, {"a": 1}.keys(), {"a": 1}.values()])
def test_a_dict_is_no_list_of_options(options: Any) -> None:
    with pytest.raises(SpaceError, match=r"got a dict.*list\("):
        hpo.choice(options)


HUGE = 10**5000


@pytest.mark.parametrize(
    "make",
    [
        lambda: hpo.choice([HUGE, 1]), lambda: hpo.ordinal([1, HUGE]),
        lambda: hpo.Space({"c": HUGE, "x": hpo.uniform(0, 1)}),
        lambda: hpo.Space({"c": [(HUGE,)], "x": hpo.uniform(0, 1)}), lambda: hpo.Space({"c": {"d": {HUGE}}}),
        lambda: hpo.Space({"x": hpo.randint(0, 3), "y": hpo.sample_from(lambda c: [HUGE])}).complete({"x": 1}),
    ],
)  # fmt: skip
def test_a_number_that_no_text_holds_is_refused_at_the_door(make: Any) -> None:
    with pytest.raises(SpaceError, match="whole number of 4,300 digits at most"):
        make()


@pytest.mark.parametrize(
    "make", [lambda: hpo.uniform(0, 10**400), lambda: hpo.randint(0, 10**400), lambda: hpo.randn(10**400)]
)
def test_bounds_that_no_float_holds_are_refused(make: Any) -> None:
    with pytest.raises(SpaceError, match="must be a finite number"):
        make()


def test_log_bounds_of_hyperopt_are_logarithms() -> None:
    hp = pytest.importorskip("hyperopt").hp
    for name in ("loguniform", "qloguniform"):
        with pytest.raises(SpaceError, match=r"parameter 'n': bounds of hyperopt's log domains are logarithms"):
            hpo.Space({"n": getattr(hp, name)("n", 1e-5, 1e3, *([1] if name == "qloguniform" else []))})


@pytest.mark.parametrize("depth", [120, 400, 3000])
def test_a_space_that_is_nested_too_deep_says_so(depth: int) -> None:
    branches: Any = hpo.uniform(0, 1)
    lists: Any = hpo.uniform(0, 1)
    constant: Any = 1
    for _ in range(depth):
        branches, lists, constant = hpo.choice([{"a": branches}, 1]), [lists], [constant]
    for thing in (branches, lists, *([constant] if depth == 3000 else [])):
        with pytest.raises(SpaceError, match="nested 100 deep"):
            hpo.Space({"d": thing, "x": hpo.uniform(0, 1)})


def test_a_space_as_deep_as_it_may_be_works() -> None:
    branches: Any = hpo.uniform(0, 1)
    for _ in range(49):
        branches = hpo.choice([{"a": branches}, 1])
    deep = hpo.Space({"d": branches})
    configs = deep.sample(20, np.random.default_rng(0))
    assert deep.decode(deep.encode(configs)) == configs
    assert hpo.Space.from_json(deep.to_json()) == deep and deep.complete(configs[0]) == configs[0]


def test_zero_has_no_sign() -> None:
    around = hpo.Space(
        {
            "q": hpo.quniform(-1, 1, 0.5),
            "n": hpo.qrandn(0, 1, 0.5),
            "f": hpo.Float(-1, 1, step=0.25),
            "z": hpo.Float(-0.0, 1),
        }
    )
    configs = [
        *around.sample(200, np.random.default_rng(0)),
        *around.decode(np.zeros((1, 4))),
        *around.decode(np.full((1, 4), 0.5)),
    ]
    for config in configs:
        assert all(math.copysign(1, value) == 1 for value in config.values() if value == 0)
    assert around.decode(around.encode(configs)) == configs


# ------------------------------------------------------------------------------------------------ mismatches and losses


def test_a_changed_function_or_part_is_named_in_words(tmp_path: Any) -> None:
    tune = functools.partial(
        hpo.tune,
        lambda c: c["x"],
        metric="loss",
        num_trials=1,
        runtime="local",
        progress=False,
        storage=tmp_path / "s.db",
        seed=1,
    )
    x = {"x": hpo.uniform(0, 1)}
    tune({**x, "m": {"y": hpo.sample_from(lambda c: c["x"] + 1)}}, name="derived")
    with pytest.raises(SpecMismatch, match="sample_from at 'm/y' has a different source than when the study began"):
        tune({**x, "m": {"y": hpo.sample_from(lambda c:  c["x"]+ 1)}}, name="derived")  # fmt: skip
    tune(hpo.Space(x, constraints=[lambda c: c["x"] >= 0]), name="constraint")
    with pytest.raises(SpecMismatch, match="constraint .* has a different source than when"):
        tune(hpo.Space(x, constraints=[lambda c: c["x"] >= -1]), name="constraint")
    tune(x, name="sampler", sampler="tpe")
    with pytest.raises(SpecMismatch, match="sampler=tpe, this run says sampler=random"):
        tune(x, name="sampler", sampler="random")
    with pytest.raises(SpecMismatch, match=r"sampler=tpe\(gamma=[0-9.]*\), this run says sampler=tpe\(gamma=0.3\)"):
        tune(x, name="sampler", sampler={"name": "tpe", "gamma": 0.3})


@pytest.mark.parametrize("sampler", ["de", "cmaes", "tpe", "random"])
def test_losses_beyond_64_bits_are_numbers_like_others(sampler: str) -> None:
    results = hpo.tune(
        lambda c: c["n"] * 2**80, {"n": hpo.randint(1, 100)}, metric="loss", num_trials=15, sampler=sampler, runtime="local",
        progress=False, storage="memory",
    )  # fmt: skip
    assert results.num_by_status["completed"] == 15


def test_several_losses_beyond_64_bits_are_numbers_like_others() -> None:
    results = hpo.tune(
        lambda c: {"loss": 1 / c["n"], "flops": c["n"] * 10**22}, {"n": hpo.randint(1, 100)}, metric=["loss", "flops"],
        num_trials=25, sampler="nsga2", runtime="local", progress=False, storage="memory",
    )  # fmt: skip
    assert results.num_by_status["completed"] == 25
