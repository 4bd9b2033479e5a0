"""Spaces: nesting, branches, constraints, derived values, and the ways a configuration travels."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from raytune_hpo.errors import SpaceError
from raytune_hpo.space import (
    Choice,
    Float,
    Int,
    Space,
    choice,
    grid_search,
    loguniform,
    ordinal,
    randint,
    randn,
    sample_from,
    uniform,
)


def double(config: dict[str, Any]) -> int:
    return 2 * int(config["depth"])


def ordered(config: dict[str, Any]) -> bool:
    return bool(config["a"] <= config["b"])


def rich() -> Space:
    svm = {
        "kind": "svm",
        "C": loguniform(0.1, 10),
        "kernel": choice(["rbf", {"name": "poly", "degree": randint(2, 5)}]),
    }
    return Space(
        {
            "seed": 7,
            "depth": randint(1, 9),
            "width": sample_from(double),
            "model": choice([svm, {"kind": "forest", "trees": Int(1, 100, log=True)}, "none"]),
            "layers": choice([[64, 64], [128]]),
            "rates": [uniform(0, 1), {"size": ordinal(["s", "m", "l"])}],
            "activation": choice([len, (1, 2), int, "relu"]),
            "noise": randn(0, 1),
        }
    )


def sample(space: Space, n: int = 200, seed: int = 1) -> list[dict[str, Any]]:
    return space.sample(n, np.random.default_rng(seed))


def test_columns_are_named_by_the_way_to_them() -> None:
    assert [column.name for column in rich().columns] == [
        "depth",
        "model",
        "model/svm/C",
        "model/svm/kernel",
        "model/svm/kernel/poly/degree",
        "model/forest/trees",
        "layers",
        "rates/0",
        "rates/1/size",
        "activation",
        "noise",
    ]


def test_options_without_a_telling_constant_are_named_by_position() -> None:
    space = Space({"x": choice([{"a": uniform(0, 1)}, {"a": uniform(0, 2)}, uniform(5, 6)])})
    assert [column.name for column in space.columns] == ["x", "x/0/a", "x/1/a", "x/2"]


def test_samples_pass_the_check_and_come_back() -> None:
    space = rich()
    configs = sample(space)
    for config in configs:
        space.check(config)
        assert config["width"] == 2 * config["depth"]
    assert space.decode(space.encode(configs)) == configs


def test_only_the_chosen_branch_exists() -> None:
    space = rich()
    unit = space.encode(sample(space))
    assert np.array_equal(~np.isnan(unit), space.active(unit))
    svm, c = unit[:, 1] < 1 / 3, unit[:, 2]
    assert np.array_equal(svm, ~np.isnan(c))


def test_an_objective_cannot_change_the_space() -> None:
    space = Space({"layers": choice([[64], [128]]), "fixed": {"deep": [1]}})
    for config in sample(space, 20):
        config["layers"].append(1)
        config["fixed"]["deep"].clear()
    assert {tuple(config["layers"]) for config in sample(space, 20)} == {(64,), (128,)}
    assert sample(space, 1)[0]["fixed"] == {"deep": [1]}


def test_a_constraint_holds_for_every_sample() -> None:
    space = Space({"a": uniform(0, 1), "b": uniform(0, 1)}, constraints=[ordered])
    configs = sample(space, 500)
    assert len(configs) == 500 and all(c["a"] <= c["b"] for c in configs)
    assert space.is_feasible([{"a": 0, "b": 1}, {"a": 1, "b": 0}]).tolist() == [True, False]
    with pytest.raises(SpaceError, match="'ordered' must hold"):
        space.check({"a": 1.0, "b": 0.5})


def test_a_space_without_feasible_configurations_names_the_constraint() -> None:
    def impossible(config: dict[str, Any]) -> bool:
        return bool(config["a"] > 1)

    with pytest.raises(SpaceError, match="impossible"):
        sample(Space({"a": uniform(0, 1)}, constraints=[impossible]), 1)


def test_a_constraint_that_raises_is_named_with_the_configuration() -> None:
    with pytest.raises(SpaceError, match=r"lambda.*KeyError.*'a': 0\.5"):
        Space({"a": uniform(0, 1)}, constraints=[lambda c: c["b"] > 0]).is_feasible([{"a": 0.5}])


def test_tables_show_active_parameters_only() -> None:
    config = {
        "seed": 7,
        "depth": 3,
        "width": 6,
        "model": {"kind": "svm", "C": 1.0, "kernel": {"name": "poly", "degree": 2}},
        "layers": [128],
        "rates": [0.5, {"size": "m"}],
        "activation": "relu",
        "noise": 0.0,
    }
    assert rich().flatten(config) == {
        "depth": 3,
        "model": "svm",
        "model/svm/C": 1.0,
        "model/svm/kernel": "poly",
        "model/svm/kernel/poly/degree": 2,
        "layers": [128],
        "rates/0": 0.5,
        "rates/1/size": "m",
        "activation": "relu",
        "noise": 0.0,
    }


def test_a_packed_configuration_is_json_and_comes_back_itself() -> None:
    space = rich()
    assert not space.plain
    for config in sample(space):
        back = space.unpack(json.loads(json.dumps(space.pack(config))))
        assert back == config
        assert type(back["activation"]) is type(config["activation"])


def test_packing_a_plain_space_costs_nothing() -> None:
    space = Space({"x": uniform(0, 1), "m": choice([{"k": "a", "y": randint(0, 3)}, None])})
    config = sample(space, 1)[0]
    assert space.plain and space.pack(config) is config and space.unpack(config) is config


def test_derived_values_travel_as_they_were_drawn() -> None:
    space = Space({"x": randint(0, 5), "f": sample_from(lambda c: {c["x"]}), "g": sample_from(lambda c: c["x"] + 1)})
    config = sample(space, 1)[0]
    packed = space.pack(config)
    assert packed == {"x": config["x"], "f": {"$value": ["set", [config["x"]]]}, "g": config["x"] + 1}
    assert space.unpack(packed) == config == Space.from_json(space.to_json()).unpack(packed)


def test_a_space_is_its_json() -> None:
    space = rich()
    stored = Space.from_json(json.loads(json.dumps(space.to_json())))
    assert stored == space == rich() and hash(stored) == hash(rich())
    assert stored != Space({"x": uniform(0, 1)})
    assert Space({"a": uniform(0, 1), "b": 1}) != Space({"b": 1, "a": uniform(0, 1)})  # columns have an order


def test_two_functions_are_told_apart_by_their_source() -> None:
    one, other = (Space({"x": randint(0, 3)}, constraints=[f]) for f in (lambda c: c["x"] > 0, lambda c: c["x"] > 1))
    assert one != other
    assert Space({"x": sample_from(double)}) == Space({"x": sample_from(double)})


def test_a_stored_space_shows_and_says_what_it_lacks() -> None:
    space = Space({"x": uniform(0, 1), "d": sample_from(double), "c": choice([len, 2])}, constraints=[ordered])
    stored = Space.from_json(space.to_json())
    assert stored.flatten({"x": 0.5, "d": 1, "c": 2}) == {"x": 0.5, "c": 2}
    with pytest.raises(SpaceError, match=r"'double'.*pass the original space"):
        stored.decode(np.full((1, 2), 0.3))
    with pytest.raises(SpaceError, match="'ordered'"):
        stored.is_feasible([{"x": 0.5}])


def test_a_finite_space_is_numbered_like_a_product() -> None:
    space = Space({"a": ordinal([3, 1]), "b": randint(0, 3), "c": 5})
    expected = [{"a": a, "b": b, "c": 5} for a, b in itertools.product([3, 1], range(3))]
    assert [space.at(i) for i in range(6)] == expected
    assert [space.index_of(config) for config in expected] == list(range(6))


def test_branches_are_counted_exactly() -> None:
    branch = choice(
        [{"k": "a", "n": randint(0, 3)}, {"k": "b", "m": choice([True, False]), "o": ordinal([1, 2])}, None]
    )
    space = Space({"x": branch, "y": grid_search([1, 2])})
    assert space.cardinality == (3 + 4 + 1) * 2
    configs = [space.at(i) for i in range(16)]
    assert [space.index_of(config) for config in configs] == list(range(16))
    assert len({json.dumps(config) for config in configs}) == 16


def test_an_infinite_space_becomes_finite_by_quantiles() -> None:
    space = Space({"lr": loguniform(1e-4, 1), "x": uniform(0, 2), "n": randint(0, 3)})
    assert space.cardinality is None
    with pytest.raises(SpaceError, match=r"'lr' is continuous; use discretised"):
        space.at(0)
    finite = space.discretised(3)
    assert finite.cardinality == 27
    assert sorted({finite.at(i)["lr"] for i in range(27)}) == pytest.approx([1e-4, 1e-2, 1])
    assert sorted({finite.at(i)["x"] for i in range(27)}) == [0, 1, 2]


def test_a_space_inside_a_space_keeps_its_constraints() -> None:
    inner = Space({"a": uniform(0, 1), "b": uniform(0, 1)}, constraints=[ordered])
    space = Space({"inner": inner, "x": randint(0, 3)})
    assert all(c["inner"]["a"] <= c["inner"]["b"] for c in sample(space))
    assert Space.of(space) is space
    listed = Space({"inners": [inner, 3]})
    assert all(c["inners"][0]["a"] <= c["inners"][0]["b"] for c in sample(listed, 20))
    with pytest.raises(SpaceError, match="inside a choice"):
        Space({"x": choice([inner, None])})


def test_a_space_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="cannot be changed"):
        rich().columns = ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("depth"), "'depth' is missing"),
        (lambda c: c.update(dept=1), "'dept' is not in the space; did you mean 'depth'"),
        (lambda c: c.update(depth=9), r"'depth' must lie in \[1, 8\], got 9"),
        (lambda c: c.update(depth=2.0), "'depth' must be a whole number, got 2.0"),
        (lambda c: c.update(depth="3"), "'depth' must be a whole number"),
        (lambda c: c.update(seed=8), "'seed' is always 7, got 8"),
        (lambda c: c.update(noise="loud"), "'noise' must be a number"),
        (lambda c: c.update(activation="tanh"), "'activation' must be one of"),
        (lambda c: c.update(layers=[1]), "'layers' must fit one of 2 options"),
        (lambda c: c.update(model={"kind": "tree"}), "'model/kind' must name an option"),
        (lambda c: c.update(model={"kind": "svm", "C": 99.0, "kernel": "rbf"}), r"'model/C' must lie in \[0.1, 10.0\]"),
        (lambda c: c.update(rates=[0.5]), "'rates' must be a list of 2"),
        (lambda c: c.pop("width"), "'width' is missing"),
    ],
)
def test_a_wrong_configuration_is_told_what_is_wrong(change: Callable[[dict[str, Any]], Any], message: str) -> None:
    space = rich()
    config = sample(space, 1)[0]
    change(config)
    with pytest.raises(SpaceError, match=message):
        space.check(config)


def test_a_value_off_its_grid_is_refused() -> None:
    with pytest.raises(SpaceError, match=r"'x' must be 0 plus a multiple of 0.25, got 0.3"):
        Space({"x": Float(0, 1, step=0.25)}).check({"x": 0.3})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Space({}), "at least one entry"),
        (lambda: Space([1]), "a dict of names"),
        (lambda: Space({1: uniform(0, 1)}), "must be strings"),
        (lambda: Space({"a/b": uniform(0, 1)}), 'have no "/"'),
        (lambda: Space({"$float": uniform(0, 1)}), r'do not begin with "\$", got .\$float'),
        (lambda: Space({"$option": 3}), "do not begin with"),
        (lambda: Space({"a": {"$x": uniform(0, 1)}}), "keys in 'a'.*do not begin with"),
        (lambda: Space({"a": choice([{"$x": uniform(0, 1)}, 1])}), "keys in 'a/0'.*do not begin with"),
        (lambda: Space({"a": {"b/c": uniform(0, 1)}}), "keys in 'a'"),
        (lambda: Space({"a": 1}, constraints=[3]), "a constraint is a function"),
        (lambda: Space({"a": 1}, constraints=ordered), "as a list"),
        (lambda: sample_from(3), "takes a function"),
        (lambda: Space({"a": {"grid_search": []}}), "parameter 'a': grid_search needs at least one"),
        (lambda: sample(Space({"a": sample_from(lambda c: c["b"]), "b": sample_from(lambda c: 1)}), 1), "stand before"),
        (lambda: Space({"a": uniform(0, 1)}).decode(np.zeros((2, 3))), r"shape \(n, 1\)"),
        (lambda: Space({"a": uniform(0, 1)}).decode(np.array([[np.nan]])), "'a' is active"),
        (lambda: Space({"a": uniform(0, 1)}).encode([{"b": 1}]), "'b' is not in the space"),
        (lambda: Space({"a": choice(["x"])}).encode([{"a": "y"}]), "'a' must be one of"),
        (lambda: Space({"a": randint(0, 3)}).at(3), "0 to 2"),
        (lambda: Space({"a": randint(0, 3)}).discretised(0), "at least one point"),
        (lambda: Space.from_json({"version": 99}), "version 1"),
        (lambda: Space.from_json({"version": 1, "name": "x", "constraints": [], "root": {"odd": {}}}), "'odd'"),
    ],
)
def test_what_makes_no_space_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        make()


def test_constants_may_be_anything() -> None:
    thing, table = object(), np.arange(3)
    space = Space({"x": uniform(0, 1), "thing": thing, "table": table, "odd": {1: {"a/b": 2}}, "n": np.float64(2)})
    config = sample(space, 1)[0]
    assert config["thing"] is thing and config["table"] is table and config["odd"] == {1: {"a/b": 2}}
    assert type(config["n"]) is float
    space.check(config)
    assert space.unpack(json.loads(json.dumps(space.pack(config))))["thing"] is thing


def test_what_users_write_into_dicts_changes_no_configuration() -> None:
    def doubled(config: dict[str, Any]) -> float:
        config["inner"]["y"] *= 2
        return float(config["inner"]["y"])

    def holds(config: dict[str, Any]) -> bool:
        return bool(config.pop("x") >= 0 and config["inner"].pop("y") <= 1)

    given = {"x": uniform(0, 1), "inner": {"y": uniform(0, 1)}, "twice": sample_from(doubled), "list": [1, {"a": 2}]}
    space = Space(given, constraints=[holds])
    given["list"][1]["a"] = 3  # type: ignore[index]
    for config in sample(space, 5):
        assert config["twice"] == 2 * config["inner"]["y"] <= 2 * 1 and "x" in config
        assert config["list"] == [1, {"a": 2}]
        space.check(config)


def test_grid_axes_are_marked() -> None:
    space = Space({"a": {"grid_search": [1, 2]}, "b": grid_search([3]), "c": choice([1])})
    assert [isinstance(c.domain, Choice) and c.domain.is_grid_axis for c in space.columns] == [True, True, False]


def test_importing_spaces_loads_no_foreign_library() -> None:
    code = (
        "import sys, raytune_hpo.space; print({'ray', 'scipy', 'optuna', 'hyperopt', 'ConfigSpace'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
