"""Experiments in this process: kept, continued after a kill, extended, refused where they are others."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from experiment_files import python_file
from experiment_tables import written

from raytune_hpo.errors import HpoError, NoCompletedTrial, SpecError, SpecMismatch
from raytune_hpo.experiments import Comparison, Experiment, Plan, Until, find_task, run_experiment, runner

SECONDS = ["optimizer_s", "optimizer_s_total", "total_s"]  # which no two runs have in common
PLAN = Plan(sampler="random", until=Until(goal=0.985, num_trials=20))
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return written(tmp_path_factory.mktemp("tables"))


def run(task, num_repeats, plan=PLAN, **settings):
    return run_experiment(task, num_repeats, plan, **{"runtime": "local", "progress": False, **settings})


def steady(experiment):
    return experiment.to_dataframe().drop(columns=SECONDS)


def test_repeats_differ_and_stand_in_one_tidy_table(table):
    found = run(find_task(table), 3)
    frame = found.to_dataframe()
    assert frame.columns[0] == "repeat" and set(frame["repeat"]) == {0, 1, 2}
    assert frame.groupby("repeat")["value"].first().nunique() == 3
    assert len(found) == 3 and found.is_whole and found.folder is None
    assert found.name == "made-random" and "3 searches" in str(found)


def test_what_is_kept_is_what_was_found(table, tmp_path):
    plan = Plan(sampler={"name": "portfolio", "n_initial": 5}, scheduler="deca", until=Until(num_trials=12))
    found = run(table, 2, plan, folder=tmp_path)
    loaded = Experiment.load(found.folder)
    assert loaded.to_dataframe().equals(found.to_dataframe())
    assert (loaded.plan, loaded.metric, loaded.mode) == (plan, "accuracy", "max")
    assert loaded.summary.to_json([60]) == found.summary.to_json([60])
    assert found.to_dataframe()["arm"].notna().all()
    assert Experiment.load(run(table, 1, folder=tmp_path).folder).to_dataframe()["arm"].isna().all()


def test_more_repeats_extend_it_and_leave_the_others_as_they_are(table, tmp_path):
    found = run(table, 2, folder=tmp_path, name="mine")
    before = {path: path.stat().st_mtime_ns for path in found.folder.iterdir()}
    longer = run(table, 4, folder=tmp_path, name="mine")
    assert len(longer) == 4 and all(path.stat().st_mtime_ns == at for path, at in before.items())
    assert steady(longer).equals(steady(run(table, 4)))
    assert len(run(table, 3, folder=tmp_path, name="mine")) == 3


def test_another_plan_or_task_of_the_same_name_is_refused_with_the_difference_and_the_way_out(table, tmp_path):
    run(table, 1, folder=tmp_path, name="mine")
    other = Plan(sampler="random", until=Until(goal=0.9, num_trials=20))
    with pytest.raises(SpecMismatch, match=r"until\.goal was 0\.985, is 0\.9\. Use another name, .* or delete"):
        run(table, 1, other, folder=tmp_path, name="mine")
    with pytest.raises(SpecMismatch, match=r"sampler\.name was random, is gp"):
        run(table, 1, Plan(sampler="gp", until=PLAN.until), folder=tmp_path, name="mine")
    with pytest.raises(SpecMismatch, match=r"task\.name was made, is made_up"):
        run(python_file(tmp_path), 1, folder=tmp_path, name="mine")
    file = python_file(tmp_path)
    run(file, 1, folder=tmp_path, name="file")
    file.write_text(file.read_text().replace("0.5", "0.6"))
    with pytest.raises(SpecMismatch, match=r"task\.digest_of_contents was"):
        run(file, 1, folder=tmp_path, name="file")
    assert len(run(table, 1, folder=tmp_path, name="mine")) == 1


def test_a_preset_is_the_same_plan_as_what_it_stands_for(table, tmp_path):
    written_out = {"name": "tercet", "beta": 0.1, "max_steps": 9}
    run(table, 1, Plan(sampler="random", scheduler="deca", until=PLAN.until), folder=tmp_path, name="mine")
    run(table, 1, Plan(sampler="random", scheduler=written_out, until=PLAN.until), folder=tmp_path, name="mine")


def test_ctrl_c_leaves_what_is_there_and_the_same_again_goes_on(table, tmp_path, monkeypatch):
    ended = []

    def interrupted(task, plan, repeat, *, estimates):
        if len(ended) == 2:
            raise KeyboardInterrupt
        ended.append(repeat)
        return whole(task, plan, repeat, estimates=estimates)

    whole = runner.outcome_of
    monkeypatch.setattr(runner, "outcome_of", interrupted)
    found = run(table, 5, folder=tmp_path)
    assert len(found) == 2 and not found.is_whole
    monkeypatch.setattr(runner, "outcome_of", whole)
    assert Experiment.load(found.folder).is_whole is None
    found = run(table, 5, folder=tmp_path)
    assert len(found) == 5 and found.is_whole


def test_experiments_of_one_name_are_told_apart(table, tmp_path):
    folders = [tmp_path / day / "digits" for day in ("monday", "tuesday")]
    found = [run(table, 1, folder=folder.parent, name="digits") for folder in folders]
    assert [each.name for each in Comparison(found).experiments] == ["monday/digits", "tuesday/digits"]
    kept_nowhere = [replace(each, folder=None) for each in found]
    assert [each.name for each in Comparison([*kept_nowhere, found[0]]).experiments] == [
        "digits (1)",
        "digits (2)",
        "monday/digits",
    ]


def test_ctrl_c_in_the_middle_of_a_search_leaves_that_search_out(tmp_path):
    path = tmp_path / "stopped.py"
    path.write_text("""
