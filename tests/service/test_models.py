"""Models on tables: what may be asked for, what is refused and where, and a script that gives the measured value again."""

from __future__ import annotations

import asyncio
import io
import random
import subprocess
import sys

import numpy as np
import pytest

from raytune_hpo.rng import derive
from raytune_hpo.service.models.estimators import ESTIMATORS, TASKS, estimators_of
from raytune_hpo.service.models.objective import ModelObjective, planned
from raytune_hpo.service.models.scores import SCORES
from raytune_hpo.service.models.script import script
from raytune_hpo.service.models.tables import Tables, bundled
from raytune_hpo.service.models.training import Training
from raytune_hpo.service.problems import Problem
from raytune_hpo.service.shapes import ModelsOnTable, NewStudy, checked
from raytune_hpo.service.space_form import space_of


def asked(**changes):
    fields = {"kind": "sklearn", "dataset": "bundled:iris", "target": "target", "estimators": {"tree": None}, **changes}
    return ModelsOnTable(**fields)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Numbers with gaps, texts of few and of many values, two classes and a number to predict."""
    draws = random.Random(3)
    lines = ['"size ";colour;city;name with "" and <b>;price;kind']
    for _ in range(90):
        size, colour = draws.gauss(0, 1), draws.choice(["red", "blue", ""])
        gap = "NA" if draws.random() < 0.1 else f"{size:.4f}"
        kind = "good" if size + (colour == "red") + draws.gauss(0, 0.5) > 0 else "bad"
        lines.append(f"{gap};{colour};city {draws.randrange(60)};{draws.randrange(9)};{3 * size + 7:.3f};{kind}")
    tables = Tables(tmp_path_factory.mktemp("tables"))
    return asyncio.run(tables.add(io.BytesIO("\n".join(lines).encode()), "mixed, of all.csv"))


@pytest.mark.parametrize(
    ("changes", "metric", "pointer", "said"),
    [
        ({"target": "targte"}, None, "/objective/target", "did you mean 'target'"),
        ({}, "accuarcy", "/metric", "did you mean 'accuracy'"),
        ({}, "roc_auc", "/metric", "two classes"),
        ({"folds": 50}, None, "/objective/folds", "must be 2 to 20; got 50. With 5, each fold has 30 rows"),
        ({"target": "sepal length (cm)", "folds": 5}, None, "/objective/target", "every fold needs one"),
        ({"dataset": "bundled:diabetes", "target": "target"}, None, "/objective/target", "choose to predict a number"),
        ({"estimators": {"forest": None}}, None, "/objective/estimators/forest", "did you mean"),
        ({"estimators": {"ridge": None}}, "log_loss", "/objective/estimators/ridge", "no probabilities"),
        (
            {"estimators": {"linear_regression": None}},
            None,
            "/objective/estimators/linear_regression",
            "is not a model for this task",
        ),
        ({"estimators": {"tree": {"depth": {}}}}, None, "/objective/estimators/tree/depth", "did you mean 'max_depth'"),
        (
            {"estimators": {"tree": {"max_depth": {"low": 9, "high": 2}}}},
            None,
            "/objective/estimators/tree/max_depth",
            '"from" must be below "to"; it goes from 9 to 2',
        ),
        (
            {"estimators": {"random_forest": {"n_estimators": {"high": 100_000}}}},
            None,
            "/objective/estimators/random_forest/n_estimators",
            "must be 1 to 2000",
        ),
        (
            {"estimators": {"tree": {"max_depth": {"low": 1.5}}}},
            None,
            "/objective/estimators/tree/max_depth",
            "whole number",
        ),
        (
            {"estimators": {"svm": {"kernel": {"values": ["rbf", "os.system"]}}}},
            None,
            "/objective/estimators/svm/kernel",
            "among rbf, linear",
        ),
        ({"left_out": ["colour"]}, None, "/objective/left_out", "no column 'colour'"),
        (
            {"left_out": [column.name for column in bundled("iris").columns[:4]]},
            None,
            "/objective/left_out",
            "all are left out",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused_at_its_field(changes, metric, pointer, said):
    wanted = asked(**changes)
    with pytest.raises(Problem) as caught:
        planned(wanted, bundled(wanted.dataset.removeprefix("bundled:")), metric, 0)
    assert (caught.value.status, dict(caught.value.errors).keys() & {pointer}) == (422, {pointer})
    assert said in dict(caught.value.errors)[pointer]


def test_no_model_looks_for_more_neighbours_than_there_are_rows(mixed):
    proposed = objective_on(mixed, "classification", None, {"k_nearest_neighbours": None})[1]
    assert proposed["model"]["options"]["k_nearest_neighbours"]["n_neighbors"]["high"] == 45
    with pytest.raises(Problem, match="must be 1 to 45; got 60"):
        objective_on(mixed, "classification", None, {"k_nearest_neighbours": {"n_neighbors": {"high": 60}}})


def test_all_that_is_wrong_is_said_at_once():
    wanted = asked(folds=1, estimators={"nothing": None}, left_out=["colour"])
    with pytest.raises(Problem) as caught:
        planned(wanted, bundled("iris"), "r2", 0)
    assert len(caught.value.errors) == 4


def test_a_target_must_be_there_in_every_row_and_vary(tmp_path):
    tables = Tables(tmp_path)
    gaps = asyncio.run(tables.add(io.BytesIO(b"a,b\n1,x\n2,\n3,x\n4,y\n"), "gaps.csv"))
    same = asyncio.run(tables.add(io.BytesIO(b"a,b\n1,x\n2,x\n3,x\n4,x\n"), "same.csv"))
    for table, said in ((gaps, "missing in 1 of 4"), (same, "the same in every row")):
        with pytest.raises(Problem, match=said):
            planned(asked(target="b", folds=2), table, None, 0)


def test_pointers_name_the_field_and_not_how_it_was_checked():
    body = {"name": "a", "objective": {**asked().model_dump(), "num_workers": 0}}
    with pytest.raises(Problem) as caught:
        checked(NewStudy, body)
    assert [pointer for pointer, _ in caught.value.errors] == ["/objective/num_workers"]


@pytest.mark.parametrize(
    ("changes", "pointer", "said"),
    [
        ({}, "/space", "must be an object; got 3"),
        ({"space": None, "nam": 1}, "/nam", "is not known; known: name, objective, space, "),
        ({"limits": {"trials": 3}}, "/limits/trials", "is not known; known: num_trials, time_budget_s, "),
        ({"limits": {"num_trials": True}}, "/limits/num_trials", "must be a whole number; got true"),
        ({"max_retries": 101}, "/max_retries", "must be at most 100; got 101"),
        ({"name": ""}, "/name", "must have a length of at least 1; got ''"),
        ({"objective": {"kind": "ray"}}, "/objective", "must have as 'kind' one of 'http', 'sklearn', 'entry_point'"),
        ({"objective": {"kind": "http", "of": 1}}, "/objective/of", "is not known; known: kind"),
        ({"objective": {"kind": "entry_point"}}, "/objective/name", "must be there"),
    ],
)
def test_what_breaks_a_shape_is_told_the_rule_and_what_came(changes, pointer, said):
    with pytest.raises(Problem) as caught:
        checked(NewStudy, {"name": "a", "space": 3, **changes})
    messages = dict(caught.value.errors)
    assert messages[pointer].startswith(said)
    assert caught.value.detail == " ".join(caught.value.errors[0])


def test_every_estimator_has_a_table_that_its_class_accepts():
    for task in TASKS:
        for estimator in estimators_of(task):
            for parameter in estimator.parameters:
                assert parameter.form()["type"] == parameter.kind
                assert parameter.kind == "choice" or parameter.least <= parameter.low < parameter.high <= parameter.most
            estimator.build(task, {}, 0)
    assert {score.task for score in SCORES.values()} == set(TASKS)
    assert len(ESTIMATORS) >= 13


def objective_on(table, task, metric, estimators, **more):
    target = {"classification": "kind", "regression": "price"}[task] if not table.is_bundled else "target"
    wanted = asked(dataset=table.id, target=target, task=task, folds=2, estimators=estimators, **more)
    return planned(wanted, table, metric, 7)


def run(text, folder, *args):
    path = folder / "best.py"
    path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(path), *map(str, args)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("task", "metric", "names"),
    [
        ("classification", "roc_auc", ["hist_gradient_boosting", "logistic_regression"]),
        ("classification", "log_loss", ["random_forest"]),
        ("regression", "rmse", ["ridge", "tree"]),
    ],
)
def test_the_script_of_a_configuration_prints_what_was_measured(mixed, tmp_path, task, metric, names):
    objective, form = objective_on(
        mixed, task, metric, dict.fromkeys(names), left_out=["city"] if metric == "rmse" else []
    )
    assert objective == ModelObjective.from_json(objective.to_json())
    training = Training(objective, mixed.path)
    for config in space_of(form).sample(1, derive(1, "script")):
        value = training(config)[metric]
        text = script(objective, config, "a study, trial 3", value)
        assert "raytune" not in text
        assert run(text, tmp_path, mixed.path) == f"{value:.6g}"


def test_the_script_of_a_bundled_table_needs_no_file(tmp_path):
    objective, form = objective_on(bundled("iris"), "classification", "accuracy", {"tree": None})
    (config,) = space_of(form).sample(1, derive(1, "script"))
    value = Training(objective, None)(config)["accuracy"]
    assert run(script(objective, config, "", value), tmp_path) == f"{value:.6g}"


@pytest.mark.slow
@pytest.mark.parametrize(("task", "name"), [(task, e.name) for task in TASKS for e in estimators_of(task)])
def test_every_estimator_trains_on_a_mixed_table_at_both_ends_of_its_ranges(mixed, task, name):
    objective, form = objective_on(mixed, task, None, {name: None})
    space = space_of(form)
    for corner in (np.zeros, np.ones):
        config = space.decode(corner((1, len(space.columns))))[0]
        assert np.isfinite(Training(objective, mixed.path)(config)[objective.score])
