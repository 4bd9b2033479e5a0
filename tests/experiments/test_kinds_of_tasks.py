"""Tasks of Python files and of folders, and what a plan means for them."""

import numpy as np
import pytest
from experiment_files import A_FILE, python_file, task_folder
from experiment_tables import written

from raytune_hpo.errors import HpoError, SpecError
from raytune_hpo.experiments import Plan, Until, find_task, search
from raytune_hpo.experiments.parts import sampler_for, scheduler_for
from raytune_hpo.schedulers.presets import PRESETS

TRIALS = Until(num_trials=12)


def test_a_python_file_is_a_task(tmp_path):
    task = find_task(python_file(tmp_path))
    assert (task.name, task.metric, task.mode, task.num_steps) == ("made_up", "score", "max", 6)
    frame = search(task, Plan(sampler="random", scheduler="deca", until=Until(num_trials=40)), 0)
    assert set(frame["status"]) == {"completed", "pruned"}
    assert (frame["trial_s"] == 10 * frame["epochs"]).all()
    truth = search(task, Plan(sampler={"name": "portfolio", "strategy": "BO-HEDGE-T"}, until=TRIALS), 0)
    assert truth["best"].iloc[-1] > 0.2


def test_metric_and_mode_may_be_given_and_are_loss_and_min_otherwise(tmp_path):
    path = python_file(tmp_path)
    assert find_task(path, metric="other", mode="min").metric == "other"
    path.write_text('space = {"x": [1]}\nobjective = print\n')
    assert (find_task(path).metric, find_task(path).mode) == ("loss", "min")
    with pytest.raises(SpecError, match="conf is the space of a lookup table"):
        find_task(path, conf="hp_conf.json")


def test_a_file_that_changes_is_another_task(tmp_path):
    path = python_file(tmp_path)
    before = find_task(path).to_json()
    assert find_task(path).to_json() == before
    path.write_text(A_FILE.replace("0.5", "0.6"))
    assert find_task(path).to_json() != before


def test_what_is_no_task_is_refused_with_what_would_be_one(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("objective = print")
    with pytest.raises(SpecError, match=r"bad\.py does not define space"):
        find_task(bad)
    bad.write_text("1 / 0")
    with pytest.raises(HpoError, match=r"ZeroDivisionError.*line 1"):
        find_task(bad)
    for nothing in ("nowhere/task", "nowhere.py", str(tmp_path)):
        with pytest.raises(SpecError, match=r"a task is a lookup table .*; got"):
            find_task(nothing)


# ------------------------------------------------------------------------------------------------ folders


def test_tasks_of_a_folder_report_every_epoch_at_its_time(tmp_path):
    task = find_task(task_folder(tmp_path) / "curves")
    assert task.num_steps == 5
    frame = search(task, Plan(sampler="random", scheduler={"name": "median", "min_trials": 3}, until=TRIALS), 0)
    assert (frame["trial_s"] == 2 * frame["epochs"]).all()
    assert {"pruned", "completed"} <= set(frame["status"])
    assert task.truth({"x": 0.5}) == pytest.approx(0.7)


def test_a_curve_that_breaks_off_fails_its_trial_when_it_does_with_reports_or_without(tmp_path):
    task = find_task(task_folder(tmp_path) / "curves")
    whole = search(task, Plan(sampler="random", until=TRIALS), 0)
    assert (whole.loc[whole["status"] == "failed", "trial_s"] == 6).all() and "failed" in set(whole["status"])
    assert (whole.loc[whole["status"] == "completed", "epochs"] == 5).all()
    assert whole["value"].isna().tolist() == (whole["status"] == "failed").tolist(), "what it was before says nothing"
    judged = search(task, Plan(sampler="random", scheduler={"name": "median", "min_trials": 99}, until=TRIALS), 0)
    assert whole.drop(columns=SECONDS).equals(judged.drop(columns=SECONDS))


SECONDS = ["optimizer_s", "optimizer_s_total", "total_s"]


def test_tasks_without_curves_take_their_time_also_where_they_fail(tmp_path):
    folder = task_folder(tmp_path)
    frame = search(find_task(folder / "values"), Plan(sampler="random", until=TRIALS), 0)
    assert (frame["trial_s"] == 7).all() and set(frame["status"]) == {"completed", "failed"}
    assert (search(find_task(folder / "untimed"), Plan(sampler="random", until=TRIALS), 0)["trial_s"] == 1).all()


def test_an_unknown_task_of_a_folder_is_refused_with_the_nearest(tmp_path):
    folder = task_folder(tmp_path)
    with pytest.raises(SpecError, match=r"no task 'curve'.*did you mean 'curves'\?"):
        find_task(folder / "curve")
    with pytest.raises(SpecError, match="a metric of their own"):
        find_task(folder / "curves", metric="time")


def test_a_bare_name_is_looked_up_in_the_folder_that_the_environment_names(tmp_path, monkeypatch):
    folder = task_folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=r"a task is .*; got 'curves'; known: digits-mlp$"):
        find_task("curves")
    monkeypatch.setenv("RAYTUNE_HPO_BENCH", str(folder))
    assert find_task("curves").to_json() == find_task(folder / "curves").to_json()
    with pytest.raises(SpecError, match="got 'curve'; did you mean 'curves'.*digits-mlp"):
        find_task("curve")
    with pytest.raises(SpecError, match="did you mean 'digits-mlp'"):
        find_task("digits-mpl")
    with pytest.raises(SpecError, match="a task is"):
        find_task("elsewhere/curves")
    with pytest.raises(SpecError, match="a metric of their own"):
        find_task("curves", mode="max")
    monkeypatch.setenv("RAYTUNE_HPO_BENCH", str(tmp_path / "none"))
    with pytest.raises(SpecError, match="a task is"):
        find_task("curves")


