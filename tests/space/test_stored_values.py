"""What a trial got is kept, or said to be unkeepable; and no value keeps a study from being read."""

from __future__ import annotations

import enum
import functools
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo.codec import decode, encode
from raytune_hpo.core.audit import audit
from raytune_hpo.errors import SpaceError, SpecMismatch
from raytune_hpo.facts import StudyCreated
from raytune_hpo.journal import open_storage
from raytune_hpo.space.stored import Named, NotStored, from_stored, to_stored
from raytune_hpo.spec import StudySpec

SETTINGS: dict[str, Any] = {"metric": "loss", "runtime": "local", "progress": False, "name": "study"}


class Colour(enum.Enum):
    RED = 1


class Loss:
    """An object of one's own class, with the repr that every object has."""

    def __init__(self, power: int = 1) -> None:
        self.power = power


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


def half(x: float) -> float:
    return x / 2


def tune(space: Any, storage: Any, num_trials: int = 4, **settings: Any) -> hpo.Results:
    return hpo.tune(lambda c: c["x"], space, num_trials=num_trials, storage=storage, **SETTINGS, **settings)


def through_json(value: Any) -> Any:
    return from_stored(json.loads(json.dumps(to_stored(value), allow_nan=False)))


@pytest.mark.parametrize(
    "value",
    [
        (1, (2, "a")), {1: "a", (2, 3): None}, {"$opaque": "x"}, {"deep": [{"t": ()}]}, b"\x00\xff", bytearray(b"a"), 1 + 2j,
        Decimal("1.10"), Fraction(1, 3), date(2026, 2, 28), datetime(2026, 2, 28, 1, tzinfo=timezone.utc),
        timedelta(1, 2, 3),
        Path("a/b"), range(1, 9, 2), slice(None, 3), {3, 1}, frozenset("ab"), UUID(int=7), ..., np.int64(3),
        np.datetime64("2026-01-01"), dict, len, half, json.JSONDecodeError, Colour.RED,
        np.tanh,
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_values_come_back_as_themselves(value: Any) -> None:
    back = through_json(value)
    assert back == value and type(back) is type(value)


@pytest.mark.parametrize(
    "array", [np.eye(2), np.array([], np.int8), np.array(["a", "bc"]), np.array([True]), np.float32(2)]
)
def test_arrays_come_back_with_shape_and_type(array: Any) -> None:
    back = through_json(array)
    assert back.dtype == array.dtype and back.shape == array.shape and np.array_equal(back, array)


def test_a_partial_comes_back_with_its_function() -> None:
    back = through_json(functools.partial(half, x=3))
    assert back.func is half and back() == 1.5


@pytest.mark.parametrize("value", [lambda: 1, Loss(), Mute(), object(), np.zeros(10**5), np.array([Loss()]), open])
def test_what_cannot_be_kept_says_so_when_it_is_shown_and_when_it_is_used(value: Any) -> None:
    back = through_json([value])[0]
    if value is open:  # of module _io, where it has its name
        assert back is open
        return
    assert isinstance(back, NotStored) and repr(back).startswith("<") and repr(back).endswith(", not stored>")
    uses: list[Callable[[], Any]] = [
        lambda: back(),
        lambda: back.shape,
        lambda: back + 1,
        lambda: 2.0 * back,
        lambda: float(back),
    ]
    for use in uses:
        with pytest.raises(SpaceError, match="not stored.*kept"):
            use()
    assert not hasattr(back, "predict") and back == through_json([value])[0]


def test_a_value_that_holds_itself_is_kept_by_its_text() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert isinstance(through_json([endless, 1])[0], (NotStored, list))


def test_a_name_is_imported_when_it_is_used_and_not_before() -> None:
    code = (
        "import sys, raytune_hpo.space.stored as stored\n"
        "value = stored.from_stored({'$named': 'colorsys:rgb_to_hsv'})\n"
        "print(repr(value), 'colorsys' in sys.modules)\n"
        "print(value(0, 0, 0), 'colorsys' in sys.modules, stored.from_stored({'$named': 'colorsys:rgb_to_hsv'}) == value)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["colorsys.rgb_to_hsv False", "(0.0, 0.0, 0) True True"]


def test_showing_a_stored_study_imports_nothing(tmp_path: Path) -> None:
    import colorsys

    space = {
        "x": hpo.uniform(0, 1),
        "f": hpo.choice([colorsys.rgb_to_hsv, colorsys.rgb_to_hls]),
        "c": colorsys.rgb_to_yiq,
        "d": hpo.sample_from(lambda c: colorsys.hsv_to_rgb),
    }
    tune(space, tmp_path / "s.db")
    code = (
        "import sys, raytune_hpo as hpo\n"
        "results = hpo.load('study', 's.db')\n"
        "str(results), results._repr_html_(), results.to_csv('out.csv'), results.to_json('out.json')\n"
        "results.plot.page('out.html')\n"
        "print(results.best_config['c'], 'colorsys' in sys.modules, results.best_config['d'](0, 0, 1))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "colorsys.rgb_to_yiq False (1, 1, 1)", done.stderr


def test_a_name_stands_for_classes_functions_and_enums_only() -> None:
    for name in ("sys:modules", "os:environ", "json:nothing", "no_such_module:f"):
        value = from_stored({"$named": name})
        assert isinstance(value, Named)
        with pytest.raises(SpaceError, match=name.replace(":", ".")):
            value()


def drawn_by_chance(config: dict[str, Any]) -> dict[str, Any]:
    vector = np.random.rand(3)
    return {"v": vector, "pick": np.random.choice([16, 32]), "t": (1, np.float32(2)), "l": [np.int64(3)], "f": half}


def test_results_show_what_ran_whatever_sample_from_gave(tmp_path: Path) -> None:
    ran: dict[float, Any] = {}

    def objective(config: dict[str, Any]) -> float:
        ran[config["x"]] = config["y"]
        return float(config["x"])

    storage = tmp_path / "s.db"
    space = {"x": hpo.uniform(0, 1), "y": hpo.sample_from(drawn_by_chance)}
    results = hpo.tune(objective, space, num_trials=6, sampler="random", storage=storage, **SETTINGS)
    for found in (results, hpo.load("study", storage)):
        for trial in found:
            got, shown = ran[trial.config["x"]], trial.config["y"]
            assert np.array_equal(got["v"], shown["v"]) and shown["f"] is half
            assert all(got[key] == shown[key] for key in ("pick", "t", "l"))
            assert type(got["pick"]) is int and type(got["t"][1]) is float and type(got["l"][0]) is int
        assert "study" in str(found)
    again = hpo.tune(objective, space, num_trials=8, sampler="random", storage=storage, **SETTINGS)
    assert len(again) == 8
    assert audit(open_storage(str(storage)).read("study")).is_clean


def test_an_object_that_was_drawn_is_the_same_in_this_process_and_a_text_in_others(tmp_path: Path) -> None:
    seen: list[Any] = []

    def objective(config: dict[str, Any]) -> float:
        seen.append(config["y"])
        return float(config["x"])

    space = {"x": hpo.uniform(0, 1), "y": hpo.sample_from(lambda c: Loss(np.random.randint(99)))}
    results = hpo.tune(objective, space, num_trials=3, storage=tmp_path / "s.db", max_concurrent=1, **SETTINGS)
    assert [trial.config["y"] for trial in results] == seen
    stored = hpo.load("study", tmp_path / "s.db")
    assert all("not stored" in repr(trial.config["y"]) for trial in stored)
    assert [trial.config["x"] for trial in stored] == [trial.config["x"] for trial in results]


def test_a_second_attempt_has_the_value_of_the_first(tmp_path: Path) -> None:
    space = {"x": hpo.uniform(0, 1), "y": hpo.sample_from(drawn_by_chance)}
    settings: dict[str, Any] = {"metric": "loss", "name": "s", "storage": tmp_path / "s.db"}
    study = hpo.Study(space, **settings)
    first = study.ask().config
    study.close()
    again = hpo.Study(space, **settings)
    second = again.ask()
    again.close()
    assert second.attempt == 2 and np.array_equal(second.config["y"]["v"], first["y"]["v"])


class Huber:
    pass


ALIKE: dict[str, Any] = {
    "lambdas": hpo.choice([lambda v: 1, lambda v: 2]),
    "objects": hpo.choice([Huber(), Huber(), Huber()]),
    "grid": hpo.grid_search([lambda v: 1, lambda v: 2]),
    "ordinal": hpo.ordinal([Huber(), Huber()]),
    "tuples": hpo.choice([(lambda v: 1, 1), (lambda v: 2, 1)]),
    "dicts": hpo.choice([{"f": Huber()}, {"f": Huber()}]),
    "branches": hpo.choice([{"f": Huber()}, {"f": Huber(), "p": hpo.uniform(0, 1)}, Huber(), Huber()]),
    "weighted": hpo.Choice([Huber(), Huber()], [1, 3]),
    "constants": (Huber(), [Huber(), lambda v: 1]),
}


@pytest.mark.parametrize("kind", ALIKE)
def test_options_of_the_same_text_are_told_apart_by_position(kind: str, tmp_path: Path) -> None:
    space, storage = {"x": hpo.uniform(0, 1), "y": ALIKE[kind]}, tmp_path / "s.db"
    tune(space, storage, sampler="random", seed=1)
    results = tune(space, storage, 7, sampler="random", seed=1)
    stored = hpo.load("study", storage)
    assert stored.spec.space == results.spec.space
    for live, read in zip(results, stored, strict=True):
        assert live.config["x"] == read.config["x"]
        unit = results.spec.space.encode([live.config]), stored.spec.space.encode([read.config])
        assert np.array_equal(*unit, equal_nan=True)
    assert "study" in str(stored) and stored.to_dataframe().shape[0] == 7
    stored.to_json(tmp_path / "out.json")
    assert audit(open_storage(str(storage)).read("study")).is_clean


def test_stand_ins_of_the_same_text_are_numbered(tmp_path: Path) -> None:
    space = hpo.Space({"f": hpo.choice([Loss(), Loss()])})
    (column,) = hpo.Space.from_json(space.to_json()).columns
    name = f"{Loss.__module__}.Loss object"
    assert list(map(repr, column.domain.options)) == [f"<{name} number {i}, not stored>" for i in (1, 2)]


NAN = float("nan")


@pytest.mark.parametrize(
    "part",
    [
        NAN,
        [NAN, 1],
        (NAN,),
        hpo.choice([NAN, 0.0]),
        hpo.ordinal([NAN, 1.0]),
        hpo.choice([{"q": NAN, "p": hpo.uniform(0, 1)}, 1]),
    ],
    ids=["constant", "list", "tuple", "choice", "ordinal", "branch"],
)
def test_a_space_with_nan_is_continued(part: Any, tmp_path: Path) -> None:
    space = {"x": hpo.uniform(0, 1), "y": part}
    tune(space, tmp_path / "s.db", 3, seed=0)
    assert len(tune(space, tmp_path / "s.db", 5, seed=0)) == 5
    for fact in open_storage(str(tmp_path / "s.db")).read("study"):
        assert "NaN" not in encode(fact)


def test_a_nan_of_optuna_is_continued() -> None:
    optuna = pytest.importorskip("optuna")
    space = hpo.Space({"y": optuna.distributions.CategoricalDistribution([NAN, 1.0])})
    spec = StudySpec(name="s", space=space, goals=(hpo.Goal("loss"),), sampler=hpo_part())
    kind, version, body = "StudyCreated", 1, encode(StudyCreated(spec=spec.to_json(), at=0.0))
    fact = decode(kind, version, body)
    assert isinstance(fact, StudyCreated)
    spec.require_same(StudySpec.from_json(fact.spec))


def hpo_part() -> Any:
    from raytune_hpo.spec import Part

    return Part(name="random")


def test_a_constant_set_is_the_same_in_every_process() -> None:
    code = (
        "import json, raytune_hpo as hpo\n"
        "space = hpo.Space({'x': hpo.uniform(0, 1), 'c': {'a', 'b', 'c', 'd'}, 't': (frozenset('xyz'), 1)})\n"
        "print(json.dumps([space.to_json(), space.pack(space.complete({'x': 0.5}))]))\n"
    )
    texts = set()
    for seed in ("1", "2", "3"):
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        texts.add(done.stdout)
    assert len(texts) == 1


# ------------------------------------------------------------------------------------------------ earlier releases


def taken_back(space: hpo.Space, text_of: Callable[[Any], str]) -> dict[str, Any]:
    """The JSON of a space as the first release wrote it: whatever JSON cannot carry by its text, with all that is in it."""

    def former(form: Any) -> Any:
        if isinstance(form, dict) and form.keys() & {"$value", "$named"}:
            return {"$opaque": text_of(from_stored(form))}
        if isinstance(form, dict):
            return {key: former(item) for key, item in form.items()}
        return list(map(former, form)) if isinstance(form, list) else form

    json_form: dict[str, Any] = former(space.to_json())
    return json_form


def first_text(value: Any) -> str:
    if isinstance(value, type) or callable(value):
        return f"{value.__module__}.{value.__qualname__}" if hasattr(value, "__qualname__") else repr(value)
    return repr(value)


BEFORE = {
    "tuple": hpo.choice([(64,), (128, 64)]),
    "tuple of classes": hpo.choice([(dict, 1), (int, 2)]),
    "class": hpo.choice([dict, Decimal]),
    "function": hpo.choice([half, json.dumps]),
    "array": hpo.choice([np.array([0.5, 0.5]), np.arange(20.0)]),
    "ordinal": hpo.ordinal([(1,), (2,)]),
    "grid": hpo.grid_search([(1,), (2,)]),
    "decimal": hpo.choice([Decimal("1.5"), Path("a")]),
    "date": hpo.choice([date(2026, 2, 28), b"x"]),
    "constant tuple": (1, (2, "a")),
    "constant class": Decimal,
    "constant array": np.ones(3),
    "branch": hpo.choice([{"kind": "a", "taps": (1, 2), "y": hpo.uniform(0, 1)}, {"kind": "b", "of": Decimal}]),
    "list of tuples": hpo.choice([[(1, 2)], [(3,)]]),
}


def stored_before(space: hpo.Space, storage: Path) -> None:
    """A study of the first release, in which nothing was run yet."""
    spec = StudySpec(name="study", space=space, goals=(hpo.Goal("loss"),), sampler=hpo_part(), seed=3).to_json()
    created = StudyCreated(spec={**spec, "space": taken_back(space, first_text)}, at=0.0)
    journal = open_storage(str(storage)).journal("study", create=True, owner="earlier")
    journal.append([created], expect=0)
    journal.close()


@pytest.mark.parametrize("kind", BEFORE)
def test_a_study_of_the_first_release_goes_on(kind: str, tmp_path: Path) -> None:
    space = hpo.Space({"x": hpo.uniform(0, 1), "y": BEFORE[kind]})
    stored_before(space, tmp_path / "s.db")
    results = tune(space, tmp_path / "s.db", sampler="random", seed=3)
    assert results.num_by_status["completed"] == 4
    again = hpo.load("study", tmp_path / "s.db")
    assert [t.config["x"] for t in again] == [t.config["x"] for t in results]


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (hpo.choice([(1,), (2,)]), hpo.choice([(1,), (3,)]), r"=<\(2,\), not stored>, this run says .*=\(3,\)"),
        (hpo.choice([dict, int]), hpo.choice([dict, float]), r"=<builtins.int, not stored>, .* says .*=builtins.float"),
        ((1, 2), (1, 2.5), r"\(1, 2\).*this run says .*2.5"),
        (hpo.choice([(1,), (2,)]), hpo.choice(["(1,)", "(2,)"]), r"this run says .*='\(1,\)'"),
    ],
    ids=["tuple", "class", "constant", "text"],
)  # fmt: skip
def test_a_study_of_the_first_release_with_another_space_is_refused(
    before: Any, now: Any, said: str, tmp_path: Path
) -> None:
    stored_before(hpo.Space({"x": hpo.uniform(0, 1), "y": before}), tmp_path / "s.db")
    with pytest.raises(SpecMismatch, match=said):
        tune({"x": hpo.uniform(0, 1), "y": now}, tmp_path / "s.db", sampler="random", seed=3)
