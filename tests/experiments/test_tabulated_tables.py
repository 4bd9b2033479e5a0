"""Lookup tables made of real objectives: what goes into a file comes back from it, to the last bit."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import raytune_hpo as hpo
from raytune_hpo.cli import main
from raytune_hpo.errors import SpaceError, SpecError
from raytune_hpo.experiments import LookupTable, Plan, Until, find_task, search, tabulate
from raytune_hpo.tables.layout import metadata_path, write_table
from raytune_hpo.tables.lookup_table import shipped_tables

ROOT = Path(__file__).resolve().parents[2]
SUFFIXES = (".csv", ".parquet")


class Adam:
    """An option that JSON cannot carry."""


SPACE = {
    "lr": hpo.loguniform(1e-5, 1e-1),
    "depth": hpo.randint(2, 10),
    "batch": hpo.ordinal([16, 32, 64]),
    "code": hpo.choice(["1", "2", "None"]),
    "mixed": hpo.choice([None, "sqrt", 0.5, True, "True"]),
    "noise": hpo.randn(0, 1),
    "round": hpo.quniform(0, 1, 0.1),
    "optimizer": hpo.choice([Adam, "sgd"]),
    "model": hpo.choice([
        {"kind": "svm", "C": hpo.loguniform(1e-3, 1e3), "kernel": hpo.choice(["rbf", "poly"])},
        {"kind": "tree", "depth": hpo.randint(1, 11)},
    ]),
    "pair": [hpo.uniform(0, 1), 7],
}  # fmt: skip
LOCAL = dict(runtime="local", storage="memory", progress=False, max_concurrent=1)


def curve(config):
    """Accuracy rises, loss falls; every eighth configuration or so breaks."""
    if config["depth"] == 9:
        raise ValueError("nine is\ntoo deep")
    for step in (1, 2, 4):
        yield {"accuracy": config["pair"][0] - 1 / step, "loss": 1 / step}
    return {"accuracy": config["pair"][0] - 0.25, "size_mb": config["depth"] / 3}


def studied(space=SPACE, objective=curve, **settings):
    given = {"metric": "accuracy", "mode": "max", "num_trials": 64, "sampler": "sobol", "seed": 0, **LOCAL, **settings}
    return hpo.tune(objective, space, **given)


@pytest.fixture(scope="module")
def results():
    return studied()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_configurations_of_all_kinds_come_back_as_they_were(tmp_path, results, suffix):
    completed = [trial for trial in results if trial.status == "completed"]
    table = LookupTable.read(write_table(results, tmp_path / f"made{suffix}"))
    assert 40 < len(completed) < 64
    assert [column.name for column in table.space.columns] == [c.name for c in results.spec.space.columns]
    for trial, config in zip(completed, table.space.candidates.configs, strict=True):
        came, went = dict(config), dict(trial.config)
        assert came.pop("optimizer") == went.pop("optimizer")  # a class that can be imported is itself
        assert came == went
        assert list(map(type, came.values())) == list(map(type, went.values()))
    assert table.space.columns[0].domain == results.spec.space.columns[0].domain, "log scales are still log scales"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_curves_and_durations_come_back_and_any_metric_may_be_asked_for(tmp_path, results, suffix):
    path = write_table(results, tmp_path / f"made{suffix}")
    completed = [trial for trial in results if trial.status == "completed"]
    table = LookupTable.read(path)
    assert (table.name, table.metric, table.mode, table.num_steps) == ("made", "accuracy", "max", 3)
    assert [list(row) for row in table.curves] == [[r.metrics["accuracy"] for r in t.reports[:2]] + [t.metrics["accuracy"]]
                                                   for t in completed]  # fmt: skip
    assert table.seconds.tolist() == [trial.duration_s for trial in completed]
    with pytest.raises(SpecError, match=r"made for \(accuracy\), not for 'loss'; set mode=.* --maximise or --minimise"):
        LookupTable.read(path, metric="loss")
    loss = LookupTable.read(path, metric="loss", mode="min")
    assert loss.mode == "min" and np.allclose(loss.curves, [1, 0.5, 0.25])
    size = LookupTable.read(path, metric="size_mb", mode="max")
    assert size.num_steps == 1 and size.value(completed[0].config | {}) == completed[0].config["depth"] / 3
    with pytest.raises(SpecError, match="no trial of the table reported a metric 'lost'; did you mean 'loss'"):
        LookupTable.read(path, metric="lost")


def test_failed_trials_are_marked_in_the_file_with_what_was_wrong(tmp_path, results):
    frame = pd.read_csv(write_table(results, tmp_path / "made.csv"))
    failed = frame[frame["status"] == "failed"]
    assert len(frame) == 64 and 0 < len(failed) < 24
    assert (failed["config/depth"] == 9).all() and failed["metrics/accuracy"].isna().all()
    assert set(failed["error"]) == {"ValueError: nine is"}


def test_a_table_is_made_in_one_call_and_searched(tmp_path):
    def objective(config):
        for epoch in range(1, 6):
            hpo.report(loss=config["x"] ** 2 + 1 / epoch, cost_s=10.0 * epoch**2)

    table = tabulate(objective, {"x": hpo.uniform(-1, 1)}, rows=16, path=tmp_path / "x.csv", **LOCAL)
    assert repr(table).endswith("of 16 rows>")
    again = LookupTable.read(tmp_path / "x.csv")
    assert again.space == table.space
    np.testing.assert_array_equal(again.curves, table.curves)
    task = find_task(tmp_path / "x.csv")
    assert [row["cost_s"] for row in task.objective(task.space.at(3))] == [10, 40, 90, 160, 250]
    frame = search(task, Plan(sampler="random", until=Until(num_trials=5)), 0)
    assert frame["trial_s"].tolist() == [250.0] * 5


def test_a_trial_that_reports_now_and_then_has_the_times_between():
    def objective(config):
        hpo.report(loss=4.0, step=2, cost_s=8.0)
        hpo.report(loss=2.0, step=4, cost_s=10.0)

    table = tabulate(objective, {"x": hpo.uniform(0, 1)}, rows=2, **LOCAL)
    assert table.seconds_by_step(0).tolist() == [4, 8, 9, 10]
    assert table.curves[0].tolist() == [4, 4, 3, 2]
    assert table.seconds.tolist() == [10, 10]


def test_a_loop_that_counts_from_0_loses_no_step():
    def objective(config):
        for epoch in range(3):
            hpo.report(loss=4.0 - epoch, step=epoch, cost_s=10.0 * (epoch + 1))

    table = tabulate(objective, {"x": hpo.uniform(0, 1)}, rows=2, **LOCAL)
    assert table.curves[0].tolist() == [4, 3, 2] and table.seconds_by_step(0).tolist() == [10, 20, 30]


def test_a_trial_that_reports_step_0_alone_has_its_result_as_its_only_step():
    def objective(config):
        hpo.report(loss=2.0, step=0)
        return {"loss": config["x"]}

    table = tabulate(objective, {"x": hpo.uniform(0, 1)}, rows=2, **LOCAL)
    config = table.space.at(0)
    assert table.num_steps == 1 and table.value(config) == config["x"]


def test_cells_outside_the_space_and_seconds_that_go_back_are_refused(tmp_path):
    def objective(config):
        for step, seconds in ((1, 5.0), (2, 7.0)):
            hpo.report(loss=1.0, step=step, cost_s=seconds)

    tabulate(objective, {"x": hpo.uniform(0, 1)}, rows=2, path=tmp_path / "t.csv", **LOCAL)
    rows = pd.read_csv(tmp_path / "t.csv")
    rows.assign(**{"config/x": [0.5, 5.4]}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(SpecError, match="the rows of a table lie in its space, 'x' has 5.4"):
        LookupTable.read(tmp_path / "t.csv")
    rows.assign(**{"metrics/cost_s/step_1": 8.0}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(SpecError, match="begin at 0 and never decrease, table 't' has .8.0, 7.0"):
        LookupTable.read(tmp_path / "t.csv")


def test_a_metric_without_a_curve_takes_the_whole_time_and_configurations_are_found_by_equal_numbers(tmp_path):
    def objective(config):
        hpo.report(loss=1.0, cost_s=1.0)
        return {"loss": 0.5, "size": config["n"], "cost_s": 3.0}

    space = {"n": hpo.ordinal([1.0, 2.0])}
    tabulate(objective, space, rows=2, sampler="grid", path=tmp_path / "t.csv", **LOCAL)
    table = LookupTable.read(tmp_path / "t.csv", metric="size", mode="min")
    assert table.num_steps == 1 and table.seconds_by_step(0).tolist() == [3]
    assert table.value({"n": 2}) == table.value({"n": 2.0}) == 2
    with pytest.raises(SpaceError):
        table.value({"n": 3})


def test_without_reports_the_result_is_the_curve_and_without_times_steps_are_even():
    table = tabulate(lambda config: config["x"], {"x": hpo.uniform(0, 1)}, rows=4, **LOCAL)
    assert table.num_steps == 1 and (table.seconds > 0).all()
    assert table.curves[:, 0].tolist() == [config["x"] for config in table.space.candidates.configs]
    even = LookupTable.of(studied())
    np.testing.assert_allclose(even.seconds_by_step(5), even.seconds[5] * np.array([1, 2, 3]) / 3)


def test_small_spaces_repeat_configurations_which_count_once_and_a_grid_repeats_none():
    space = {"a": hpo.choice([1, 2, 3]), "b": hpo.grid_search(["x", "y"])}
    assert tabulate(lambda c: c["a"], space, rows=32, **LOCAL).space.cardinality == 6
    ran = []
    grid = tabulate(lambda c: ran.append(1) or c["a"], space, rows=32, sampler="grid", **LOCAL)
    assert len(ran) == grid.space.cardinality == 6


def test_constraints_are_met_and_derived_values_named_where_their_functions_are_not(tmp_path):
    space = hpo.Space(
        {"a": hpo.uniform(0, 1), "b": hpo.uniform(0, 1), "sum": hpo.sample_from(lambda c: c["a"] + c["b"])},
        constraints=[lambda c: c["a"] < c["b"]],
    )
    tabulate(lambda c: c["sum"], space, rows=16, path=tmp_path / "t.csv", **LOCAL)
    table = LookupTable.read(tmp_path / "t.csv")
    assert len(table.seconds) == 16
    assert all(config["a"] < config["b"] for config in table.space.candidates.configs)
    assert table.value(table.space.at(2)) == table.space.at(2)["a"] + table.space.at(2)["b"]


DYING = """
import os
import raytune_hpo as hpo
from raytune_hpo.experiments import tabulate