ran = [0]
space = {"x": [1, 2]}
def objective(config):
    ran[0] += 1
    if ran[0] == 11:  # in the third search, after three trials of the first one that do not count
        raise KeyboardInterrupt
    return {"loss": 1.0, "cost_s": 1.0}
""")
    plan = Plan(sampler="random", until=Until(num_trials=3))
    found = run(path, 5, plan, folder=tmp_path, name="mine")
    assert list(found.outcomes) == [0, 1] and not found.is_whole
    assert found.to_dataframe().equals(Experiment.load(found.folder).to_dataframe())


def test_one_study_is_made_to_name_and_check_an_experiment_and_one_for_each_search(table, monkeypatch):
    from raytune_hpo.api import tuner

    made = []

    class Counted(tuner.Tuner):
        def __init__(self, *args, **settings):
            made.append(settings["name"])
            super().__init__(*args, **settings)

    monkeypatch.setattr(tuner, "Tuner", Counted)
    monkeypatch.setattr(runner, "Tuner", Counted)
    run(table, 3)
    assert made == ["made-0", "made-0", "made-0", "made-1", "made-2"], "the second one has everything imported"


def test_a_killed_experiment_goes_on_where_it_was(table, tmp_path):
    command = [sys.executable, "-m", "raytune_hpo.cli", "experiment", str(table), "200", "--sampler", "random",
               "--until", "goal=0.985", "--until", "trials=20", "--serial", "--quiet", "--name", "mine"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    folder = tmp_path / "experiments" / "mine"
    deadline = time.monotonic() + 60
    while len(list(folder.glob("repeat-*.csv"))) < 3:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    num_kept = len(Experiment.load(folder))
    assert 3 <= num_kept < 200, "it was killed in the middle"
    found = run(table, num_kept + 2, folder=folder.parent, name="mine")
    assert steady(found).equals(steady(run(table, num_kept + 2)))


def test_folders_without_an_experiment_or_with_a_damaged_one_are_refused(table, tmp_path):
    with pytest.raises(SpecError, match="has a file experiment.json"):
        Experiment.load(tmp_path)
    found = run(table, 1, folder=tmp_path)
    spec = found.folder / "experiment.json"
    spec.write_text(json.dumps({**json.loads(spec.read_text()), "version": 99}))
    with pytest.raises(SpecError, match="has 99; update"):
        run(table, 1, folder=tmp_path)
    spec.write_text("{")
    with pytest.raises(HpoError, match="files are as they were written, .* is not: Expecting"):
        Experiment.load(found.folder)
    assert list(replace(found, outcomes={}).to_dataframe()) == list(found.to_dataframe())
    (tmp_path / "file").write_text("")
    with pytest.raises(HpoError, match="a folder that can be written"):
        run(table, 1, folder=tmp_path / "file")


@pytest.mark.parametrize(
    ("body", "said"),
    [("1 / 0", "ZeroDivisionError: division by zero"), ("return 1.0", "as metric 'cost_s', .* got None")],
)
def test_an_objective_that_breaks_in_every_trial_is_told_with_its_error_and_may_be_mended(tmp_path, body, said):
    path = tmp_path / "broken.py"
    path.write_text(f'space = {{"x": [1, 2]}}\ndef objective(config):\n    {body}\n')
    plan = Plan(sampler="random", until=Until(num_trials=3))
    with pytest.raises(NoCompletedTrial, match=f"all 3 of repeat 0 ended without one; the first: .*{said}"):
        run(path, 2, plan, folder=tmp_path / "kept", name="mine")
    assert list((tmp_path / "kept" / "mine").iterdir()) == []
    path.write_text('space = {"x": [1, 2]}\ndef objective(config):\n    return {"loss": 1.0, "cost_s": 1.0}\n')
    assert len(run(path, 2, plan, folder=tmp_path / "kept", name="mine")) == 2


def test_repeats_before_one_that_found_nothing_are_kept(tmp_path):
    path = tmp_path / "fading.py"
    path.write_text("""
