"""The two ways side by side, on a cluster."""

from __future__ import annotations

import _thread
import json
import sys
import threading
import time
import traceback
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from cluster_support import wait_until

import raytune_hpo as hpo
from raytune_hpo import optml
from raytune_hpo.cli import main

ROOT = Path(__file__).resolve().parents[2]
LABS = ROOT / "labs" / "optml"

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture
def waiting():
    """An algorithm whose trials take their time without using the processor, so that any machine shows the gain."""

    def train(model, data, hyperparameters):
        time.sleep(0.5)
        return hyperparameters["rate"] * len(data)

    return {
        "generate_data": lambda: list(range(1000)),
        "initialization": lambda data, hyperparameters: 0.0,
        "train": train,
        "test_error": lambda model, data: abs(model - 500.0),
        "__name__": "waiting",
    }


def num_side_by_side(leg):
    """The number of trials that began before the one that had begun before them ended."""
    trials = sorted(leg.results, key=lambda trial: trial.started_at)
    return sum(later.started_at < earlier.finished_at for earlier, later in pairwise(trials))


def test_both_workers_run_trials_side_by_side_and_find_the_same(cluster, waiting):
    points = [{"rate": number / 12} for number in range(12)]
    found = optml.tune(waiting, points, storage="memory", progress=False)
    assert found.parallel.num_workers == 2
    assert found.serial.num_workers == 1
    assert num_side_by_side(found.serial) == 0
    assert num_side_by_side(found.parallel) > 3
    assert found.serial.seconds >= 6.0
    assert found.speed_up == pytest.approx(found.serial.seconds / found.parallel.seconds)
    assert found.best_config == {"rate": 0.5}
    assert found.differing == ()
    text = str(found)
    assert "serial" in text
    assert f"{round(found.speed_up, 2):g}" in text


def test_random_training_is_noticed(cluster, waiting):
    def test_error(model, data):
        return time.time() % 1000

    changed = {**waiting, "train": lambda model, data, hyperparameters: 1.0, "test_error": test_error}
    found = optml.tune(changed, [{"rate": 0.1}, {"rate": 0.2}], workers=1, storage="memory", progress=False)
    assert found.differing == (0, 1)
    assert "training draws random numbers" in str(found)


def test_both_ways_try_the_same_points_of_a_range(cluster, waiting):
    quick = {**waiting, "train": lambda model, data, hyperparameters: hyperparameters["rate"] * len(data)}
    found = optml.tune(quick, {"rate": hpo.uniform(0, 1)}, num_trials=6, storage="memory", progress=False)
    tried = [[trial.config["rate"] for trial in leg.results] for leg in (found.serial, found.parallel)]
    assert tried[0] == tried[1]


def test_ctrl_c_ends_it_and_the_other_way_is_not_begun(cluster, waiting):
    over = threading.Event()

    def waits_for_the_study() -> bool:
        frame = sys._current_frames()[threading.main_thread().ident]
        return {"watch", "wait"} <= {inner.f_code.co_name for inner, _ in traceback.walk_stack(frame)}

    def train(model, data, hyperparameters):
        if hyperparameters["rate"] == 0.5:
            wait_until(waits_for_the_study)
            _thread.interrupt_main()
            over.wait(60)
        return 1.0

    points = [{"rate": 0.1}, {"rate": 0.5}, {"rate": 0.7}, {"rate": 0.9}]
    found = optml.tune({**waiting, "train": train}, points, storage="memory", progress=False)
    over.set()
    assert found.parallel is None
    assert not found.serial.is_whole
    assert found.speed_up is None
    assert "interrupted" in str(found)
    assert found.to_json()["serial"]["seconds"] is None


@pytest.mark.parametrize("name", ["lms", "kernel_lms", "one_hidden_layer"])
def test_the_labs_algorithms_run_by_one_command(cluster, name, tmp_path, monkeypatch):
    """From files that import what lies beside them, with few configurations."""
    monkeypatch.setenv("RAYTUNE_HPO_STORAGE", f"sqlite:///{tmp_path}/studies.db")
    arguments = [str(LABS / f"{name}.py"), str(LABS / f"{name}.txt"), "--num-trials", "3", "--seed", "0", "--json"]
    result = CliRunner().invoke(main, ["optml", *arguments])
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["speed_up"] > 0
    assert 0 < data["best"]["metrics"]["error"] < 1
    assert data["differing"] == []


def test_the_filter_that_diverges_fails(cluster):
    found = optml.tune(
        LABS / "lms.py", [{"step_size": 5e-8}, {"step_size": 1e-4}], how="serial", storage="memory", progress=False
    )
    assert found.best_config == {"step_size": 5e-8}
    assert found.best_error < 0.1
    assert found.results[1].status == "failed"
