"""An experiment spread over Ray."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from raytune_hpo.errors import NoCompletedTrial
from raytune_hpo.experiments import Plan, Until, find_task, run_experiment

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "experiments"))

from experiment_files import python_file, task_folder
from experiment_tables import written

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("cluster")]

SECONDS = ["optimizer_s", "optimizer_s_total", "total_s"]
PLAN = Plan(sampler={"name": "rf", "n_initial": 4, "num_trees": 5}, scheduler="deca", until=Until(num_trials=10))


def test_it_gives_the_tables_of_this_process_and_goes_on_with_what_is_there(tmp_path):
    """Whatever the task is: a table, a file whose functions travel, a folder that each process loads for itself."""
    for task in (written(tmp_path), python_file(tmp_path), task_folder(tmp_path) / "curves"):
        settings = {"progress": False, "name": f"{task.stem}-here"}
        here = run_experiment(find_task(task), 3, PLAN, runtime="local", **settings)
        run_experiment(find_task(task), 1, PLAN, runtime="local", folder=tmp_path / "kept", **settings)
        there = run_experiment(find_task(task), 3, PLAN, folder=tmp_path / "kept", max_jobs=2, **settings)
        assert here.to_dataframe().drop(columns=SECONDS).equals(there.to_dataframe().drop(columns=SECONDS))
        assert there.is_whole and len(list(there.folder.glob("repeat-*.csv"))) == 3


def test_a_search_without_any_value_is_told_with_its_error_there_too(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text('space = {"x": [1, 2]}\ndef objective(config):\n    raise ValueError("never")\n')
    plan = Plan(sampler="random", until=Until(num_trials=3))
    with pytest.raises(NoCompletedTrial, match="all 3 of repeat 0 ended without one; the first: ValueError: never"):
        run_experiment(path, 1, plan, progress=False)