# ------------------------------------------------------------------------------------------------ what a plan means


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return find_task(written(tmp_path_factory.mktemp("tables")))


def test_schedulers_know_the_last_step_and_the_names_of_the_paper(table):
    assert scheduler_for("tercet", table) == {"name": "tercet", "max_steps": 9}
    assert scheduler_for({"name": "tercet", "max_steps": 8}, table)["max_steps"] == 8
    assert scheduler_for("deca-recorded", table) == {**PRESETS["deca-recorded"], "max_steps": 9}
    assert scheduler_for({"name": "penta", "min_trials": 9}, table)["beta"] == 0.2
    assert scheduler_for({"name": "tetra", "min_trials": 9}, table)["name"] == "tercet"
    assert scheduler_for("median", table) == {"name": "median"}
    assert scheduler_for(None, table) is None


def test_parts_that_cannot_be_recorded_or_found_are_refused(table):
    from raytune_hpo.samplers.random import Random

    with pytest.raises(SpecError, match="an experiment records its sampler"):
        sampler_for(Random(), table)
    with pytest.raises(SpecError, match=r"unknown scheduler 'decca'.*'deca'"):
        scheduler_for("decca", table)
    with pytest.raises(SpecError, match="unknown sampler 'gpp'"):
        sampler_for({"name": "gpp"}, table)
    with pytest.raises(SpecError, match=r"an experiment records its scheduler: .*got \{'name': \['deca'\]\}"):
        scheduler_for({"name": ["deca"]}, table)


def test_final_values_alone_leave_nothing_to_stop(tmp_path, table):
    import pandas as pd

    rows = pd.read_csv(written(tmp_path)).drop(columns=["acc_epoch1", "acc_epoch3", "acc_epoch9"])
    rows.assign(best_acc=np.linspace(0, 1, len(rows))).to_csv(tmp_path / "final.csv", index=False)
    task = find_task(tmp_path / "final.csv")
    with pytest.raises(SpecError, match="final values only"):
        search(task, Plan(sampler="random", scheduler="asha", until=TRIALS), 0)