def objective(config):
    with open("ran", "a") as file:
        print(config["x"], file=file)
    if len(open("ran").readlines()) == 5:
        os._exit(9)
    return config["x"]

settings = dict(runtime="local", storage="sqlite:///s.db", name="dying", progress=False, max_concurrent=1)
tabulate(objective, {"x": hpo.uniform(0, 1)}, rows=8, path="t.csv", **settings)
"""


@pytest.mark.slow
def test_a_design_goes_on_after_its_process_has_died(tmp_path):
    def run():
        command = [sys.executable, "-c", DYING]
        return subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, timeout=60).returncode

    assert run() == 9 and not (tmp_path / "t.csv").exists()
    assert run() == 0
    assert len(LookupTable.read(tmp_path / "t.csv").seconds) == 8
    assert len((tmp_path / "ran").read_text().split()) == 9, "only the trial that died ran twice"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"path": "t.xlsx"}, r"a lookup table is a file of \.parquet or \.csv, got 't\.xlsx'"),
        ({"path": "nowhere/t.csv"}, "there is no folder nowhere"),
        ({"scheduler": "asha"}, "every row of a table is trained to its end"),
        ({"rows": 0}, "num_trials is a"),
    ],
)
def test_what_cannot_become_a_table_is_said_before_anything_runs(tmp_path, monkeypatch, settings, said):
    monkeypatch.chdir(tmp_path)
    ran = []
    with pytest.raises(SpecError, match=said):
        tabulate(ran.append, {"x": hpo.uniform(0, 1)}, **{"rows": 4, **LOCAL, **settings})
    assert ran == []


def test_nothing_completed_is_no_table_and_a_table_needs_what_it_is_about(tmp_path, results):
    def broken(config):
        raise RuntimeError("never")

    with pytest.raises(SpecError, match="needs a completed trial, none of 2 has completed: RuntimeError: never"):
        tabulate(broken, {"x": hpo.uniform(0, 1)}, rows=2, **LOCAL)
    path = write_table(results, tmp_path / "made.csv")
    with pytest.raises(SpecError, match="knows its space, got conf.json as well"):
        LookupTable.read(path, "conf.json")
    about = metadata_path(path)
    data = json.loads(about.read_text())
    about.write_text(json.dumps({**data, "version": 99}))
    with pytest.raises(SpecError, match="of version 1, .* is of version 99"):
        LookupTable.read(path)
    for damaged, said in (
        ("{", "Expecting property name"),
        ("[]", "a list stands where an object is expected"),
        ('{"version": 1}', "missing 4 required"),
        (json.dumps({**data, "metrics": {}}), "a space and at least one metric"),
    ):
        about.write_text(damaged)
        with pytest.raises(SpecError, match=rf"made\.about\.json is not: .*{said}.*; make the table again"):
            LookupTable.read(path)
    about.write_text(json.dumps(data))
    path.write_text(path.read_text().replace("config/lr", "config/rate"))
    with pytest.raises(SpecError, match=r"made\.csv is not: 'config/lr' is missing; bring it back, or make it again"):
        LookupTable.read(path)
    about.unlink()
    with pytest.raises(SpecError, match=r"made\.about\.json belongs beside it"):
        LookupTable.read(path)


def test_without_pyarrow_the_error_names_the_extra_and_the_way_out(tmp_path):
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "import raytune_hpo as hpo\n"
        "from raytune_hpo.errors import SpecError\n"
        "from raytune_hpo.experiments import LookupTable, tabulate\n"
        "settings = dict(rows=2, runtime='local', storage='memory', progress=False)\n"
        "try: tabulate(lambda c: 0.0, {'x': hpo.uniform(0, 1)}, path='t.parquet', **settings)\n"
        "except SpecError as error: print(error)\n"
        "tabulate(lambda c: 0.0, {'x': hpo.uniform(0, 1)}, path='t.csv', **settings)\n"
        "print(LookupTable.read('t.csv'), LookupTable.shipped('digits-mlp'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}
    )
    assert 'pip install "raytune_hpo[tables]", or name the table .csv' in done.stdout, done.stderr
    assert "<LookupTable 't' of 2 rows> <LookupTable 'digits-mlp' of" in done.stdout


# ------------------------------------------------------------------------------------------------ the command

FILE = """
import raytune_hpo as hpo