ran = [0]
space = {"x": [1, 2]}
def objective(config):
    ran[0] += 1
    if ran[0] > 8:  # the first search is tried on three trials before it counts
        raise ValueError("worn out")
    return {"loss": 1.0, "cost_s": 1.0}
""")
    plan = Plan(sampler="random", until=Until(num_trials=3))
    with pytest.raises(NoCompletedTrial, match="repeat 2 ended without one; the first: ValueError: worn out"):
        run(path, 5, plan, folder=tmp_path, name="mine")
    kept = Experiment.load(tmp_path / "mine")
    assert len(kept) == 2 and kept.to_json()["failed"] == 0.5
    assert "3 trials on average (0.5 failed, 0 pruned" in kept.text()


def test_a_horizon_that_came_after_the_last_trial_is_said_to_be_unknown(table, tmp_path):
    found = run(table, 4, Plan(sampler="random", until=Until.read(["goal=0.985", "trials=10"])), folder=tmp_path)
    cut_short = found.summary.num_cut_short(86_400)
    assert cut_short == sum(found.summary.times_to_goal_s == float("inf")) > 0
    assert found.to_json([1, 86_400])["cut_short"] == {"1": 0, "86400": cut_short}
    said = f"{cut_short} of 4 searches had no trials left before 1d"
    assert said in found.text([86_400]) and "no trials left" not in found.text([1])
    assert f"made-random: {said}" in str(Comparison([found], [86_400]))
    Comparison([found], [86_400]).page(tmp_path / "page.html")
    assert said in (tmp_path / "page.html").read_text()
    with pytest.raises(HpoError, match=r"page.html cannot be written: No such file or directory; name a place"):
        Comparison([found]).page(tmp_path / "nowhere" / "page.html")


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("experiment.json", "[]", "a list stands where an object is expected"),
        ("experiment.json", '{"version": 1}', "'plan' is missing"),
        ("experiment.json", '{"version": 1, "plan": {}, "parts": {}, "task": {}}', "'name' is missing"),
        ("repeat-00000.csv", "", "its end is missing"),
        ("repeat-00000.csv", "step,number\n1,0\n", "'value' is missing"),
        ("repeat-00000.csv", None, "its end is missing"),
    ],
)
def test_a_damaged_file_is_named_with_the_way_out(table, tmp_path, file, text, said):
    found = run(table, 1, folder=tmp_path)
    path = found.folder / file
    path.write_text(path.read_text()[:-20] if text is None else text)
    with pytest.raises(HpoError, match=rf"{file} is not: {said}; (bring it back|delete it)"):
        Experiment.load(found.folder)
    if file != "experiment.json":
        path.unlink()
        assert steady(run(table, 1, folder=tmp_path)).equals(steady(found))


def test_settings_that_make_no_sense_are_refused_before_anything_runs(table, tmp_path):
    for settings, said in (
        ({"runtime": "rey"}, "unknown runtime 'rey'"),
        ({"max_jobs": 0}, "at the same time"),
        ({"name": "a/b"}, "that of its folder, got 'a/b'"),
        ({}, "number of repeats"),
    ):
        with pytest.raises(SpecError, match=said):
            run(table, 1 if settings else 0, folder=tmp_path / "none", **settings)
    assert not (tmp_path / "none").exists()


def test_horizons_are_those_of_the_time_limit_and_none_lies_beyond(table):
    found = run(table, 2, Plan(sampler="random", until=Until.read(["goal=0.98", "time=1h"])))
    assert found.horizons() == [300, 900, 1800, 3600]
    assert (found.to_dataframe()["total_s"] <= 3600).all()
    with pytest.raises(SpecError, match="repeats of 'made-random' end after 3600 s"):
        found.text([7200])


@pytest.mark.filterwarnings("error")
def test_repeats_in_which_nothing_ended_in_time_have_reached_nothing(table, tmp_path):
    found = run(table, 2, Plan(sampler="random", until=Until.read(["goal=0.98", "time=1s"])), folder=tmp_path)
    assert found.to_dataframe().empty and Experiment.load(found.folder).to_dataframe().empty
    assert "1.0s     0%" in found.text() and found.to_json()["trials"] == 0
    assert "0% (0-66)" in str(Comparison([found]))


def test_experiments_without_a_goal_may_stand_beside_longer_ones_with_one(table):
    short = run(table, 1, Plan(sampler="random", until=Until.read(["time=10m"])))
    long = run(table, 1, Plan(sampler="random", until=Until.read(["goal=0.98", "time=1h"])), name="long")
    compared = Comparison([short, long])
    assert compared.horizons_s == (300, 900, 1800, 3600)
    assert [entry["searches"] for entry in compared.to_json()["experiments"]] == [1, 1]


def test_the_progress_says_how_many_have_ended_and_reached_the_goal(table, capsys):
    run(table, 2, progress=True)
    assert "made-random: 2/2 repeats, " in (said := capsys.readouterr().err) and "reached 0.985" in said
