"""Lookup tables and the spaces of their files."""

import json

import numpy as np
import pandas as pd
import pytest
from experiment_tables import frame, written

import raytune_hpo as hpo
from raytune_hpo.errors import SpaceError, SpecError
from raytune_hpo.experiments import LookupTable, find_task
from raytune_hpo.space import Choice, Float, Int, Ordinal
from raytune_hpo.tables import hp_conf
from raytune_hpo.tables.lookup_table import interpolated


def test_a_tables_rows_are_the_space_and_its_curves_are_straight_between_their_points(tmp_path):
    table, rows = LookupTable.read(written(tmp_path)), frame()
    assert table.space.cardinality == len(rows) == len(table.seconds)
    assert table.num_steps == 9
    config = table.space.at(7)
    assert (config["lr"], config["width"], config["act"]) == tuple(rows.loc[7, ["lr", "width", "act"]])
    curve = table.curves[table.row(config)]
    np.testing.assert_allclose(curve[[0, 2, 8]], rows.loc[7, ["acc_epoch1", "acc_epoch3", "acc_epoch9"]].astype(float))
    np.testing.assert_allclose(curve[1], (curve[0] + curve[2]) / 2)
    assert table.value(config) == curve[-1]


def test_points_that_are_missing_are_passed_over_and_ends_are_level():
    points = {2: np.array([1.0, np.nan]), 4: np.array([3.0, 5.0]), 5: np.array([np.nan, 6.0])}
    np.testing.assert_allclose(interpolated(points, 6), [[1, 1, 2, 3, 3, 3], [5, 5, 5, 5, 6, 6]])


def test_rows_without_a_value_and_rows_that_repeat_are_left_out(tmp_path):
    rows = frame(num=20)
    rows.loc[3, "acc_epoch9"] = np.nan
    rows.loc[5, "duration_s"] = np.nan
    rows.loc[9, ["lr", "width", "act"]] = rows.loc[8, ["lr", "width", "act"]].to_numpy()
    rows.to_csv(tmp_path / "t.csv", index=False)
    assert LookupTable.read(tmp_path / "t.csv").space.cardinality == 17


def test_final_values_alone_make_a_table_too(tmp_path):
    rows = frame(num=10).drop(columns=["acc_epoch1", "acc_epoch3"]).rename(columns={"acc_epoch9": "best_acc"})
    rows.to_csv(tmp_path / "t.csv", index=False)
    table = LookupTable.read(tmp_path / "t.csv")
    assert table.num_steps == 1
    np.testing.assert_allclose(table.curves[:, 0], rows["best_acc"])