space = {"lr": hpo.loguniform(1e-5, 1e-1), "depth": hpo.randint(2, 6)}
settings = dict(num_trials=3, metric="acc", mode="max", sampler="random", scheduler="asha", name="mine", target=0.0)

def objective(config):
    for step in range(1, 5):
        hpo.report(acc=config["lr"] * step, step=step)
    if config["depth"] == 5:
        raise ValueError("five is bad")
"""


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAYTUNE_HPO_STORAGE", f"sqlite:///{tmp_path}/studies.db")
    (tmp_path / "file.py").write_text(FILE)

    def run(*arguments):
        result = CliRunner().invoke(main, ["tabulate", *arguments, "--local"], prog_name="raytune-hpo")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


def test_the_command_makes_a_table_and_adds_rows_while_the_file_stays_as_it_is(call, tmp_path):
    first = call("file.py", "--rows", "8", "--quiet")
    assert first.exit_code == 0
    assert "wrote file.parquet: " in first.stdout and "rows of 4 steps can be looked up" in first.stdout
    before = pd.read_parquet(tmp_path / "file.parquet")
    data = json.loads(call("file.py", "--rows", "16", "--json").stdout)
    after = pd.read_parquet(tmp_path / "file.parquet")
    assert len(after) == 16 and sum(data["num_by_status"].values()) == 16
    assert data["rows"] == data["num_by_status"]["completed"] == len(LookupTable.read("file.parquet").seconds)
    pd.testing.assert_frame_equal(after[:8].dropna(axis=1), before.dropna(axis=1))
    (tmp_path / "file.py").write_text(FILE.replace("* step", "* step / 2"))
    assert json.loads(call("file.py", "--rows", "8", "--json").stdout)["name"] != data["name"], "another objective"


def test_a_grid_needs_no_number_of_rows(call, tmp_path):
    (tmp_path / "finite.py").write_text(
        "from raytune_hpo import choice\nspace = {'x': choice([1, 2, 3]), 'y': choice([4, 5])}\n"
        "def objective(config): return config['x'] * config['y']\n"
    )
    data = json.loads(call("finite.py", "--sampler", "grid", "--out", "t.csv", "--json").stdout)
    assert data["rows"] == 6
    assert "--rows) says; without it" in call("finite.py", "--out", "u.csv").stderr


def test_the_command_says_what_is_wrong(call, tmp_path):
    assert call("file.py", "--rows", "8", "--out", "t.txt").exit_code == 2
    assert "a JSON object is needed" in call("file.py", "--rows", "8", "--resources", "two").stderr
    (tmp_path / "file.py").write_text(FILE.replace("== 5", "> 0"))
    failed = call("file.py", "--rows", "4", "--out", "t.csv", "--quiet")
    assert failed.exit_code == 1 and "five is bad" in failed.stdout
    assert (pd.read_csv("t.csv")["status"] == "failed").all()


# ------------------------------------------------------------------------------------------------ what is shipped


def test_the_shipped_table_is_found_by_name_and_small():
    assert shipped_tables() == ["digits-mlp"]
    table = LookupTable.shipped("digits-mlp")
    assert len(table.seconds) > 400 and table.num_steps == 20
    assert (table.metric, table.mode) == ("accuracy", "max")
    kinds = {column.name: column.domain.kind for column in table.space.columns}
    assert len(kinds) == 6 and {"float", "int", "ordinal", "choice"} == set(kinds.values())
    assert table.space.columns[0].domain.log
    assert 0.9 < np.median(np.sort(table.curves[:, -1])[-50:]) < 1
    files = (ROOT / "raytune_hpo" / "tables" / "shipped").glob("digits-mlp.*")
    assert 0 < sum(file.stat().st_size for file in files) < 500_000
    with pytest.raises(SpecError, match="did you mean 'digits-mlp'"):
        LookupTable.shipped("digits_mlp")


def test_a_model_finds_good_networks_sooner_than_random_draws():
    task = find_task("digits-mlp")
    until = Until(num_trials=30)
    bests = {
        name: np.mean([search(task, Plan(sampler=name, until=until), repeat)["best"].iloc[-1] for repeat in range(4)])
        for name in ("random", "rf")
    }
    assert bests["rf"] > bests["random"]


def test_the_table_is_what_its_maker_says():
    """One row, trained again, has the same curve."""
    from raytune_hpo.tables.shipped import digits_mlp

    table = LookupTable.shipped("digits-mlp")
    row = int(table.seconds.argmin())
    reports = list(digits_mlp.objective(table.space.at(row)))
    assert table.space.columns == hpo.Space(digits_mlp.space).columns
    np.testing.assert_allclose([r["accuracy"] for r in reports], table.curves[row], atol=0.01)


def test_the_wheel_contains_it(tmp_path):
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, check=True, cwd=ROOT, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for suffix in ("csv", "about.json"):
        assert f"raytune_hpo/tables/shipped/digits-mlp.{suffix}" in names