@pytest.mark.parametrize("without", ["duration_s", "acc"])
def test_a_file_that_is_no_table_is_refused(tmp_path, without):
    rows = frame(num=5)
    rows.drop(columns=[c for c in rows if c.startswith(without)]).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(SpecError, match="a lookup table has"):
        LookupTable.read(tmp_path / "t.csv")
    with pytest.raises(SpecError, match="no lookup table at"):
        LookupTable.read(tmp_path / "other.csv")
    with pytest.raises(SpecError, match="a task is a lookup table"):
        find_task(tmp_path / "t.txt")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("t.csv", "epoch_1,duration_s\n0.3,3\n", "a column for each parameter, .* has none beside epoch_1, duration_s"),
        (
            "t.csv",
            "lr,epoch_1,duration_s\n0.1,abc,3\n0.2,1,3\n",
            "column 'epoch_1' of a lookup table has numbers: .*'abc'",
        ),
        ("t.csv", "lr,best,duration_s\n0.1,1,3\n0.2,1,3\n", "its curves in columns like 'epoch_1'"),
        ("t.csv", "lr,epoch_1,duration_s\n,1,3\n0.2,1,3\n", "a finite number in each row, 'lr' is nan in row 0"),
        (
            "t.csv",
            "lr,epoch_1,duration_s\n0.1,1,3\n0.2,1,-3\n",
            "never decrease, table 't' has -3 for ..lr.: 0.2",
        ),
        ("t.csv", "", r"t\.csv is not: No columns"),
        ("t.parquet", "none", r"t\.parquet is not: .*Parquet"),
    ],
)
def test_a_file_that_is_no_table_is_named_with_what_is_wrong(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(SpecError, match=said):
        LookupTable.read(tmp_path / name)


def test_a_metric_that_is_not_the_usual_one_needs_its_mode(tmp_path):
    (tmp_path / "t.csv").write_text("lr,loss,duration_s\n0.1,9,3\n0.2,1,3\n")
    with pytest.raises(SpecError, match="does not say whether 'loss' is minimised; set mode="):
        LookupTable.read(tmp_path / "t.csv", metric="loss")
    with pytest.raises(SpecError, match='"min" or "max", got \'maximum\''):
        LookupTable.read(tmp_path / "t.csv", metric="loss", mode="maximum")
    assert LookupTable.read(tmp_path / "t.csv", metric="loss", mode="min").mode == "min"


def test_steps_from_0_all_count_one_more_and_an_index_is_no_hyperparameter(tmp_path):
    rows = pd.DataFrame(
        {"lr": [0.1, 0.2], "opt": ["sgd", None], "epoch_0": [1, 2], "epoch_2": [3, 4], "duration_s": 6.0}
    )
    rows.to_csv(tmp_path / "t.csv")  # with the index, as pandas does unless told otherwise
    table = LookupTable.read(tmp_path / "t.csv")
    assert list(table.space.candidates.configs) == [{"lr": 0.1, "opt": "sgd"}, {"lr": 0.2, "opt": None}]
    assert table.curves.tolist() == [[1, 2, 3], [2, 3, 4]]


def test_trials_of_a_table_take_what_it_says_and_report_its_curve(tmp_path):
    task = find_task(written(tmp_path))
    config = task.space.at(0)
    rows = list(task.objective(config))
    assert [row["step"] for row in rows] == list(range(1, 10))
    assert rows[-1]["accuracy"] == task.truth(config)
    np.testing.assert_allclose([row["cost_s"] for row in rows], (10 + config["width"]) * np.arange(1, 10) / 9)
    results = hpo.simulate(task.objective, task.space, metric="accuracy", mode="max", num_trials=5, sampler="random")
    assert [trial.duration_s for trial in results] == pytest.approx([10 + trial.config["width"] for trial in results])


# ------------------------------------------------------------------------------------------------ hp_conf

CONF = {
    "hyperparams": {
        "act": {"type": "str", "value_type": "categorical", "range": ["relu", "tanh"]},
        "lr": {"type": "float", "value_type": "continuous", "range": [-4, -0.5], "power_of": 10},
        "width": {"type": "int", "value_type": "discrete", "range": [8, 256]},
        "batch": {"type": "int", "value_type": "preordered", "range": [16, 64, 256]},
        "keep": {"type": "float", "value_type": "continuous", "range": [0.1, 1.0]},
    },
    "param_order": ["lr", "width", "act", "batch", "keep"],
    "config": {"max_epoch": 15},
}


def conf_file(folder, data=CONF):
    path = folder / "hp_conf.json"
    path.write_text(json.dumps(data))
    return path


def test_the_old_space_files_are_read(tmp_path):
    path = conf_file(tmp_path)
    assert hp_conf.domains_of(path) == {
        "lr": Float(1e-4, 10**-0.5, log=True),
        "width": Int(8, 256),
        "act": Choice(["relu", "tanh"]),
        "batch": Ordinal([16, 64, 256]),
        "keep": Float(0.1, 1.0),
    }
    assert list(hp_conf.domains_of(path)) == CONF["param_order"]
    assert hp_conf.last_step(path) == 15


def test_a_table_with_a_space_file_has_its_domains_and_its_last_step(tmp_path):
    data = {**CONF, "hyperparams": {k: CONF["hyperparams"][k] for k in ("lr", "width", "act")}}
    data["param_order"] = ["act", "lr", "width"]
    table = LookupTable.read(written(tmp_path), conf_file(tmp_path, data))
    assert [column.name for column in table.space.columns] == ["act", "lr", "width"]
    assert table.num_steps == 15  # level after the last point
    np.testing.assert_allclose(table.curves[:, 8], table.curves[:, 14])


@pytest.mark.parametrize(
    "data, said",
    [
        ({"hyperparameters": {}}, "an object 'hyperparams'"),
        ({**CONF, "param_order": ["lr"]}, "param_order"),
        ({"hyperparams": {"x": {"value_type": "complex", "range": [0, 1]}}}, "hyperparameter 'x' needs a value_type"),
        ({"hyperparams": {"x": {"value_type": "discrete"}}}, "and a range"),
        ({"hyperparams": {"x": 3}}, "hyperparameter 'x' needs a value_type .* got 3"),
        (
            {"hyperparams": {"x": {"value_type": "continuous", "range": [1, 2, 3]}}},
            "'x' .* two numbers, .* got .1, 2, 3",
        ),
        (
            {"hyperparams": {"x": {"value_type": "discrete", "range": ["a", "b"]}}},
            "'x' makes no sense: a range is two num",
        ),
        ({"hyperparams": {"x": {"value_type": "continuous", "range": [1, 0]}}}, "hyperparameter 'x' makes no sense"),
        (
            {"hyperparams": {"x": {"value_type": "continuous", "range": [1, 2], "power_of": "x"}}},
            "power_of is a number above 0, got 'x'",
        ),
        (
            {"hyperparams": {"x": {"value_type": "continuous", "range": [1, 999], "power_of": 10}}},
            "'x' makes no sense: .*out of range",
        ),
        ({"hyperparams": ["lr"]}, "its hyperparams is"),
        ({**CONF, "config": 3}, "its config is 3"),
        ({**CONF, "param_order": 3}, "param_order of .* got 3"),
        ([1], "a list stands where an object is expected"),
    ],
)
def test_space_files_that_make_no_sense_are_refused(tmp_path, data, said):
    with pytest.raises(SpaceError, match=said):
        hp_conf.domains_of(conf_file(tmp_path, data))


def test_numbers_outside_the_space_are_refused_and_rounded_ones_are_not(tmp_path):
    conf = conf_file(
        tmp_path, {"hyperparams": {"lr": {"type": "float", "value_type": "continuous", "range": [0.0, 0.5]}}}
    )
    text = "lr,best_acc,duration_s\n0.1,1,3\n{},2,3\n"
    (tmp_path / "t.csv").write_text(text.format("0.50000000000001"))
    assert LookupTable.read(tmp_path / "t.csv", conf).value({"lr": 0.5}) == 2
    (tmp_path / "t.csv").write_text(text.format("0.9"))
    with pytest.raises(SpecError, match="in .*t.csv one does not: parameter 'lr' must lie in .*, got 0.9"):
        LookupTable.read(tmp_path / "t.csv", conf)


def test_a_space_file_that_cannot_be_read_or_does_not_fit_its_table_is_refused(tmp_path):
    for place, said in ((tmp_path / "missing.json", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(SpaceError, match=f"is not: {said}"):
            hp_conf.domains_of(place)
    with pytest.raises(SpecError, match=r"made\.csv has no batch, keep; its columns: index, lr, width"):
        LookupTable.read(written(tmp_path), conf_file(tmp_path))
    with pytest.raises(SpecError, match="max_epoch of .* is a whole number of at least 1, got 'many'"):
        hp_conf.last_step(conf_file(tmp_path, {**CONF, "config": {"max_epoch": "many"}}))


def test_a_table_without_rows_says_so(tmp_path):
    path = tmp_path / "empty.csv"
    path.write_text("lr,epoch_1,epoch_2,duration_s\n")
    with pytest.raises(SpecError, match=r"has rows with a final value and a duration, .*empty\.csv has none"):
        LookupTable.read(path)
